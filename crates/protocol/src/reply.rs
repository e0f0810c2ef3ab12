//! What a server answers to a command.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ReplyError;

/// The answer to one command.
#[derive(Debug, Clone)]
pub struct Reply<'a> {
    /// The id of the command.
    pub id: u32,
    /// The answer.
    pub body: ReplyBody<'a>,
}

impl<'a> Reply<'a> {
    /// The answer `body` to command `id`.
    pub fn new(id: u32, body: impl Into<ReplyBody<'a>>) -> Self {
        Self {
            id,
            body: body.into(),
        }
    }
}

/// An answer. Each method has its own, and any of them may be an error instead.
#[derive(Debug, Clone)]
pub enum ReplyBody<'a> {
    /// It was not done.
    Error(ReplyError),
    /// You are connected.
    Connect(Box<ConnectResult<'a>>),
    /// The newer token is in force.
    Refresh(RefreshResult),
    /// The channel is no longer yours.
    Unsubscribe,
    /// I am here.
    Ping,
}

impl From<ReplyError> for ReplyBody<'_> {
    fn from(error: ReplyError) -> Self {
        Self::Error(error)
    }
}

impl From<crate::ErrorCode> for ReplyBody<'_> {
    fn from(code: crate::ErrorCode) -> Self {
        Self::Error(code.into())
    }
}

impl<'a> From<ConnectResult<'a>> for ReplyBody<'a> {
    fn from(result: ConnectResult<'a>) -> Self {
        Self::Connect(Box::new(result))
    }
}

impl From<RefreshResult> for ReplyBody<'_> {
    fn from(result: RefreshResult) -> Self {
        Self::Refresh(result)
    }
}

fn absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The terms of a connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectResult<'a> {
    /// The connection's own id, a UUID.
    #[serde(borrow)]
    pub client: Cow<'a, str>,
    /// The server's version; never empty.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// Whether the connection ends unless its token is refreshed. Then `ttl` is not 0.
    #[serde(skip_serializing_if = "absent")]
    pub expires: bool,
    /// Seconds until the token shall be refreshed.
    #[serde(skip_serializing_if = "absent")]
    pub ttl: u32,
    /// Whatever the application wants to say at connect.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// Seconds between the server's pings; 0: it sends none.
    #[serde(skip_serializing_if = "absent")]
    pub ping: u32,
    /// Whether the client shall answer pings.
    #[serde(skip_serializing_if = "absent")]
    pub pong: bool,
    /// The server's time, in milliseconds.
    #[serde(skip_serializing_if = "absent")]
    pub time: i64,
}

/// The new terms of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefreshResult {
    /// Whether the connection ends unless its token is refreshed again. Then `ttl` is not 0.
    #[serde(skip_serializing_if = "absent")]
    pub expires: bool,
    /// Seconds until then.
    #[serde(skip_serializing_if = "absent")]
    pub ttl: u32,
}
