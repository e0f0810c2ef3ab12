//! One open connection: its life, and what others may do to it.
//!
//! ```text
//! Fresh ── connect ──► Connecting ──► Live ──┐
//!   │                      └──► Refused ─────┤
//!   └────────────────────────────────────────┴──► Closing ──► gone
//! ```
//! A connection is read by one task (`transport::websocket`), written by whoever has something to say,
//! looked at by the wheel, and closed by any of them: the first close counts, later ones do nothing.
//!
//! Locks are taken in the order hub, state, outbound or ring; a later one never waits for an earlier.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chatsdk_protocol::{Disconnect, DisconnectCode};
use chatsdk_types::Millis;
use tokio::net::TcpStream;

use crate::authority::Identity;
use crate::engine::Shared;
use crate::lock;
use crate::outbound::{Flushed, Outbound, Sent};
use crate::stats::Stats;
use crate::transport::websocket::frame;

#[derive(Debug)]
pub(crate) struct Connection {
    /// Its number within this process, for the hub.
    pub(crate) id: u64,
    pub(crate) socket: TcpStream,
    pub(crate) shared: Arc<Shared>,
    state: Mutex<State>,
    outbound: Mutex<Outbound>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Whose it is; `Some` from [`Phase::Live`] on.
    identity: Option<Identity>,
    /// When its token ends, by the wall clock.
    expires_at: Option<Millis>,
    /// The moments below are in the wheel's time; `u64::MAX` means never.
    next_ping: u64,
    /// When the pong that is awaited is overdue.
    pong_due: u64,
    /// When the present phase has lasted too long.
    deadline: u64,
    /// When the wheel looks at this connection next; `u64::MAX`: it does not stand in it.
    scheduled: u64,
}

/// Where in its life a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing was said yet.
    Fresh,
    /// The authority is thinking about the connect command.
    Connecting,
    /// It may talk.
    Live,
    /// The connect command was answered with an error; the client is expected to hang up.
    Refused,
    /// The close frame is out; what the client still says is not heard.
    Closing,
}

/// What the wheel finds to do.
enum Due {
    Nothing,
    Ping,
    Close(DisconnectCode),
    Kill,
}

const NEVER: u64 = u64::MAX;

impl Connection {
    pub(crate) fn new(id: u64, socket: TcpStream, shared: Arc<Shared>) -> Arc<Self> {
        let deadline = shared.after(shared.config.stale_close_delay);
        let connection = Arc::new(Self {
            id,
            socket,
            state: Mutex::new(State {
                phase: Phase::Fresh,
                identity: None,
                expires_at: None,
                next_ping: NEVER,
                pong_due: NEVER,
                deadline,
                scheduled: NEVER,
            }),
            outbound: Mutex::default(),
            shared,
        });
        connection.stand_in_line(&mut lock(&connection.state));
        connection
    }

    pub(crate) fn phase(&self) -> Phase {
        lock(&self.state).phase
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        lock(&self.state).identity.clone()
    }

    /// From Fresh to Connecting; `false` when it was not Fresh.
    pub(crate) fn begin_connect(&self) -> bool {
        let mut state = lock(&self.state);
        let fresh = state.phase == Phase::Fresh;
        if fresh {
            state.phase = Phase::Connecting;
        }
        fresh
    }

    /// From Connecting to Refused: the client has `close_wait` to hang up.
    pub(crate) fn refuse(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.phase == Phase::Connecting {
            state.phase = Phase::Refused;
            state.deadline = state
                .deadline
                .min(self.shared.after(self.shared.config.close_wait));
            self.stand_in_line(&mut state);
        }
    }

    /// From Connecting to Live, as `identity`; `false` when it was closed in the meantime. Called with
    /// the hub locked.
    pub(crate) fn admit(&self, identity: Identity, expires_at: Option<Millis>) -> bool {
        let mut state = lock(&self.state);
        let connecting = state.phase == Phase::Connecting;
        if connecting {
            state.phase = Phase::Live;
            state.identity = Some(identity);
            state.expires_at = expires_at;
            state.deadline = NEVER;
        }
        connecting
    }

