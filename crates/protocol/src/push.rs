//! What a server says unasked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::object::{ClientInfo, Publication};
use crate::payload::Payload;
use crate::reply::SubscribeResult;
use crate::schema::{Encode, message};
use crate::{Disconnect, UnsubscribeCode};

/// A message without a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What it is about; empty when it is about the connection.
    pub channel: Arc<str>,
    /// The number that stands for the channel, see [`SubscribeResult::id`]; 0: the channel stands for
    /// itself. Only for publications, joins and leaves.
    pub id: i64,
    /// What it says.
    pub body: PushBody,
}

/// What a push says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushBody {
    /// Something was said in the channel.
    Publication(Publication),
    /// Somebody came into the channel.
    Join(Join),
    /// Somebody left the channel.
    Leave(Leave),
    /// The channel is no longer yours.
    Unsubscribe(Unsubscribe),
    /// Something for the application.
    Message(Message),
    /// The server has subscribed you to the channel.
    Subscribe(Subscribe),
    /// You are connected; the first push where the client cannot send.
    Connect(Box<Connect>),
    /// The connection ends now. WebSockets carry this in their close frame instead.
    Disconnect(DisconnectPush),
    /// The connection's expiry was changed by the server.
    Refresh(Refresh),
}

impl Push {
    /// A push about `channel`.
    pub fn new(channel: impl Into<Arc<str>>, body: impl Into<PushBody>) -> Self {
        Self {
            channel: channel.into(),
            id: 0,
            body: body.into(),
        }
    }

    /// A push about the connection.
    pub fn of_connection(body: impl Into<PushBody>) -> Self {
        Self::new("", body)
    }
}

impl PushBody {
    /// The field of the push that holds it: number, name and content.
    pub(crate) fn member(&self) -> (u32, &'static str, &dyn Encode) {
        match self {
            Self::Publication(push) => (4, "pub", push),
            Self::Join(push) => (5, "join", push),
            Self::Leave(push) => (6, "leave", push),
            Self::Unsubscribe(push) => (7, "unsubscribe", push),
            Self::Message(push) => (8, "message", push),
            Self::Subscribe(push) => (9, "subscribe", push),
            Self::Connect(push) => (10, "connect", push),
            Self::Disconnect(push) => (11, "disconnect", push),
            Self::Refresh(push) => (12, "refresh", push),
        }
    }
}

macro_rules! bodies {
    ($($from:ty => $variant:ident,)+) => { $(
        impl From<$from> for PushBody {
            fn from(push: $from) -> Self {
                Self::$variant(push.into())
            }
        }
    )+ };
}

bodies! {
    Publication => Publication,
    Join => Join,
    Leave => Leave,
    Unsubscribe => Unsubscribe,
    UnsubscribeCode => Unsubscribe,
    Message => Message,
    Subscribe => Subscribe,
    Connect => Connect,
    DisconnectPush => Disconnect,
    &Disconnect => Disconnect,
    Refresh => Refresh,
}

message! {
    /// Somebody came into a channel.
    pub struct Join {
        /// Who.
        [1 "info"]
        pub info: Option<Arc<ClientInfo>>,
    }
}

message! {
    /// Somebody left a channel.
    pub struct Leave {
        /// Who.
        [1 "info"]
        pub info: Option<Arc<ClientInfo>>,
    }
}

message! {
    /// The end of a subscription. Made from an [`UnsubscribeCode`].
    pub struct Unsubscribe {
        /// See [`crate::unsubscribe::resubscribes`].
        [2 "code" always]
        pub code: u32,
        /// For people; never empty, because clients index into it.
        [3 "reason" always]
        pub reason: String,
    }
}

message! {
    /// Something for the application.
    pub struct Message {
        /// What it is.
        [1 "data"]
        pub data: Payload,
    }
}

message! {
    /// A subscription that the server has made, with its terms as in [`SubscribeResult`].
    pub struct Subscribe {
        /// Whether the client can recover after a cut.
        [1 "recoverable"]
        pub recoverable: bool,
        /// The generation of the stream that `offset` counts in.
        [4 "epoch"]
        pub epoch: Option<Arc<str>>,
        /// The newest publication's number.
        [5 "offset"]
        pub offset: u64,
        /// Whether gaps are detected.
        [6 "positioned"]
        pub positioned: bool,
        /// Whatever the application wants to say at subscribe.
        [7 "data"]
        pub data: Payload,
    }
}

message! {
    /// The terms of a connection, as in [`crate::reply::ConnectResult`], to a client that cannot send.
    pub struct Connect {
        /// The connection's own id, a UUID.
        [1 "client" always]
        pub client: Arc<str>,
        /// The server's version; never empty.
        [2 "version" always]
        pub version: Arc<str>,
        /// Whatever the application wants to say at connect.
        [3 "data"]
        pub data: Payload,
        /// The channels that the server has subscribed the client to.
        [4 "subs"]
        pub subs: BTreeMap<Arc<str>, SubscribeResult>,
        /// Whether the connection ends by itself.
        [5 "expires"]
        pub expires: bool,
        /// Seconds until then.
        [6 "ttl"]
        pub ttl: u32,
        /// Seconds between the server's pings; 0: it sends none.
        [7 "ping"]
        pub ping: u32,
        /// Whether the client shall answer pings.
        [8 "pong"]
        pub pong: bool,
        /// The secret that commands are posted with.
        [9 "session"]
        pub session: Option<Arc<str>>,
        /// The node that commands are posted to.
        [10 "node"]
        pub node: Option<Arc<str>>,
        /// The server's time, in milliseconds.
        [11 "time"]
        pub time: i64,
    }
}

message! {
    /// A disconnect as it stands on the wire, where codes and reasons of later versions may stand. Made
    /// from a [`Disconnect`].
    pub struct DisconnectPush {
        /// See [`crate::disconnect::reconnects`].
        [1 "code" always]
        pub code: u32,
        /// For people; never empty, because clients index into it.
        [2 "reason" always]
        pub reason: String,
        /// What the code says already, for clients of before the codes.
        [3 "reconnect"]
        pub reconnect: bool,
    }
}

message! {
    /// The new terms of a connection.
    pub struct Refresh {
        /// Whether the connection ends unless its token is refreshed. Then `ttl` is not 0.
        [1 "expires"]
        pub expires: bool,
        /// Seconds until then.
        [2 "ttl"]
        pub ttl: u32,
    }
}

impl From<UnsubscribeCode> for Unsubscribe {
    fn from(code: UnsubscribeCode) -> Self {
        Self {
            code: code.code(),
            reason: code.reason().to_owned(),
        }
    }
}

impl From<&Disconnect> for DisconnectPush {
    fn from(disconnect: &Disconnect) -> Self {
        Self {
            code: u32::from(disconnect.code()),
            reason: disconnect.reason().to_owned(),
            reconnect: false,
        }
    }
}
