//! The realtime connection: opens a WebSocket with a fresh token, keeps the token fresh in band, and comes
//! back after every loss. What the server considers final (a refused token, a revoked session) is answered
//! by one refresh: only the answer to that can end a session.

use std::borrow::Cow;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chatsdk_protocol::command::{ConnectRequest, RefreshRequest};
use chatsdk_protocol::json::{encode_command, server_messages};
use chatsdk_protocol::{
    Command, DisconnectCode, ErrorCode, Method, Push, PushBody, ReplyBody, ServerMessage,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{
    Error as SocketError, Message, client::IntoClientRequest as _,
};

use crate::events::{Event, Events};
use crate::native::{Stream, dial};
use crate::platform::Platform;
use crate::tokens::{LONGEST, TokenManager, TokenState, backoff, read_claims};

/// How the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is being opened for the first time.
    Connecting,
    /// The server has accepted it.
    Connected,
    /// Everything between a loss, or a first refresh that failed, and the next success; it heals by itself.
    Offline,
    /// It was closed here, or the session is over.
    Closed,
}

/// How long the opening of a connection may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer than the interval of the server's pings nothing may come.
const PING_GRACE: Duration = Duration::from_secs(10);
/// How long the answer to an in-band refresh is waited for.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many pushes wait for whoever takes them.
const PUSHES: usize = 1_024;
/// A connection that stood for so long has healed what was wrong before it.
const CALM: Duration = Duration::from_mins(1);

/// A realtime connection. Dropping it closes it.
#[derive(Debug)]
pub struct Realtime {
    state: watch::Receiver<ConnectionState>,
    pushes: mpsc::Receiver<Push>,
    task: tokio::task::JoinHandle<()>,
}

impl Realtime {
    /// Opens a connection to `url` (`ws://` or `wss://`) with the tokens of `tokens`, and keeps it open on the
    /// runtime that this is called on.
    pub fn open<P: Platform>(url: &str, tokens: TokenManager<P>, platform: Arc<P>) -> Self {
        let (state, watched) = watch::channel(ConnectionState::Connecting);
        let (pushes, received) = mpsc::channel(PUSHES);
        let connection = Connection {
            url: url.to_owned(),
            tokens,
            platform,
            state,
            pushes,
        };
        Self {
            state: watched,
            pushes: received,
            task: tokio::spawn(connection.run()),
        }
    }

    /// How it stands.
    pub fn state(&self) -> ConnectionState {
        *self.state.borrow()
    }

    /// Waits until it stands so; false where it is closed and never will.
    pub async fn reaches(&mut self, wanted: ConnectionState) -> bool {
        self.state.wait_for(|state| *state == wanted).await.is_ok()
    }

    /// Another view of its state.
    pub fn watch(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }

    /// The next thing that the server says unasked; `None` when the connection is closed. As many as 1 024 wait until
    /// they are taken; then nothing more is read, and a server that is not read from hangs up in the end. Who wants none
    /// of them says so: [`Self::ignore_pushes`]. Safe to drop: what was not answered is still there.
    pub async fn push(&mut self) -> Option<Push> {
        self.pushes.recv().await
    }
}

impl Realtime {
    /// Lets go of what the server says unasked.
    pub fn ignore_pushes(&mut self) {
        self.pushes.close();
        while self.pushes.try_recv().is_ok() {}
    }
}

