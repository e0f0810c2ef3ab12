//! What a server says unasked.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Disconnect;
use crate::reply::RefreshResult;

/// A message without a command.
#[derive(Debug, Clone)]
pub enum Push<'a> {
    /// Are you there? An empty object; the answer is an empty object too.
    Ping,
    /// Something for the application.
    Message(&'a RawValue),
    /// The connection ends now. WebSockets carry this in their close frame instead.
    Disconnect(&'a Disconnect),
    /// The connection's expiry was changed by the server.
    Refresh(RefreshResult),
}

/// A disconnect as it was read from the wire, where codes and reasons of later versions may stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisconnectPush {
    /// See [`crate::disconnect::reconnects`].
    pub code: u32,
    /// For people.
    #[serde(default)]
    pub reason: String,
}
