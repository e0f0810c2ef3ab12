//! What a server answers to a command.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ReplyError;
use crate::object::{ClientInfo, Publication};
use crate::payload::Payload;
use crate::schema::{Encode, Nothing, message};

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The id of the command.
    pub id: u32,
    /// The answer.
    pub body: ReplyBody,
}

impl Reply {
    /// The answer `body` to command `id`.
    pub fn new(id: u32, body: impl Into<ReplyBody>) -> Self {
        Self {
            id,
            body: body.into(),
        }
    }
}

/// An answer. Each method has its own, and any of them may be an error instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyBody {
    /// It was not done.
    Error(ReplyError),
    /// You are connected.
    Connect(Box<ConnectResult>),
    /// The channel is yours.
    Subscribe(Box<SubscribeResult>),
    /// The channel is no longer yours.
    Unsubscribe,
    /// It was said.
    Publish,
    /// These are here.
    Presence(PresenceResult),
    /// So many are here.
    PresenceStats(PresenceStatsResult),
    /// This was said.
    History(HistoryResult),
    /// I am here.
    Ping,
    /// The application's answer.
    Rpc(RpcResult),
    /// The newer token of the connection is in force.
    Refresh(RefreshResult),
    /// The newer token of the subscription is in force.
    SubRefresh(SubRefreshResult),
}

impl ReplyBody {
    /// The field of the reply that holds it: number, name and content.
    pub(crate) fn member(&self) -> (u32, &'static str, &dyn Encode) {
        match self {
            Self::Error(error) => (2, "error", error),
            Self::Connect(result) => (5, "connect", result),
            Self::Subscribe(result) => (6, "subscribe", result),
            Self::Unsubscribe => (7, "unsubscribe", &Nothing {}),
            Self::Publish => (8, "publish", &Nothing {}),
            Self::Presence(result) => (9, "presence", result),
            Self::PresenceStats(result) => (10, "presence_stats", result),
            Self::History(result) => (11, "history", result),
            Self::Ping => (12, "ping", &Nothing {}),
            Self::Rpc(result) => (13, "rpc", result),
            Self::Refresh(result) => (14, "refresh", result),
            Self::SubRefresh(result) => (15, "sub_refresh", result),
        }
    }
}

macro_rules! bodies {
    ($($from:ty => $variant:ident,)+) => { $(
        impl From<$from> for ReplyBody {
            fn from(result: $from) -> Self {
                Self::$variant(result.into())
            }
        }
    )+ };
}

bodies! {
    ReplyError => Error,
    crate::ErrorCode => Error,
    ConnectResult => Connect,
    SubscribeResult => Subscribe,
    PresenceResult => Presence,
    PresenceStatsResult => PresenceStats,
    HistoryResult => History,
    RpcResult => Rpc,
    RefreshResult => Refresh,
    SubRefreshResult => SubRefresh,
}

message! {
    /// The terms of a connection.
    pub struct ConnectResult {
        /// The connection's own id, a UUID.
        [1 "client" always]
        pub client: Arc<str>,
        /// The server's version; never empty.
        [2 "version" always]
        pub version: Arc<str>,
        /// Whether the connection ends unless its token is refreshed. Then `ttl` is not 0.
        [3 "expires"]
        pub expires: bool,
        /// Seconds until the token shall be refreshed.
        [4 "ttl"]
        pub ttl: u32,
        /// Whatever the application wants to say at connect.
        [5 "data"]
        pub data: Payload,
        /// The channels that the server has subscribed the client to.
        [6 "subs"]
        pub subs: BTreeMap<Arc<str>, SubscribeResult>,
        /// Seconds between the server's pings; 0: it sends none.
        [7 "ping"]
        pub ping: u32,
        /// Whether the client shall answer pings.
        [8 "pong"]
        pub pong: bool,
        /// The secret that commands are posted with, where the transport goes one way only.
        [9 "session"]
        pub session: Option<Arc<str>>,
        /// The node that commands are posted to, where the transport goes one way only.
        [10 "node"]
        pub node: Option<Arc<str>>,
        /// The server's time, in milliseconds.
        [11 "time"]
        pub time: i64,
    }
}

