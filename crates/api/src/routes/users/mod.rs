//! A host's people: their sessions, and bans. For backends with an API key.

pub(crate) mod ban;
pub(crate) mod delete_session;
pub(crate) mod delete_sessions;
pub(crate) mod list_sessions;
pub(crate) mod revoke;
pub(crate) mod unban;
