//! What a client sends. Text is borrowed from the frame where it has no escapes; payloads are the
//! raw JSON of the frame.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One command.
#[derive(Debug, Clone)]
pub struct Command<'a> {
    /// What the reply carries back, so that the client finds the question; 0 for what has no reply.
    pub id: u32,
    /// What is asked.
    pub method: Method<'a>,
}

/// What a command asks for.
#[derive(Debug, Clone)]
pub enum Method<'a> {
    /// The answer to the server's ping. Whatever has id 0 and is not [`Method::Send`] means this.
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
    pub const fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Pong => return None,
            Self::Connect(_) => "connect",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Publish(_) => "publish",
            Self::Presence(_) => "presence",
            Self::PresenceStats(_) => "presence_stats",
            Self::History(_) => "history",
            Self::Ping => "ping",
            Self::Send(_) => "send",
            Self::Rpc(_) => "rpc",
            Self::Refresh(_) => "refresh",
            Self::SubRefresh(_) => "sub_refresh",
        })
    }
}

/// `true` for what is left out of JSON.
fn absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Who a connection belongs to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectRequest<'a> {
    /// The proof; empty when there is none.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub token: Cow<'a, str>,
    /// Whatever the application wants to know at connect.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// Where to go on in the channels that the server subscribes the client to.
    #[serde(borrow, skip_serializing_if = "Subs::is_empty")]
    pub subs: Subs<'a>,
    /// The client's library: `js`, `go`, `python`…
    #[serde(borrow, skip_serializing_if = "absent")]
    pub name: Cow<'a, str>,
    /// The version of the client's application.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub version: Cow<'a, str>,
    /// HTTP headers that a browser could not send.
    #[serde(skip_serializing_if = "absent")]
    pub headers: BTreeMap<String, String>,
}

/// The positions of server-side subscriptions by channel.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subs<'a>(#[serde(borrow)] pub BTreeMap<String, SubscribeRequest<'a>>);

impl Subs<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A wish for a channel, and where to go on in it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the wire has them as independent members"
)]
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscribeRequest<'a> {
    /// The channel; empty inside [`Subs`], where the key names it.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub channel: Cow<'a, str>,
    /// The proof that this client may have the channel.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub token: Cow<'a, str>,
    /// Whether what was missed since `offset` of `epoch` shall be sent.
    #[serde(skip_serializing_if = "absent")]
    pub recover: bool,
    /// The generation of the stream that `offset` counts in.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub epoch: Cow<'a, str>,
    /// The last publication that the client has seen.
    #[serde(skip_serializing_if = "absent")]
    pub offset: u64,
    /// Whatever the application wants to know at subscribe.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// Asks for gap detection.
    #[serde(skip_serializing_if = "absent")]
    pub positioned: bool,
    /// Asks for recovery.
    #[serde(skip_serializing_if = "absent")]
    pub recoverable: bool,
    /// Asks for joins and leaves.
    #[serde(skip_serializing_if = "absent")]
    pub join_leave: bool,
    /// The delta format that the client understands: `fossil` or empty.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub delta: Cow<'a, str>,
    /// Bit 1: channel compaction is understood; bit 2: error 112 instead of a failed recovery.
    #[serde(skip_serializing_if = "absent")]
    pub flag: i64,
}

/// The end of a subscription.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UnsubscribeRequest<'a> {
    /// The channel.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub channel: Cow<'a, str>,
}

/// A publication to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishRequest<'a> {
    /// The channel.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub channel: Cow<'a, str>,
    /// What to publish.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
}

/// A question about a channel.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelRequest<'a> {
    /// The channel.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub channel: Cow<'a, str>,
}

/// A question about what was said in a channel.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryRequest<'a> {
    /// The channel.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub channel: Cow<'a, str>,
    /// 0: only the top position; −1: all that there is.
    #[serde(skip_serializing_if = "absent")]
    pub limit: i32,
    /// The position to go on from, exclusive.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub since: Option<StreamPosition<'a>>,
    /// From newer to older.
    #[serde(skip_serializing_if = "absent")]
    pub reverse: bool,
}

/// A place in a channel's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamPosition<'a> {
    /// The number of a publication.
    #[serde(skip_serializing_if = "absent")]
    pub offset: u64,
    /// The generation of the stream that `offset` counts in.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub epoch: Cow<'a, str>,
}

/// A message to the server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SendRequest<'a> {
    /// The message.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
}

/// A question to the application.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcRequest<'a> {
    /// The question.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// Who answers it.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub method: Cow<'a, str>,
}

/// A newer token.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RefreshRequest<'a> {
    /// The token.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub token: Cow<'a, str>,
}

/// A newer token for one subscription.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubRefreshRequest<'a> {
    /// The channel.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub channel: Cow<'a, str>,
    /// The token.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub token: Cow<'a, str>,
}