message! {
    /// The terms of a subscription.
    pub struct SubscribeResult {
        /// Whether the subscription ends unless its token is refreshed. Then `ttl` is not 0.
        [1 "expires"]
        pub expires: bool,
        /// Seconds until the token shall be refreshed.
        [2 "ttl"]
        pub ttl: u32,
        /// Whether the client can recover after a cut.
        [3 "recoverable"]
        pub recoverable: bool,
        /// The generation of the stream that `offset` counts in.
        [6 "epoch"]
        pub epoch: Option<Arc<str>>,
        /// What was missed, in order.
        [7 "publications"]
        pub publications: Vec<Publication>,
        /// Whether `publications` is all that was missed.
        [8 "recovered"]
        pub recovered: bool,
        /// The number of the publication before `publications`, or the newest one's.
        [9 "offset"]
        pub offset: u64,
        /// Whether gaps are detected.
        [10 "positioned"]
        pub positioned: bool,
        /// Whatever the application wants to say at subscribe.
        [11 "data"]
        pub data: Payload,
        /// Whether recovery was asked for.
        [12 "was_recovering"]
        pub was_recovering: bool,
        /// Whether publications may be deltas. In JSON their data are strings then.
        [13 "delta"]
        pub delta: bool,
        /// The number that pushes carry in place of the channel; 0: they carry the channel.
        [14 "id"]
        pub id: i64,
        /// As in [`crate::command::SubscribeRequest::kind`].
        [15 "type"]
        pub kind: i32,
        /// Of a map: as in [`crate::command::SubscribeRequest::phase`].
        [16 "phase"]
        pub phase: i32,
        /// Of a map: where its state goes on; empty: nowhere.
        [17 "cursor"]
        pub cursor: Option<Arc<str>>,
        /// Of a map: a page of its state.
        [18 "state"]
        pub state: Vec<Publication>,
        /// Of a map: milliseconds that the client shall wait between publications.
        [19 "publish_debounce"]
        pub publish_debounce: u32,
    }
}

message! {
    /// Who is in a channel.
    pub struct PresenceResult {
        /// The clients by their id.
        [1 "presence" always]
        pub presence: BTreeMap<Arc<str>, ClientInfo>,
    }
}

message! {
    /// How many are in a channel.
    pub struct PresenceStatsResult {
        /// The number of clients.
        [1 "num_clients" always]
        pub num_clients: u32,
        /// The number of different users among them.
        [2 "num_users" always]
        pub num_users: u32,
    }
}

message! {
    /// What was said in a channel.
    pub struct HistoryResult {
        /// The publications, in the order that was asked for.
        [1 "publications" always]
        pub publications: Vec<Publication>,
        /// The generation of the stream that `offset` counts in.
        [2 "epoch" always]
        pub epoch: Arc<str>,
        /// The number of the newest publication.
        [3 "offset" always]
        pub offset: u64,
    }
}

message! {
    /// The application's answer.
    pub struct RpcResult {
        /// The answer.
        [1 "data"]
        pub data: Payload,
    }
}

message! {
    /// The new terms of a connection.
    pub struct RefreshResult {
        /// The connection's own id, as at connect.
        [1 "client"]
        pub client: Option<Arc<str>>,
        /// The server's version.
        [2 "version"]
        pub version: Option<Arc<str>>,
        /// Whether the connection ends unless its token is refreshed again. Then `ttl` is not 0.
        [3 "expires"]
        pub expires: bool,
        /// Seconds until then.
        [4 "ttl"]
        pub ttl: u32,
    }
}

message! {
    /// The new terms of a subscription.
    pub struct SubRefreshResult {
        /// Whether the subscription ends unless its token is refreshed again. Then `ttl` is not 0.
        [1 "expires"]
        pub expires: bool,
        /// Seconds until then.
        [2 "ttl"]
        pub ttl: u32,
        /// Of a shared poll: values that are newer than the client's.
        [3 "items"]
        pub items: Vec<Publication>,
    }
}
