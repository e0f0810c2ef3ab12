//! What a client hears, told apart.

use crate::Publication;
use crate::error_code::{ReplyError, WireError};
use crate::push::{
    Connect, DisconnectPush, Join, Leave, Message, Push, PushBody, Refresh, Subscribe, Unsubscribe,
};
use crate::reply::{
    ConnectResult, HistoryResult, PresenceResult, PresenceStatsResult, RefreshResult, Reply,
    ReplyBody, RpcResult, SubRefreshResult, SubscribeResult,
};
use crate::schema::{Nothing, message};

/// One message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// It wants to know whether we are there; the answer is [`crate::Method::Pong`].
    Ping,
    /// The answer to a command.
    Reply(Reply),
    /// Something unasked.
    Push(Push),
    /// Something of a later version, to be passed over.
    Unknown,
}

message! {
    /// A reply as it stands on the wire.
    pub(crate) struct WireReply<'a> {
        [1 "id"] id: u32,
        [2 "error"] error: Option<WireError<'a>>,
        [4 "push"] push: Option<Box<WirePush>>,
        [5 "connect"] connect: Option<Box<ConnectResult>>,
        [6 "subscribe"] subscribe: Option<Box<SubscribeResult>>,
        [7 "unsubscribe"] unsubscribe: Option<Nothing>,
        [8 "publish"] publish: Option<Nothing>,
        [9 "presence"] presence: Option<PresenceResult>,
        [10 "presence_stats"] presence_stats: Option<PresenceStatsResult>,
        [11 "history"] history: Option<HistoryResult>,
        [12 "ping"] ping: Option<Nothing>,
        [13 "rpc"] rpc: Option<RpcResult>,
        [14 "refresh"] refresh: Option<RefreshResult>,
        [15 "sub_refresh"] sub_refresh: Option<SubRefreshResult>,
    }
}

message! {
    /// A push as it stands on the wire.
    pub(crate) struct WirePush {
        [1 "id"] id: i64,
        [2 "channel"] channel: std::sync::Arc<str>,
        [4 "pub"] publication: Option<Publication>,
        [5 "join"] join: Option<Join>,
        [6 "leave"] leave: Option<Leave>,
        [7 "unsubscribe"] unsubscribe: Option<Unsubscribe>,
        [8 "message"] message: Option<Message>,
        [9 "subscribe"] subscribe: Option<Subscribe>,
        [10 "connect"] connect: Option<Box<Connect>>,
        [11 "disconnect"] disconnect: Option<DisconnectPush>,
        [12 "refresh"] refresh: Option<Refresh>,
    }
}

impl WireReply<'_> {
    pub(crate) fn message(self) -> ServerMessage {
        if let Some(push) = self.push {
            return push
                .push()
                .map_or(ServerMessage::Unknown, ServerMessage::Push);
        }
        if self.id == 0 {
            return ServerMessage::Ping;
        }
        let id = self.id;
        let body = self
            .error
            .map(|error| ReplyBody::Error(ReplyError::from(error)))
            .or_else(|| self.connect.map(ReplyBody::Connect))
            .or_else(|| self.subscribe.map(ReplyBody::Subscribe))
            .or_else(|| self.unsubscribe.map(|Nothing {}| ReplyBody::Unsubscribe))
            .or_else(|| self.publish.map(|Nothing {}| ReplyBody::Publish))
            .or_else(|| self.presence.map(ReplyBody::Presence))
            .or_else(|| self.presence_stats.map(ReplyBody::PresenceStats))
            .or_else(|| self.history.map(ReplyBody::History))
            .or_else(|| self.ping.map(|Nothing {}| ReplyBody::Ping))
            .or_else(|| self.rpc.map(ReplyBody::Rpc))
            .or_else(|| self.refresh.map(ReplyBody::Refresh))
            .or_else(|| self.sub_refresh.map(ReplyBody::SubRefresh));
        body.map_or(ServerMessage::Unknown, |body| {
            ServerMessage::Reply(Reply { id, body })
        })
    }
}

impl WirePush {
    fn push(self) -> Option<Push> {
        let body = self
            .publication
            .map(PushBody::Publication)
            .or_else(|| self.join.map(PushBody::Join))
            .or_else(|| self.leave.map(PushBody::Leave))
            .or_else(|| self.unsubscribe.map(PushBody::Unsubscribe))
            .or_else(|| self.message.map(PushBody::Message))
            .or_else(|| self.subscribe.map(PushBody::Subscribe))
            .or_else(|| self.connect.map(PushBody::Connect))
            .or_else(|| self.disconnect.map(PushBody::Disconnect))
            .or_else(|| self.refresh.map(PushBody::Refresh))?;
        Some(Push {
            channel: self.channel,
            id: self.id,
            body,
        })
    }
}
