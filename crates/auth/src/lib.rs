//! Who is calling, with what proof: access and refresh tokens, sessions, API keys, signing keys.

pub mod access;
pub mod api_key;
mod jws;
pub mod refresh_token;
pub mod rotation;
pub mod secret;
pub mod seen;
pub mod signing;
pub mod verified;