impl Drop for Realtime {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a connection ended, as far as it matters for the next one.
enum Lost {
    /// The server would not have the token.
    Refused,
    /// The tokens speak for another session now.
    Overtaken,
    /// Anything else.
    Weather,
}

struct Connection<P> {
    url: String,
    tokens: TokenManager<P>,
    platform: Arc<P>,
    state: watch::Sender<ConnectionState>,
    pushes: mpsc::Sender<Push>,
}

type Socket = WebSocketStream<Stream>;

impl<P: Platform> Connection<P> {
    async fn run(self) {
        let mut refused: Option<String> = None;
        let mut failures = 0;
        let mut events = self.tokens.events();
        // An error says that the session is over or closed.
        while let Ok(token) = self.token(refused.as_deref(), &mut events).await {
            let began = Instant::now();
            let mut sent = token;
            let lost = self.connection(&mut sent, &mut events).await;
            if matches!(lost, Lost::Overtaken) {
                // Nobody is told of the gap unless it lasts.
                refused = None;
                continue;
            }
            self.state.send_replace(ConnectionState::Offline);
            if began.elapsed() >= CALM {
                failures = 0;
            }
            failures += 1;
            let is_refused = matches!(lost, Lost::Refused);
            refused = is_refused.then_some(sent);
            // The first refusal is answered at once: the wait for another token is wait enough.
            if !is_refused || failures > 1 {
                let pause = backoff(failures, self.platform.random(), LONGEST);
                sleep(Duration::from_millis(pause.unsigned_abs())).await;
            }
        }
        self.state.send_replace(ConnectionState::Closed);
    }

    /// A token that works and is not `refused`, however long that takes. While a refresh is tried again, there is none, and
    /// no socket is tried that would be lost.
    async fn token(
        &self,
        refused: Option<&str>,
        events: &mut Events,
    ) -> Result<String, crate::Error> {
        let mut token = pin!(self.tokens.token_other_than(refused));
        loop {
            let event = tokio::select! {
                biased;
                token = &mut token => return token,
                event = events.next() => event,
            };
            match event {
                Some(Event::State(TokenState::Expired)) => {
                    self.state.send_replace(ConnectionState::Offline);
                }
                Some(_) => {}
                None => return token.await,
            }
        }
    }

    /// One connection, from opening to loss. `sent` is the token that the server was last shown.
    async fn connection(&self, sent: &mut String, events: &mut Events) -> Lost {
        let patience = Instant::now() + OPEN_TIMEOUT;
        let Ok(Some(mut socket)) = timeout_at(patience, self.upgrade()).await else {
            return Lost::Weather;
        };
        let connect = Method::Connect(Box::new(ConnectRequest {
            token: Cow::Borrowed(sent.as_str()),
            name: "rust".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..ConnectRequest::default()
        }));
        if say(&mut socket, 1, connect).await.is_err() {
            return Lost::Weather;
        }
        let mut terms = Terms {
            refresh_at: None,
            silence: OPEN_TIMEOUT,
            pong: false,
        };
        let session = read_claims(sent).and_then(|claims| claims.sid);
        let mut next_id = 1;
        // Until when what was said last has to be answered: the connect, or an in-band refresh. Whatever else comes in
        // between, pings for instance, is no answer.
        let mut asked = Some(patience);
        let mut heard = Instant::now();
        loop {
            let refresh_at = terms.refresh_at.unwrap_or_else(far);
            let give_up = asked.unwrap_or_else(far).min(heard + terms.silence);
            let frame = tokio::select! {
                frame = socket.next() => frame,
                () = sleep_until(give_up) => return Lost::Weather,
                // Somebody signed the same user in anew: what is open still belongs to the old session.
                () = self.overtaken(events, session.as_deref()) => return Lost::Overtaken,
                token = self.next_token(refresh_at, sent) => {
                    let Ok(token) = token else { return Lost::Weather };
                    *sent = token;
                    terms.refresh_at = None;
                    next_id += 1;
                    asked = Some(Instant::now() + REPLY_TIMEOUT);
                    let token = Cow::Borrowed(sent.as_str());
                    let refresh = Method::Refresh(RefreshRequest { token });
                    if say(&mut socket, next_id, refresh).await.is_err() {
                        return Lost::Weather;
                    }
                    continue;
                }
            };
            heard = Instant::now();
            let text = match frame {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(Some(close)))) => {
                    return lost(u32::from(u16::from(close.code)), close.reason.as_str());
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Lost::Weather,
                Some(Ok(_)) => continue,
            };
            for message in server_messages(&text) {
                match message {
                    Err(_) => return Lost::Weather,
                    Ok(ServerMessage::Ping) => {
                        let gone = terms.pong && say(&mut socket, 0, Method::Pong).await.is_err();
                        if gone {
                            return Lost::Weather;
                        }
                    }
                    Ok(ServerMessage::Push(push)) => match push.body {
                        PushBody::Disconnect(push) => return lost(push.code, &push.reason),
                        PushBody::Refresh(push) => terms.renew(push.expires, push.ttl),
                        _ => {
                            let _nobody_listens = self.pushes.send(push).await;
                        }
                    },
                    Ok(ServerMessage::Reply(reply)) => match reply.body {
                        ReplyBody::Connect(result) => {
                            asked = None;
                            terms.renew(result.expires, result.ttl);
                            terms.pong = result.pong;
                            terms.silence = match result.ping {
                                0 => Duration::from_hours(24),
                                ping => Duration::from_secs(ping.into()) + PING_GRACE,
                            };
                            self.state.send_replace(ConnectionState::Connected);
                        }
                        ReplyBody::Refresh(result) => {
                            asked = None;
                            terms.renew(result.expires, result.ttl);
                        }
                        ReplyBody::Error(error) if error.code == ErrorCode::TokenExpired.code() => {
                            return Lost::Refused;
                        }
                        ReplyBody::Error(_) => return Lost::Weather,
                        _ => {}
                    },
                    Ok(ServerMessage::Unknown) => {}
                }
            }
        }
    }

