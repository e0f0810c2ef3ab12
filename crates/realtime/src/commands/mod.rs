//! What a connection does with what its client says: one file per command.
//!
//! - [`connect`], [`refresh`]: the connection itself.
//! - [`subscribe`], [`unsubscribe`], [`sub_refresh`]: listening to a topic.
//! - [`publish`], [`presence`], [`history`]: the topic.
//! - [`rpc`], [`send`]: the application.
//!
//! Commands of a connection are done one after the other, in the order of the wire; the next message is
//! not read before they are. The replies of one message share frames.

mod connect;
mod history;
mod presence;
mod publish;
mod rate;
mod refresh;
mod rpc;
mod send;
mod sub_refresh;
pub(crate) mod subscribe;
mod unsubscribe;

use std::net::SocketAddr;
use std::sync::Arc;

use chatsdk_protocol::{
    Command, Disconnect, DisconnectCode, Encoding, ErrorCode, Frame, Method, NotJson, Publication,
    Reply, ReplyBody,
};
use http::HeaderMap;

use crate::authority::{Authority, Caller, Denial, Identity};
use crate::connection::{Connection, Phase};
use crate::engine::Engine;
use crate::topics::subscription::Subscription;

/// The longest name of a channel, in bytes.
const MAX_CHANNEL: usize = 255;

/// The task's side of a connection: what is needed to obey commands.
pub(crate) struct Session<A> {
    engine: Engine<A>,
    connection: Arc<Connection>,
    /// Present until the connect command was answered: an idle connection does not keep its headers.
    opening: Option<Box<Opening>>,
    rate: rate::Rate,
    /// Subscriptions whose replies are not out yet, with the offset that each begins at.
    joining: Vec<(Arc<Subscription>, u64)>,
}

/// What was known before the first command.
pub(crate) struct Opening {
    pub(crate) headers: HeaderMap,
    pub(crate) remote: SocketAddr,
    /// Where commands are posted, for transports that go one way only: session and node.
    pub(crate) posted_to: Option<(Arc<str>, Arc<str>)>,
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
            rate: rate::Rate::default(),
            joining: Vec::new(),
        }
    }

    /// Obeys the commands of one message.
    pub(crate) async fn obey(&mut self, message: &[u8]) {
        self.connection.begin_obeying();
        self.obey_all(message).await;
        self.connection.end_obeying();
    }

    async fn obey_all(&mut self, message: &[u8]) {
        let encoding = self.connection.shape().encoding();
        let mut replies = Frame::new(encoding);
        for command in encoding.commands(message) {
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
                self.flush(&mut replies).await;
            }
        }
        self.flush(&mut replies).await;
    }

    async fn command(&mut self, command: Command<'_>, replies: &mut Frame) -> Next {
        let Command { id, method } = command;
        let method = match (self.connection.phase(), method) {
            (Phase::Closing, _) => return Next::Stop,
            (_, Method::Pong) => {
                return if self.connection.pong() {
                    Next::Command
                } else {
                    self.close(DisconnectCode::BadRequest, replies)
                };
            }
            (Phase::Fresh, Method::Connect(request)) => {
                return self.connect(id, &request, replies).await;
            }
            // A command before connect, a second connect, or anything after a refused one.
            (Phase::Fresh | Phase::Connecting | Phase::Refused, _)
            | (Phase::Live, Method::Connect(_)) => {
                return self.close(DisconnectCode::BadRequest, replies);
            }
            (Phase::Live, method) => method,
        };
        let Some(identity) = self.connection.identity() else {
            return self.close(DisconnectCode::BadRequest, replies);
        };
        let shared = self.engine.shared();
        if !self
            .rate
            .allows(shared.config.max_commands_per_second, shared.wheel.now())
        {
            return match method {
                Method::Send(_) => self.close(DisconnectCode::TooManyRequests, replies),
                _ => self.reply(id, ErrorCode::TooManyRequests, replies),
            };
        }
        // Everything but listening may ask whether the client listens to a topic: what it was told so far
        // has to hold.
        let listening = matches!(method, Method::Subscribe(_) | Method::Unsubscribe(_));
        if !self.joining.is_empty() && !listening {
            self.flush(replies).await;
        }
        let answer = match method {
            Method::Pong | Method::Connect(_) => return Next::Command,
            Method::Ping => Ok(ReplyBody::Ping),
            Method::Refresh(request) => return self.refresh(id, &request, replies).await,
            Method::Subscribe(request) => self.subscribe(&identity, &request).await,
            Method::Unsubscribe(request) => self.unsubscribe(&request),
            Method::SubRefresh(request) => self.sub_refresh(&identity, &request).await,
            Method::Publish(request) => self.publish(&identity, &request).await,
            Method::Presence(request) => self.presence(&identity, &request).await,
            Method::PresenceStats(request) => self.presence_stats(&identity, &request).await,
            Method::History(request) => self.history(&identity, &request).await,
            Method::Rpc(request) => self.rpc(&identity, &request).await,
            Method::Send(request) => match self.message(&identity, &request).await {
                Ok(()) => return Next::Command,
                Err(why) => Err(Denial::Close(why)),
            },
        };
        match answer {
            Ok(body) => self.reply(id, body, replies),
            Err(Denial::Error(error)) => self.reply(id, error, replies),
            Err(Denial::Close(why)) => self.close(why, replies),
        }
    }

    /// `channel` if it can be one, or is one that the connection listens to: the host may subscribe it to
    /// channels that clients cannot ask for.
    fn known<'c>(&self, channel: &'c str) -> Result<&'c str, Denial> {
        if self.connection.subscriptions.get(channel).is_some() {
            return Ok(channel);
        }
        checked(channel)
    }

    fn caller<'a>(&'a self, identity: &'a Identity) -> Caller<'a> {
        Caller {
            identity,
            client: &self.connection.client,
        }
    }

    fn reply(&mut self, id: u32, body: impl Into<ReplyBody>, replies: &mut Frame) -> Next {
        match replies.reply(&Reply::new(id, body)) {
            Ok(()) => Next::Command,
            Err(NotJson) => self.close(DisconnectCode::InappropriateProtocol, replies),
        }
    }

    /// Sends what was answered so far, then the close frame.
    fn close(&mut self, why: impl Into<Disconnect>, replies: &mut Frame) -> Next {
        let count = replies.count();
        if let Some(messages) = replies.take() {
            let frame = self.connection.shape().frame(&messages);
            self.connection.send_now(frame, count);
        }
        self.begin_joined();
        self.connection.close(&why.into());
        Next::Stop
    }

    /// Sends what was answered so far, once there is room for it: a client is not closed as slow for what
    /// it has asked for itself, it is only answered as fast as it reads.
    async fn flush(&mut self, replies: &mut Frame) {
        let count = replies.count();
        if let Some(messages) = replies.take() {
            let frame = self.connection.shape().frame(&messages);
            // Half of the queue stays for what others say. A frame that is larger than that waits until
            // nothing else does.
            let half = self.connection.shared.config.max_queue_bytes / 2;
            self.connection.room(half.saturating_sub(frame.len())).await;
            self.connection.send_now(frame, count);
        }
        self.begin_joined();
    }

    /// Subscriptions whose replies are out begin.
    fn begin_joined(&mut self) {
        for (subscription, base) in std::mem::take(&mut self.joining) {
            self.connection.begin(&subscription, base);
        }
    }
}

