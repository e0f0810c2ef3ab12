//! What a connection does with what its client says: one file per command.
//!
//! - [`connect`], [`refresh`]: asked of the authority.
//! - [`unavailable`]: commands of the protocol that this engine does not offer.
//!
//! Commands of a connection are done one after the other, in the order of the wire; the next message is
//! not read before they are. The replies of one message share frames.

mod connect;
mod refresh;
mod unavailable;

use std::net::SocketAddr;
use std::sync::Arc;

use chatsdk_protocol::{
    Command, DisconnectCode, Encoding, Frame, Method, NotJson, ReplyBody, json,
};
use http::HeaderMap;

use crate::authority::Authority;
use crate::connection::{Connection, Phase};
use crate::engine::Engine;
use crate::transport::websocket::frame;

/// The task's side of a connection: what is needed to obey commands.
pub(crate) struct Session<A> {
    engine: Engine<A>,
    connection: Arc<Connection>,
    /// Present until the connect command was answered: an idle connection does not keep its headers.
    opening: Option<Box<Opening>>,
}

/// What was known before the first command.
pub(crate) struct Opening {
    pub(crate) headers: HeaderMap,
    pub(crate) remote: SocketAddr,
}

/// What comes after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next command.
    Command,
    /// Nothing more of this message.
    Stop,
}

impl<A: Authority> Session<A> {
    pub(crate) fn new(engine: Engine<A>, connection: Arc<Connection>, opening: Opening) -> Self {
        Self {
            engine,
            connection,
            opening: Some(Box::new(opening)),
        }
    }

    /// Obeys the commands of one message.
    pub(crate) async fn obey(&mut self, message: &str) {
        let mut replies = Frame::new(Encoding::Json);
        for command in json::commands(message) {
            let next = match command {
                Ok(command) => self.command(command, &mut replies).await,
                Err(error) => {
                    tracing::debug!(%error, "a client sent what is not a command");
                    self.close(DisconnectCode::BadRequest, &mut replies)
                }
            };
            if next == Next::Stop {
                break;
            }
            if replies.is_full() {
                self.flush(&mut replies);
            }
        }
        self.flush(&mut replies);
    }

    async fn command(&mut self, command: Command<'_>, replies: &mut Frame) -> Next {
        let Command { id, method } = command;
        match (self.connection.phase(), method) {
            (Phase::Closing, _) => Next::Stop,
            (_, Method::Pong) => {
                if self.connection.pong() {
                    Next::Command
                } else {
                    self.close(DisconnectCode::BadRequest, replies)
                }
            }
            (Phase::Fresh, Method::Connect(request)) => self.connect(id, &request, replies).await,
            // A command before connect, a second connect, or anything after a refused one.
            (Phase::Fresh | Phase::Connecting | Phase::Refused, _)
            | (Phase::Live, Method::Connect(_)) => self.close(DisconnectCode::BadRequest, replies),
            (Phase::Live, Method::Refresh(request)) => self.refresh(id, &request, replies).await,
            (Phase::Live, Method::Ping) => self.reply(id, ReplyBody::Ping, replies),
            (Phase::Live, method) => self.unavailable(id, &method, replies),
        }
    }

    fn reply(&self, id: u32, body: impl Into<ReplyBody>, replies: &mut Frame) -> Next {
        match replies.reply(&chatsdk_protocol::Reply::new(id, body)) {
            Ok(()) => Next::Command,
            Err(NotJson) => self.close(DisconnectCode::InappropriateProtocol, replies),
        }
    }

    /// Sends what was answered so far, then the close frame.
    fn close(&self, why: impl Into<chatsdk_protocol::Disconnect>, replies: &mut Frame) -> Next {
        self.flush(replies);
        self.connection.close(&why.into());
        Next::Stop
    }

    fn flush(&self, replies: &mut Frame) {
        if let Some(text) = replies.take() {
            self.connection.send(frame::text(&text));
        }
    }
}

/// Seconds until `expires_at`, as `ttl` of a reply: at least one, because clients take 0 for "never",
/// and a year at most. `None` when that moment has passed.
fn ttl(expires_at: chatsdk_types::Millis, now: chatsdk_types::Millis) -> Option<u32> {
    const YEAR: i64 = 365 * 24 * 3600;
    let left = expires_at.saturating_sub(now);
    (left > 0).then(|| (left / 1000).clamp(1, YEAR) as u32)
}

#[cfg(test)]
mod tests {
    use super::ttl;

    #[test]
    fn a_ttl_is_never_zero_nor_longer_than_a_year() {
        assert_eq!(ttl(3_600_999, 0), Some(3600));
        assert_eq!(ttl(1, 0), Some(1));
        assert_eq!(ttl(i64::MAX, -1), Some(31_536_000));
        assert_eq!(ttl(0, 0), None);
        assert_eq!(ttl(i64::MIN, i64::MAX), None);
    }
}
