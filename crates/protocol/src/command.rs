//! What a client sends. Text is borrowed from the frame where it has no escapes; payloads are the
//! bytes of the frame.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::Undecodable;
use crate::object::{FilterNode, StreamPosition, TrackBatch};
use crate::payload::PayloadRef;
use crate::schema::{Encode, Nothing, message};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command<'a> {
    /// What the reply carries back, so that the client finds the question; 0 for what has no reply.
    pub id: u32,
    /// What is asked.
    pub method: Method<'a>,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method<'a> {
    /// The answer to the server's ping: a command without id and method.
    Pong,
    /// Who I am; the first command of a connection.
    Connect(Box<ConnectRequest<'a>>),
    /// Give me a channel.
    Subscribe(Box<SubscribeRequest<'a>>),
    /// Take a channel away again.
    Unsubscribe(UnsubscribeRequest<'a>),
    /// Say something in a channel.
    Publish(PublishRequest<'a>),
    /// Who is in a channel.
    Presence(ChannelRequest<'a>),
    /// How many are in a channel.
    PresenceStats(ChannelRequest<'a>),
    /// What was said in a channel.
    History(HistoryRequest<'a>),
    /// Are you there; an ordinary command, not the answer to the server's ping.
    Ping,
    /// A message to the server without a reply.
    Send(SendRequest<'a>),
    /// A question to the application.
    Rpc(RpcRequest<'a>),
    /// A newer token for the connection.
    Refresh(RefreshRequest<'a>),
    /// A newer token for a subscription.
    SubRefresh(SubRefreshRequest<'a>),
}

impl Method<'_> {
    /// The member that names the method in a command and in its reply; `None` for a pong.
    pub fn name(&self) -> Option<&'static str> {
        self.member().map(|(_, name, _)| name)
    }

    /// The field of [`WireCommand`] that holds it: number, name and content.
    pub(crate) fn member(&self) -> Option<(u32, &'static str, &dyn Encode)> {
        Some(match self {
            Self::Pong => return None,
            Self::Connect(request) => (4, "connect", request),
            Self::Subscribe(request) => (5, "subscribe", request),
            Self::Unsubscribe(request) => (6, "unsubscribe", request),
            Self::Publish(request) => (7, "publish", request),
            Self::Presence(request) => (8, "presence", request),
            Self::PresenceStats(request) => (9, "presence_stats", request),
            Self::History(request) => (10, "history", request),
            Self::Ping => (11, "ping", &Nothing {}),
            Self::Send(request) => (12, "send", request),
            Self::Rpc(request) => (13, "rpc", request),
            Self::Refresh(request) => (14, "refresh", request),
            Self::SubRefresh(request) => (15, "sub_refresh", request),
        })
    }
}

message! {
    /// A command as it stands on the wire, where nothing keeps it from having several methods, or none.
    pub(crate) struct WireCommand<'a> {
        [1 "id"] id: u32,
        [4 "connect"] connect: Option<Box<ConnectRequest<'a>>>,
        [5 "subscribe"] subscribe: Option<Box<SubscribeRequest<'a>>>,
        [6 "unsubscribe"] unsubscribe: Option<UnsubscribeRequest<'a>>,
        [7 "publish"] publish: Option<PublishRequest<'a>>,
        [8 "presence"] presence: Option<ChannelRequest<'a>>,
        [9 "presence_stats"] presence_stats: Option<ChannelRequest<'a>>,
        [10 "history"] history: Option<HistoryRequest<'a>>,
        [11 "ping"] ping: Option<Nothing>,
        [12 "send"] send: Option<SendRequest<'a>>,
        [13 "rpc"] rpc: Option<RpcRequest<'a>>,
        [14 "refresh"] refresh: Option<RefreshRequest<'a>>,
        [15 "sub_refresh"] sub_refresh: Option<SubRefreshRequest<'a>>,
    }
}

impl<'a> WireCommand<'a> {
    /// The command that is meant. The order is that of the fields: with several set, the first wins. Without an id
    /// only what has no reply is one: a reply with id 0 would be a ping, and a command that was taken for a pong
    /// would never be obeyed.
    pub(crate) fn command(self) -> Result<Command<'a>, Undecodable> {
        let id = self.id;
        let method = self
            .connect
            .map(Method::Connect)
            .or_else(|| self.subscribe.map(Method::Subscribe))
            .or_else(|| self.unsubscribe.map(Method::Unsubscribe))
            .or_else(|| self.publish.map(Method::Publish))
            .or_else(|| self.presence.map(Method::Presence))
            .or_else(|| self.presence_stats.map(Method::PresenceStats))
            .or_else(|| self.history.map(Method::History))
            .or_else(|| self.ping.map(|Nothing {}| Method::Ping))
            .or_else(|| self.send.map(Method::Send))
            .or_else(|| self.rpc.map(Method::Rpc))
            .or_else(|| self.refresh.map(Method::Refresh))
            .or_else(|| self.sub_refresh.map(Method::SubRefresh));
        let method = match (id, method) {
            (0, None) => Method::Pong,
            (0, Some(method @ Method::Send(_))) => method,
            (0, Some(_)) => return Err(Undecodable::NoId),
            (_, None) => return Err(Undecodable::NoMethod),
            (_, Some(method)) => method,
        };
        Ok(Command { id, method })
    }
}

message! {
    /// Who a connection belongs to.
    pub struct ConnectRequest<'a> {
        /// The proof; empty when there is none.
        [1 "token"]
        pub token: Cow<'a, str>,
        /// Whatever the application wants to know at connect.
        [2 "data"]
        pub data: PayloadRef<'a>,
        /// Where to go on in the channels that the server subscribes the client to, by channel.
        [3 "subs"]
        pub subs: BTreeMap<String, SubscribeRequest<'a>>,
        /// The client's library: `js`, `go`, `python`…
        [4 "name"]
        pub name: Cow<'a, str>,
        /// The version of the client's application.
        [5 "version"]
        pub version: Cow<'a, str>,
        /// HTTP headers that a browser could not send.
        [6 "headers"]
        pub headers: BTreeMap<String, String>,
    }
}

/// Bits of [`SubscribeRequest::flag`].
pub mod flag {
    /// The client understands pushes that carry a number in place of their channel.
    pub const COMPACTION: i64 = 1;
    /// The client wants error 112 in place of a failed recovery.
    pub const STRICT_RECOVERY: i64 = 2;
}

message! {
    /// A wish for a channel, and where to go on in it.
    pub struct SubscribeRequest<'a> {
        /// The channel; empty inside [`ConnectRequest::subs`], where the key names it.
        [1 "channel"]
        pub channel: Cow<'a, str>,
        /// The proof that this client may have the channel.
        [2 "token"]
        pub token: Cow<'a, str>,
        /// Whether what was missed since `offset` of `epoch` shall be sent.
        [3 "recover"]
        pub recover: bool,
        /// The generation of the stream that `offset` counts in.
        [6 "epoch"]
        pub epoch: Cow<'a, str>,
        /// The last publication that the client has seen.
        [7 "offset"]
        pub offset: u64,
        /// Whatever the application wants to know at subscribe.
        [8 "data"]
        pub data: PayloadRef<'a>,
        /// Asks for gap detection.
        [9 "positioned"]
        pub positioned: bool,
        /// Asks for recovery.
        [10 "recoverable"]
        pub recoverable: bool,
        /// Asks for joins and leaves.
        [11 "join_leave"]
        pub join_leave: bool,
        /// The delta format that the client understands: `fossil` or empty.
        [12 "delta"]
        pub delta: Cow<'a, str>,
        /// Which publications the client wants, by their tags; `None`: all.
        [13 "tf"]
        pub filter: Option<Box<FilterNode<'a>>>,
        /// See [`flag`].
        [14 "flag"]
        pub flag: i64,
        /// 0: a stream; 1 to 3: a map; 4: a shared poll.
        [15 "type"]
        pub kind: i32,
        /// Of a map: 0 live, 1 its stream, 2 its state.
        [16 "phase"]
        pub phase: i32,
        /// Of a map: where its state goes on.
        [17 "cursor"]
        pub cursor: Cow<'a, str>,
        /// Of a map: how many entries a page shall have.
        [18 "limit"]
        pub limit: i32,
        /// Of a map: by ascending score.
        [19 "asc"]
        pub asc: bool,
    }
}

message! {
    /// The end of a subscription.
    pub struct UnsubscribeRequest<'a> {
        /// The channel.
        [1 "channel"]
        pub channel: Cow<'a, str>,
    }
}

message! {
    /// A publication to be.
    pub struct PublishRequest<'a> {
        /// The channel.
        [1 "channel"]
        pub channel: Cow<'a, str>,
        /// What to publish.
        [2 "data"]
        pub data: PayloadRef<'a>,
        /// 0: to a stream; 1: to a map.
        [3 "type"]
        pub kind: i32,
        /// Of a map: what it is the value of.
        [4 "key"]
        pub key: Cow<'a, str>,
        /// Of a map: whether the key shall go.
        [5 "removed"]
        pub removed: bool,
    }
}

message! {
    /// A question about a channel.
    pub struct ChannelRequest<'a> {
        /// The channel.
        [1 "channel"]
        pub channel: Cow<'a, str>,
    }
}

message! {
    /// A question about what was said in a channel.
    pub struct HistoryRequest<'a> {
        /// The channel.
        [1 "channel"]
        pub channel: Cow<'a, str>,
        /// 0: only the top position; −1: all that there is.
        [7 "limit"]
        pub limit: i32,
        /// The position to go on from, exclusive.
        [8 "since"]
        pub since: Option<StreamPosition<'a>>,
        /// From newer to older.
        [9 "reverse"]
        pub reverse: bool,
    }
}

message! {
    /// A message to the server.
    pub struct SendRequest<'a> {
        /// The message.
        [1 "data"]
        pub data: PayloadRef<'a>,
    }
}

message! {
    /// A question to the application.
    pub struct RpcRequest<'a> {
        /// The question.
        [1 "data"]
        pub data: PayloadRef<'a>,
        /// Who answers it.
        [2 "method"]
        pub method: Cow<'a, str>,
    }
}

message! {
    /// A newer token.
    pub struct RefreshRequest<'a> {
        /// The token.
        [1 "token"]
        pub token: Cow<'a, str>,
    }
}

message! {
    /// A newer token for one subscription.
    pub struct SubRefreshRequest<'a> {
        /// The channel.
        [1 "channel"]
        pub channel: Cow<'a, str>,
        /// The token.
        [2 "token"]
        pub token: Cow<'a, str>,
        /// 0: the token; of a shared poll, 1: `track`, 2: `untrack`.
        [3 "type"]
        pub kind: i32,
        /// Keys that the client wants to follow.
        [4 "track"]
        pub track: Vec<TrackBatch<'a>>,
        /// Keys that it no longer follows.
        [5 "untrack"]
        pub untrack: Vec<Cow<'a, str>>,
    }
}