/// How much of a frame what is of clients may take up, as it is sent: frames of more than a MiB are refused, and
/// there is more in one.
const MAX_FRAME: usize = 900 * 1024;

/// Whether clients take a frame with `publication` in it; `delta`: it may stand in a string.
pub(crate) fn fits_into_a_frame(publication: &Publication, delta: bool) -> bool {
    encoded(publication, Encoding::Json, delta) <= MAX_FRAME
}

/// How many bytes of publications one reply carries at most: clients refuse frames of more than a MiB.
const MAX_REPLY: usize = 512 * 1024;

/// How many of `publications`, from the first on, fit into one reply that has room for `most` bytes; the
/// first always does if there is any room, so that nobody stands before it for ever. Answers how many
/// bytes they take up, too. With `delta` their payloads stand in strings in JSON.
fn fitting<'p>(
    publications: impl IntoIterator<Item = &'p Publication>,
    encoding: Encoding,
    delta: bool,
    most: usize,
) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for publication in publications {
        let size = encoded(publication, encoding, delta);
        if bytes + size > most && (count > 0 || most < MAX_REPLY) {
            break;
        }
        count += 1;
        bytes += size;
    }
    (count, bytes)
}

/// How many bytes `publication` takes up in a reply, at most.
fn encoded(publication: &Publication, encoding: Encoding, delta: bool) -> usize {
    /// Brackets, numbers, and the names of the members that all have.
    const AROUND: usize = 64;
    /// The names of those of the publisher.
    const AROUND_INFO: usize = 64;
    let json = encoding == Encoding::Json;
    let text = |text: &str| written(text, encoding);
    let data = publication.data.bytes();
    let data = if json && delta {
        escaped(data)
    } else {
        data.len()
    };
    let info = publication.info.as_ref().map_or(0, |info| {
        AROUND_INFO
            + text(&info.user)
            + info.client.len()
            + info.conn_info.bytes().len()
            + info.chan_info.bytes().len()
    });
    let tags = publication.tags.iter().flat_map(|tags| tags.iter());
    let tags: usize = tags.map(|(name, tag)| text(name) + text(tag) + 16).sum();
    AROUND + data + info + tags
}

