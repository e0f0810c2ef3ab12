//! Who is calling, with what proof: access and refresh tokens, sessions, API keys, signing keys.
//!
//! Two halves. The pure one knows no database and no clock; everything in it is a function of its
//! arguments:
//! - [`rotation`]: the decision table of refresh tokens, written once. Start here.
//! - [`access`] (and `jws` under it): access tokens.
//! - [`refresh_token`]: refresh tokens. [`api_key`]: API keys. [`secret`], [`signing`]: what they are
//!   made with.
//! - [`seen`], [`verified`]: what a process remembers of tokens.
//!
//! The other half is the service, [`Auth`], whose methods are the use cases, a file each: `mint`,
//! `refresh`, `bearer`, `revoke`, `users`, `introspect`, `keys`, `apps`, `signing_keys`, `sweep`.
//! They meet the world in `control` (what changed elsewhere), `journal` and `recall` (what outlives a
//! restart and a restore), `revocations`, `limits` and `audit`.

pub mod access;
pub mod api_key;
mod jws;
pub mod profile;
pub mod refresh_token;
pub mod rotation;
pub mod secret;
pub mod seen;
pub mod signing;
pub mod verified;

mod apps;
mod audit;
mod bearer;
mod config;
mod control;
mod error;
mod flights;
mod generation;
mod introspect;
mod journal;
mod keys;
mod lifetimes;
mod limits;
mod mint;
mod peer;
mod recall;
mod refresh;
mod reply;
mod revocations;
mod revoke;
mod service;
mod signing_keys;
mod sweep;
#[cfg(test)]
mod testing;
mod users;

pub use access::AccessClaims;
pub use config::AuthConfig;
pub use error::AuthError;
pub use generation::{Hanging, Secrets};
pub use keys::{CreatedKey, KeyCaller, KeyRevoked, KeyTerms};
pub use lifetimes::{Life, Lifetimes, Unfit};
pub use mint::Mint;
pub use peer::Peer;
pub use revoke::{RevokeScope, Which};
pub use service::{Auth, Ended, OpenTo, Opened};
pub use signing_keys::{JWKS_MAX_AGE, PUBLISHED_BEFORE, ROTATED_EVERY};
pub use sweep::Sweep;
pub use users::UserChange;

pub use chatsdk_store::{AuditFilter, AuditLine, UserPatch};

/// URL-safe base 64 without padding, the alphabet of every token.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