    /// Waits until the tokens speak for another session than `ours`.
    async fn overtaken(&self, events: &mut Events, ours: Option<&str>) {
        while let Some(event) = events.next().await {
            if !matches!(event, Event::Refreshed { .. }) {
                continue;
            }
            // The event may be of long ago; what counts is whose token is in use.
            let tokens = self.tokens.tokens();
            let theirs = tokens.and_then(|tokens| read_claims(&tokens.access_token)?.sid);
            if ours.is_some() && theirs.is_some() && theirs.as_deref() != ours {
                return;
            }
        }
        pending::<()>().await;
    }

    async fn upgrade(&self) -> Option<Socket> {
        let request = self.url.as_str().into_client_request().ok()?;
        let stream = dial(request.uri()).await.ok()?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .ok()?;
        Some(socket)
    }

    /// Another token, when it is time for one.
    async fn next_token(&self, at: Instant, sent: &str) -> Result<String, crate::Error> {
        sleep_until(at).await;
        self.tokens.other_than(Some(sent), true).await
    }
}

/// What the server said of the connection.
struct Terms {
    refresh_at: Option<Instant>,
    /// How long nothing may come.
    silence: Duration,
    pong: bool,
}

impl Terms {
    fn renew(&mut self, expires: bool, ttl: u32) {
        // A token that nothing can replace is shown again: not in a circle.
        let ttl = Duration::from_secs(ttl.max(1).into());
        self.refresh_at = expires.then(|| Instant::now() + ttl);
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_hours(24)
}

fn lost(code: u32, reason: &str) -> Lost {
    let is = |refusal: DisconnectCode| u32::from(refusal.code()) == code;
    // What ends a session has its code for a reason; an operator, who ends a connection, whatever he likes.
    let forced = is(DisconnectCode::ForceDisconnect) && reason.contains('_');
    if forced || is(DisconnectCode::InvalidToken) || code == ErrorCode::TokenExpired.code() {
        Lost::Refused
    } else {
        Lost::Weather
    }
}

async fn say(socket: &mut Socket, id: u32, method: Method<'_>) -> Result<(), SocketError> {
    let mut text = BytesMut::new();
    // Our own commands carry no payload, so that they are always JSON.
    let _always = encode_command(&Command { id, method }, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    socket.send(Message::text(text)).await
}

#[cfg(test)]
mod tests {
    use super::{Lost, lost};

    #[test]
    fn an_operator_who_ends_a_connection_says_nothing_of_the_token() {
        assert!(matches!(lost(3503, "session_revoked"), Lost::Refused));
        assert!(matches!(lost(3500, "invalid token"), Lost::Refused));
        assert!(matches!(lost(3503, "force disconnect"), Lost::Weather));
        assert!(matches!(lost(3503, ""), Lost::Weather));
    }
}
