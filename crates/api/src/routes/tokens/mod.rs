//! Tokens: made for a host's people, exchanged, ended, looked at.

pub(crate) mod introspect;
pub(crate) mod mint;
pub(crate) mod refresh;
pub(crate) mod revoke;