/// How many bytes `text` takes up as it is written, without what stands around it.
fn written(text: &str, encoding: Encoding) -> usize {
    match encoding {
        Encoding::Json => escaped(text.as_bytes()),
        Encoding::Protobuf => text.len(),
    }
}

/// How many bytes `text` takes up in a JSON string.
fn escaped(text: &[u8]) -> usize {
    let size = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..=31 => 6,
        _ => 1,
    };
    text.iter().map(size).sum()
}

/// Whether `channel` can be one.
fn valid(channel: &str) -> bool {
    !channel.is_empty() && channel.len() <= MAX_CHANNEL && channel.is_ascii()
}

/// A channel that can be one, or error 107.
fn checked(channel: &str) -> Result<&str, Denial> {
    if valid(channel) {
        Ok(channel)
    } else {
        Err(ErrorCode::BadRequest.into())
    }
}

/// Seconds until `expires_at`, as `ttl` of a reply: at least one, because clients take 0 for "never",
/// and a year at most. `None` when that moment has passed.
fn ttl(expires_at: chatsdk_types::Millis, now: chatsdk_types::Millis) -> Option<u32> {
    const YEAR: i64 = 365 * 24 * 3600;
    let left = expires_at.saturating_sub(now);
    (left > 0).then(|| (left / 1000).clamp(1, YEAR) as u32)
}

/// `expires` and `ttl` of a reply; error 109 when that moment has passed.
fn terms_of(
    expires_at: Option<chatsdk_types::Millis>,
    now: chatsdk_types::Millis,
) -> Result<(bool, u32), Denial> {
    match expires_at {
        None => Ok((false, 0)),
        Some(at) => ttl(at, now)
            .map(|ttl| (true, ttl))
            .ok_or_else(|| ErrorCode::TokenExpired.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_REPLY, escaped, fitting, ttl, valid};
    use chatsdk_protocol::{Encoding, Payload, Publication};

    #[test]
    fn a_reply_is_bounded_but_never_empty() {
        let publication = |size| Publication {
            data: Payload::new(vec![b'1'; size]),
            ..Publication::default()
        };
        let fit = |publications: &[Publication]| {
            fitting(publications, Encoding::Json, false, MAX_REPLY).0
        };
        assert_eq!(fit(&vec![publication(100); 300]), 300);
        assert_eq!(fit(&vec![publication(64 * 1024); 300]), 7);
        assert_eq!(fit(&[publication(MAX_REPLY * 2)]), 1);
        assert_eq!(fit(&[]), 0);
        let left = |most| fitting(&[publication(1000)], Encoding::Json, false, most).0;
        assert_eq!((left(1000), left(2000)), (0, 1), "what others have left");
    }

    #[test]
    fn what_has_to_be_escaped_counts_as_it_is_written() {
        let quotes = Publication {
            data: Payload::new(format!("\"{}\"", "\\\"".repeat(100_000))),
            ..Publication::default()
        };
        let three = [quotes.clone(), quotes.clone(), quotes];
        let fit = |encoding, delta| fitting(&three, encoding, delta, MAX_REPLY).0;
        assert_eq!(fit(Encoding::Json, false), 2);
        assert_eq!(fit(Encoding::Json, true), 1);
        assert_eq!(fit(Encoding::Protobuf, true), 2);
        for text in ["", "plain", "\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}ä"] {
            let written = serde_json::to_string(text).map_or(0, |written| written.len());
            assert_eq!(escaped(text.as_bytes()) + 2, written, "{text:?}");
        }
    }

    #[test]
    fn a_ttl_is_never_zero_nor_longer_than_a_year() {
        assert_eq!(ttl(3_600_999, 0), Some(3600));
        assert_eq!(ttl(1, 0), Some(1));
        assert_eq!(ttl(i64::MAX, -1), Some(31_536_000));
        assert_eq!(ttl(0, 0), None);
        assert_eq!(ttl(i64::MIN, i64::MAX), None);
    }

    #[test]
    fn channels_are_short_and_plain() {
        assert!(valid("a"));
        assert!(valid(&"x".repeat(255)));
        for bad in ["", "ä", &"x".repeat(256)] {
            assert!(!valid(bad), "{bad}");
        }
    }
}
