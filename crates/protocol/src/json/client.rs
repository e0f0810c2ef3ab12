//! The client's side of the encoding: commands into frames, frames into replies and pushes.

use serde::Deserialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::command::{Command, Method};
use crate::push::DisconnectPush;
use crate::reply::{ConnectResult, RefreshResult, Reply, ReplyBody};
use crate::{ReplyError, json};

/// `command` as one line of JSON, without a newline.
pub fn encode_command(command: &Command<'_>) -> String {
    let mut out = Vec::with_capacity(64);
    let mut serializer = serde_json::Serializer::new(&mut out);
    // Writing our own types into memory cannot fail; see `encode::value` for what would follow.
    let written = (|| {
        let mut map = serializer.serialize_map(None)?;
        if command.id != 0 {
            map.serialize_entry("id", &command.id)?;
        }
        if let Some(name) = command.method.name() {
            match &command.method {
                Method::Pong => {}
                Method::Connect(request) => map.serialize_entry(name, request)?,
                Method::Subscribe(request) => map.serialize_entry(name, request)?,
                Method::Unsubscribe(request) => map.serialize_entry(name, request)?,
                Method::Publish(request) => map.serialize_entry(name, request)?,
                Method::Presence(request) | Method::PresenceStats(request) => {
                    map.serialize_entry(name, request)?;
                }
                Method::History(request) => map.serialize_entry(name, request)?,
                Method::Ping => map.serialize_entry(name, &serde_json::Map::new())?,
                Method::Send(request) => map.serialize_entry(name, request)?,
                Method::Rpc(request) => map.serialize_entry(name, request)?,
                Method::Refresh(request) => map.serialize_entry(name, request)?,
                Method::SubRefresh(request) => map.serialize_entry(name, request)?,
            }
        }
        map.end()
    })();
    debug_assert!(written.is_ok(), "commands are always JSON");
    // Line breaks separate commands and are only ever white space between the tokens of a payload.
    out.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    String::from_utf8(out).unwrap_or_default()
}

/// What a server said.
#[derive(Debug, Clone)]
pub enum Incoming<'a> {
    /// It wants to know whether we are there; the answer is [`Method::Pong`].
    Ping,
    /// The answer to a command.
    Reply(Reply<'a>),
    /// Something for the application.
    Message(&'a RawValue),
    /// The connection ends.
    Disconnect(DisconnectPush),
    /// The expiry of the connection was changed.
    Refresh(RefreshResult),
    /// Something of a later version, to be passed over.
    Unknown,
}

/// A frame that no server of this protocol sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent what is not a reply")]
pub struct BadFrame;

/// The messages of `frame`, in order.
pub fn decode_frame(frame: &str) -> impl Iterator<Item = Result<Incoming<'_>, BadFrame>> {
    frame
        .strip_suffix('\n')
        .unwrap_or(frame)
        .split('\n')
        .map(incoming)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    id: u32,
    error: Option<ReplyError>,
    #[serde(borrow)]
    push: Option<WirePush<'a>>,
    #[serde(borrow)]
    connect: Option<ConnectResult<'a>>,
    refresh: Option<RefreshResult>,
    #[serde(borrow)]
    unsubscribe: Option<&'a RawValue>,
    #[serde(borrow)]
    ping: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WirePush<'a> {
    #[serde(borrow)]
    message: Option<WireMessage<'a>>,
    disconnect: Option<DisconnectPush>,
    refresh: Option<RefreshResult>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

fn incoming(line: &str) -> Result<Incoming<'_>, BadFrame> {
    if line == json::PING {
        return Ok(Incoming::Ping);
    }
    let wire: Wire<'_> = serde_json::from_str(line).map_err(|_| BadFrame)?;
    if let Some(push) = wire.push {
        return Ok(if let Some(message) = push.message {
            Incoming::Message(message.data)
        } else if let Some(disconnect) = push.disconnect {
            Incoming::Disconnect(disconnect)
        } else if let Some(refresh) = push.refresh {
            Incoming::Refresh(refresh)
        } else {
            Incoming::Unknown
        });
    }
    if wire.id == 0 {
        return Ok(Incoming::Ping);
    }
    let body = if let Some(error) = wire.error {
        ReplyBody::Error(error)
    } else if let Some(connect) = wire.connect {
        ReplyBody::Connect(Box::new(connect))
    } else if let Some(refresh) = wire.refresh {
        ReplyBody::Refresh(refresh)
    } else if wire.unsubscribe.is_some() {
        ReplyBody::Unsubscribe
    } else if wire.ping.is_some() {
        ReplyBody::Ping
    } else {
        return Ok(Incoming::Unknown);
    };
    Ok(Incoming::Reply(Reply { id: wire.id, body }))
}
