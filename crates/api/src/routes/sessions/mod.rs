//! A person's own sessions: the devices that they are signed in on.

pub(crate) mod delete;
pub(crate) mod list;

use chatsdk_types::tokens::SessionView;
use serde::Serialize;

/// The live sessions of a person, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SessionList {
    /// The sessions.
    pub(crate) sessions: Vec<SessionView>,
}
