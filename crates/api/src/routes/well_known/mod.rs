//! What verifiers fetch.

pub(crate) mod jwks;
