//! JSON Web Signatures in their compact form, as strictly as RFC 7515 and RFC 8725 allow: one spelling
//! of everything, nothing optional, nothing ignored.
//!
//! - [`compact`]: the three parts of a token, and the base64url that they are written in.
//! - [`header`]: the only header that an access token may have.
//! - [`strict`]: JSON without duplicate members and without depth.
//!
//! What the parts mean is told where it is used: [`crate::access`] and [`crate::refresh_token`].

pub(crate) mod compact;
pub(crate) mod header;
pub(crate) mod strict;

pub(crate) use compact::base64url;