    /// Starts pings, the first one after `first_ping` milliseconds (`None`: no pings), and the watch
    /// over the expiry. Called when the connect reply is out, so that no ping overtakes it.
    pub(crate) fn start_timers(self: &Arc<Self>, first_ping: Option<u64>) {
        let mut state = lock(&self.state);
        if state.phase == Phase::Live {
            state.next_ping = first_ping.map_or(NEVER, |wait| self.shared.wheel.now() + wait);
            self.stand_in_line(&mut state);
        }
    }

    /// Has a newer proof in force, and `identity`, which differs at most in its session. Called with
    /// the hub locked.
    pub(crate) fn renew(self: &Arc<Self>, identity: Identity, expires_at: Option<Millis>) -> bool {
        let mut state = lock(&self.state);
        let live = state.phase == Phase::Live;
        if live {
            state.identity = Some(identity);
            state.expires_at = expires_at;
            self.stand_in_line(&mut state);
        }
        live
    }

    /// Takes the answer to a ping; `false` when none was awaited.
    pub(crate) fn pong(&self) -> bool {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Closing => true,
            _ => std::mem::replace(&mut state.pong_due, NEVER) != NEVER,
        }
    }

    /// Sends `frame`, a whole frame of the transport. It is dropped when the connection is closing.
    pub(crate) fn send(self: &Arc<Self>, frame: Bytes) {
        let mut written = 0;
        let sent = lock(&self.outbound).send(
            &self.socket,
            frame,
            self.shared.config.max_queue_bytes,
            &mut written,
        );
        Stats::add(&self.shared.stats.messages_out, 1);
        Stats::add(&self.shared.stats.bytes_out, written);
        match sent {
            Sent::Done => {}
            Sent::Queued => self.start_flushing(),
            Sent::Overflow => {
                self.close(&DisconnectCode::Slow.into());
            }
            Sent::Broken => self.kill(Some(DisconnectCode::WriteError)),
        }
    }

    /// Ends the connection with `why`. `false` when it was ending already.
    pub(crate) fn close(self: &Arc<Self>, why: &Disconnect) -> bool {
        let skip_queue = why.code() == DisconnectCode::Slow.code();
        self.close_with(
            why.code(),
            frame::close(why.code(), why.reason()),
            skip_queue,
        )
    }

    /// Ends the connection with the close frame `last`; `code` is what is counted.
    pub(crate) fn close_with(self: &Arc<Self>, code: u16, last: Bytes, skip_queue: bool) -> bool {
        {
            let mut state = lock(&self.state);
            if state.phase == Phase::Closing {
                return false;
            }
            state.phase = Phase::Closing;
            state.deadline = self.shared.after(self.shared.config.close_wait);
            self.stand_in_line(&mut state);
        }
        self.shared.stats.closed(code);
        let mut written = 0;
        let sent = lock(&self.outbound).finish(&self.socket, last, skip_queue, &mut written);
        Stats::add(&self.shared.stats.messages_out, 1);
        Stats::add(&self.shared.stats.bytes_out, written);
        match sent {
            Sent::Queued => self.start_flushing(),
            Sent::Broken => self.kill(None),
            Sent::Done | Sent::Overflow => {}
        }
        true
    }

    /// Breaks the socket off, which wakes its reader and its flusher; `code` is counted unless the
    /// connection was closing.
    pub(crate) fn kill(&self, code: Option<DisconnectCode>) {
        let was = std::mem::replace(&mut lock(&self.state).phase, Phase::Closing);
        if let Some(code) = code
            && was != Phase::Closing
        {
            self.shared.stats.closed(code.code());
        }
        lock(&self.outbound).seal();
        self.shut(std::net::Shutdown::Both);
    }

    /// Tells the other side that nothing more will come, if everything is out.
    pub(crate) fn end_writing(&self) {
        if lock(&self.outbound).is_flushed() {
            self.shut(std::net::Shutdown::Write);
        }
    }

    fn shut(&self, how: std::net::Shutdown) {
        // An error means that the other side was faster.
        if let Err(error) = socket2::SockRef::from(&self.socket).shutdown(how) {
            tracing::trace!(%error, "a socket was already shut");
        }
    }

    /// What is due now? Called by the wheel, `at` the moment that the entry stood for.
    pub(crate) fn look_at_time(self: &Arc<Self>, at: u64) {
        let due = {
            let mut state = lock(&self.state);
            if state.scheduled > at {
                // A later entry stands for this connection; this one was overtaken by an earlier one.
                return;
            }
            state.scheduled = NEVER;
            self.due(&mut state)
        };
        match due {
            Due::Nothing => {}
            Due::Ping => self.send(frame::PING),
            Due::Close(code) => {
                self.close(&code.into());
            }
            Due::Kill => return self.kill(None),
        }
        self.stand_in_line(&mut lock(&self.state));
    }

    /// Looks at the time now, because the wall clock may have jumped.
    pub(crate) fn recheck(self: &Arc<Self>) {
        let due = self.due(&mut lock(&self.state));
        match due {
            Due::Ping => self.send(frame::PING),
            Due::Close(code) => {
                self.close(&code.into());
            }
            Due::Nothing | Due::Kill => {}
        }
        self.stand_in_line(&mut lock(&self.state));
    }

    fn due(&self, state: &mut State) -> Due {
        let now = self.shared.wheel.now();
        match state.phase {
            Phase::Closing if now >= state.deadline => Due::Kill,
            Phase::Closing => Due::Nothing,
            Phase::Fresh | Phase::Connecting | Phase::Refused => {
                if now >= state.deadline {
                    Due::Close(DisconnectCode::Stale)
                } else {
                    Due::Nothing
                }
            }
            Phase::Live => {
                if self.expires_in(state) == 0 {
                    Due::Close(DisconnectCode::ConnectionExpired)
                } else if now >= state.pong_due {
                    Due::Close(DisconnectCode::NoPong)
                } else if now >= state.next_ping {
                    let config = &self.shared.config;
                    state.next_ping = self.shared.after(config.ping_interval);
                    // One moment before the next ping at the latest: two pings must not overlap.
                    state.pong_due = self
                        .shared
                        .after(config.pong_wait)
                        .min(state.next_ping.saturating_sub(1));
                    Due::Ping
                } else {
                    Due::Nothing
                }
            }
        }
    }

    /// Milliseconds until the connection outlives its token too long; `NEVER` without an expiry.
    fn expires_in(&self, state: &State) -> u64 {
        state.expires_at.map_or(NEVER, |expires_at| {
            let delay = self.shared.config.expired_close_delay.as_millis() as Millis;
            let left = expires_at
                .saturating_add(delay)
                .saturating_sub(self.shared.clock.now());
            u64::try_from(left).unwrap_or(0)
        })
    }

    /// Stands in the wheel for the next moment at which something may be due.
    fn stand_in_line(self: &Arc<Self>, state: &mut State) {
        let due = match state.phase {
            Phase::Live => {
                let expires = self
                    .shared
                    .wheel
                    .now()
                    .saturating_add(self.expires_in(state));
                expires.min(state.next_ping).min(state.pong_due)
            }
            _ => state.deadline,
        };
        if due < state.scheduled {
            state.scheduled = self.shared.wheel.schedule(Arc::downgrade(self), due);
        }
    }

    /// Starts the task that empties the queue. There is at most one: a queue is made once and goes
    /// with its task.
    fn start_flushing(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        self.shared.spawn(async move {
            loop {
                let writable = tokio::time::timeout(
                    connection.shared.config.write_timeout,
                    connection.socket.writable(),
                );
                match writable.await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => {
                        return connection.kill(Some(DisconnectCode::WriteError));
                    }
                }
                let mut written = 0;
                let flushed = lock(&connection.outbound).flush(&connection.socket, &mut written);
                Stats::add(&connection.shared.stats.bytes_out, written);
                match flushed {
                    Flushed::Empty => return,
                    Flushed::Full => {}
                    Flushed::Broken => {
                        return connection.kill(Some(DisconnectCode::WriteError));
                    }
                }
                tokio::task::consume_budget().await;
            }
        });
    }
}
