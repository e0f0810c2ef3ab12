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
//! Locks are taken in the order hub, topic, list of subscriptions, subscription, state, outbound or ring; a
//! later one never waits for an earlier.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use chatsdk_protocol::push::Refresh;
use chatsdk_protocol::{ClientInfo, Disconnect, DisconnectCode, Payload, Push};
use chatsdk_types::{Millis, entropy};
use tokio::net::TcpStream;

use crate::authority::Identity;
use crate::engine::Shared;
use crate::lock;
use crate::outbound::{Flushed, Outbound, Sent};
use crate::stats::Stats;
use crate::subscriptions::Subscriptions;
use crate::transport::Shape;
use crate::transport::outlet::Outlet;

/// What sending looks at comes first, as in a subscription.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Connection {
    /// What others send is held back, because the connect reply is not out yet.
    holding: AtomicBool,
    shape: Shape,
    pub(crate) shared: Arc<Shared>,
    wire: Wire,
    /// Its number within this process, for the hub.
    pub(crate) id: u64,
    /// Its id for clients, a UUID.
    pub(crate) client: Arc<str>,
    /// When it was opened, by the wall clock.
    pub(crate) opened_at: Millis,
    pub(crate) subscriptions: Subscriptions,
    /// What others learn of it; there from [`Phase::Live`] on.
    info: OnceLock<Arc<ClientInfo>>,
    /// The first moment at which a token of a subscription ends; `Millis::MAX` for never.
    subscriptions_until: AtomicI64,
    state: Mutex<State>,
}

/// The way to the client.
#[derive(Debug)]
pub(crate) enum Wire {
    /// A socket that the engine writes to.
    Socket {
        socket: TcpStream,
        outbound: Mutex<Outbound>,
    },
    /// A response that hyper writes.
    Response(Arc<Outlet>),
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
    /// When the pong that is awaited is overdue. Not while a command is obeyed: what the client says is
    /// not read meanwhile.
    pong_due: u64,
    /// How many pings were not answered yet: more than one only where a command took that long.
    pongs_owed: u32,
    /// Since when a command is obeyed; `None`: the client is listened to.
    obeying: Option<u64>,
    /// When the present phase has lasted too long.
    deadline: u64,
    /// When the wheel looks at this connection next; `u64::MAX`: it does not stand in it.
    scheduled: u64,
    /// Frames that are held back, with the number of messages in each.
    held: Vec<(Bytes, usize)>,
    held_bytes: usize,
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
    Subscriptions,
    Kill,
}

const NEVER: u64 = u64::MAX;

impl Connection {
    pub(crate) fn new(wire: Wire, shape: Shape, shared: &Arc<Shared>) -> Arc<Self> {
        let deadline = shared.after(shared.config.stale_close_delay);
        let client = uuid::Builder::from_random_bytes(entropy::bytes(&*shared.entropy));
        let connection = Arc::new(Self {
            id: shared.next_id(),
            client: client.into_uuid().to_string().into(),
            opened_at: shared.clock.now(),
            subscriptions: Subscriptions::default(),
            wire,
            shape,
            info: OnceLock::new(),
            holding: AtomicBool::new(false),
            subscriptions_until: AtomicI64::new(Millis::MAX),
            state: Mutex::new(State {
                phase: Phase::Fresh,
                identity: None,
                expires_at: None,
                next_ping: NEVER,
                pong_due: NEVER,
                pongs_owed: 0,
                obeying: None,
                deadline,
                scheduled: NEVER,
                held: Vec::new(),
                held_bytes: 0,
            }),
            shared: Arc::clone(shared),
        });
        connection.stand_in_line(&mut lock(&connection.state));
        connection
    }

    /// See [`Subscription::prefetch`](crate::topics::subscription::Subscription::prefetch).
    pub(crate) fn prefetch(&self) {
        std::hint::black_box(self.holding.load(Ordering::Relaxed));
        std::hint::black_box(self.id);
    }

    pub(crate) const fn shape(&self) -> Shape {
        self.shape
    }

    /// The socket; `None` where hyper has it.
    pub(crate) const fn socket(&self) -> Option<&TcpStream> {
        match &self.wire {
            Wire::Socket { socket, .. } => Some(socket),
            Wire::Response(_) => None,
        }
    }

    /// What others learn of it; `None` before it is authenticated.
    pub(crate) fn info(&self) -> Option<&Arc<ClientInfo>> {
        self.info.get()
    }

    pub(crate) fn phase(&self) -> Phase {
        lock(&self.state).phase
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        lock(&self.state).identity.clone()
    }

    /// Whose it is and when its token ends, while it may talk.
    pub(crate) fn proof(&self) -> Option<(Identity, Option<Millis>)> {
        let state = lock(&self.state);
        let identity = state.identity.as_ref()?;
        (state.phase == Phase::Live).then(|| (identity.clone(), state.expires_at))
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
    pub(crate) fn admit(
        &self,
        identity: Identity,
        info: Payload,
        expires_at: Option<Millis>,
    ) -> bool {
        let mut state = lock(&self.state);
        let connecting = state.phase == Phase::Connecting;
        if connecting {
            state.phase = Phase::Live;
            self.holding.store(true, Ordering::Release);
            self.info.get_or_init(|| {
                Arc::new(ClientInfo {
                    user: Arc::clone(&identity.user),
                    client: Arc::clone(&self.client),
                    conn_info: info,
                    chan_info: Payload::default(),
                })
            });
            state.identity = Some(identity);
            state.expires_at = expires_at;
            state.deadline = NEVER;
        }
        connecting
    }

    /// Starts pings, the first one after `first_ping` milliseconds (`None`: no pings), and the watch
    /// over the expiry. Called when the connect reply is out, so that no ping overtakes it.
    pub(crate) fn start_timers(self: &Arc<Self>, first_ping: Option<u64>) {
        self.stop_holding();
        let mut state = lock(&self.state);
        if state.phase == Phase::Live {
            state.next_ping = first_ping.map_or(NEVER, |wait| self.shared.wheel.now() + wait);
            self.stand_in_line(&mut state);
        }
    }

    /// Sends what was held back.
    fn stop_holding(self: &Arc<Self>) {
        loop {
            let held = {
                let mut state = lock(&self.state);
                if state.held.is_empty() {
                    // What comes from here on goes straight out, behind what was held.
                    self.holding.store(false, Ordering::Release);
                    return;
                }
                state.held_bytes = 0;
                std::mem::take(&mut state.held)
            };
            for (frame, count) in held {
                self.send_now(frame, count);
            }
        }
    }

    /// Looks after the tokens of subscriptions, one of which is new.
    pub(crate) fn watch_subscriptions(self: &Arc<Self>) {
        let first = self.subscriptions.first_expiry().unwrap_or(Millis::MAX);
        self.subscriptions_until.store(first, Ordering::Relaxed);
        if first != Millis::MAX {
            self.stand_in_line(&mut lock(&self.state));
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

    /// Has its proof end at another time, and tells the client; `false`: it is not live.
    pub(crate) fn expire_at(self: &Arc<Self>, expires_at: Option<Millis>) -> bool {
        {
            let mut state = lock(&self.state);
            if state.phase != Phase::Live {
                return false;
            }
            state.expires_at = expires_at;
            self.stand_in_line(&mut state);
        }
        let left = expires_at.map(|at| at.saturating_sub(self.shared.clock.now()) / 1000);
        self.push(&Push::of_connection(Refresh {
            expires: left.is_some(),
            ttl: left.map_or(0, |left| left.clamp(1, Millis::from(u32::MAX)) as u32),
        }));
        true
    }

    /// Has the time for a pong stand still: the client is not listened to while its commands are obeyed.
    pub(crate) fn begin_obeying(&self) {
        lock(&self.state).obeying = Some(self.shared.wheel.now());
    }

    /// Listens to the client again; the time it has for a pong goes on where it stood.
    pub(crate) fn end_obeying(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if let Some(since) = state.obeying.take()
            && state.pong_due != NEVER
        {
            let took = self.shared.wheel.now().saturating_sub(since);
            state.pong_due = state.pong_due.saturating_add(took);
            self.stand_in_line(&mut state);
        }
    }

    /// Takes the answer to a ping; `false` when none was awaited.
    pub(crate) fn pong(&self) -> bool {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Closing => true,
            _ if state.pongs_owed == 0 => false,
            _ => {
                state.pongs_owed -= 1;
                if state.pongs_owed == 0 {
                    state.pong_due = NEVER;
                }
                true
            }
        }
    }

    /// Sends `frame`, a whole frame of the transport. It is dropped when the connection is closing.
    pub(crate) fn send(self: &Arc<Self>, frame: Bytes) {
        self.send_many(frame, 1);
    }

    /// Sends `frame`, in which there are `count` messages.
    pub(crate) fn send_many(self: &Arc<Self>, frame: Bytes, count: usize) {
        if self.holding.load(Ordering::Acquire) {
            let mut state = lock(&self.state);
            if self.holding.load(Ordering::Acquire) {
                let bytes = state.held_bytes.saturating_add(frame.len());
                if bytes <= self.shared.config.max_queue_bytes {
                    state.held_bytes = bytes;
                    state.held.push((frame, count));
                    return;
                }
                drop(state);
                Stats::add(&self.shared.stats.dropped, count);
                self.close(&DisconnectCode::Slow.into());
                return;
            }
        }
        self.send_now(frame, count);
    }

    /// Sends `frame`, also before what is held back: the replies to the client's own commands.
    pub(crate) fn send_now(self: &Arc<Self>, frame: Bytes, count: usize) {
        let stats = &self.shared.stats;
        let limit = self.shared.config.max_queue_bytes;
        let size = frame.len();
        let (sent, written) = match &self.wire {
            Wire::Socket { socket, outbound } => {
                let mut written = 0;
                let sent = lock(outbound).send(socket, frame, limit, &mut written);
                (sent, written)
            }
            Wire::Response(outlet) => match outlet.send(frame, limit) {
                Sent::Done => (Sent::Done, size),
                other => (other, 0),
            },
        };
        Stats::add(&stats.bytes_out, written);
        if matches!(sent, Sent::Done | Sent::Queued) {
            Stats::add(&stats.messages_out, count);
        }
        match sent {
            Sent::Done | Sent::Sealed => {}
            Sent::Queued => self.start_flushing(),
            Sent::Overflow => {
                Stats::add(&stats.dropped, count);
                self.close(&DisconnectCode::Slow.into());
            }
            Sent::Broken => self.kill(Some(DisconnectCode::WriteError)),
        }
    }

    /// Sends `push`; a payload that cannot be said in the client's encoding ends the connection.
    pub(crate) fn push(self: &Arc<Self>, push: &Push) {
        match self.shape.encoding().push(push) {
            Ok(message) => self.send(self.shape.frame(&message)),
            Err(_) => {
                self.close(&DisconnectCode::InappropriateProtocol.into());
            }
        }
    }

    /// Ends the connection with `why`. `false` when it was ending already.
    pub(crate) fn close(self: &Arc<Self>, why: &Disconnect) -> bool {
        let skip_queue = why.code() == DisconnectCode::Slow.code();
        self.close_with(why.code(), self.shape.goodbye(why), skip_queue)
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
        let (sent, written) = match &self.wire {
            Wire::Socket { socket, outbound } => {
                let mut written = 0;
                let sent = lock(outbound).finish(socket, last, skip_queue, &mut written);
                (sent, written)
            }
            Wire::Response(outlet) => {
                let size = last.len();
                match outlet.finish(last, skip_queue) {
                    Sent::Done => (Sent::Done, size),
                    other => (other, 0),
                }
            }
        };
        Stats::add(&self.shared.stats.bytes_out, written);
        if matches!(sent, Sent::Done | Sent::Queued) {
            Stats::add(&self.shared.stats.messages_out, 1);
        }
        match sent {
            Sent::Queued => self.start_flushing(),
            Sent::Broken => self.kill(None),
            Sent::Done | Sent::Sealed | Sent::Overflow => {}
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
        match &self.wire {
            Wire::Socket { socket, outbound } => {
                lock(outbound).seal();
                shut(socket, std::net::Shutdown::Both);
            }
            Wire::Response(outlet) => outlet.kill(),
        }
    }

    /// Tells the other side that nothing more will come, if everything is out.
    pub(crate) fn end_writing(&self) {
        if let Wire::Socket { socket, outbound } = &self.wire
            && lock(outbound).is_flushed()
        {
            shut(socket, std::net::Shutdown::Write);
        }
    }

    /// Waits until no more than `limit` bytes wait for the client, or it is closed.
    pub(crate) async fn room(&self, limit: usize) {
        std::future::poll_fn(|context| match &self.wire {
            Wire::Socket { outbound, .. } => lock(outbound).poll_room(limit, context),
            Wire::Response(outlet) => outlet.poll_room(limit, context),
        })
        .await;
    }

    /// Bytes that wait for the client.
    pub(crate) fn waiting(&self) -> usize {
        match &self.wire {
            Wire::Socket { outbound, .. } => lock(outbound).waiting(),
            Wire::Response(outlet) => outlet.waiting(),
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
            Due::Ping => self.send(self.shape.ping()),
            Due::Close(code) => {
                self.close(&code.into());
            }
            Due::Subscriptions => self.end_expired_subscriptions(),
            Due::Kill => return self.kill(None),
        }
        self.stand_in_line(&mut lock(&self.state));
    }

    /// Looks at the time now, because the wall clock may have jumped.
    pub(crate) fn recheck(self: &Arc<Self>) {
        let due = self.due(&mut lock(&self.state));
        match due {
            Due::Ping => self.send(self.shape.ping()),
            Due::Close(code) => {
                self.close(&code.into());
            }
            Due::Subscriptions => self.end_expired_subscriptions(),
            Due::Nothing | Due::Kill => {}
        }
        self.stand_in_line(&mut lock(&self.state));
    }

    fn end_expired_subscriptions(self: &Arc<Self>) {
        self.end_expired(self.shared.clock.now());
        let first = self.subscriptions.first_expiry().unwrap_or(Millis::MAX);
        self.subscriptions_until.store(first, Ordering::Relaxed);
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
                } else if self.subscription_expires_in() == 0 {
                    Due::Subscriptions
                } else if now >= state.pong_due && state.obeying.is_none() {
                    Due::Close(DisconnectCode::NoPong)
                } else if now >= state.next_ping {
                    let config = &self.shared.config;
                    state.next_ping = self.shared.after(config.ping_interval);
                    // One moment before the next ping at the latest: two pings do not overlap, unless a
                    // command takes that long.
                    let due = self
                        .shared
                        .after(config.pong_wait)
                        .min(state.next_ping.saturating_sub(1));
                    state.pong_due = state.pong_due.min(due);
                    state.pongs_owed += 1;
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

    /// Milliseconds until a subscription outlives its token too long; `NEVER` without an expiry.
    fn subscription_expires_in(&self) -> u64 {
        let until = self.subscriptions_until.load(Ordering::Relaxed);
        if until == Millis::MAX {
            return NEVER;
        }
        let delay = self.shared.config.expired_sub_close_delay.as_millis() as Millis;
        let left = until
            .saturating_add(delay)
            .saturating_sub(self.shared.clock.now());
        u64::try_from(left).unwrap_or(0)
    }

    /// Stands in the wheel for the next moment at which something may be due.
    fn stand_in_line(self: &Arc<Self>, state: &mut State) {
        let due = match state.phase {
            Phase::Live => {
                let expires = self
                    .shared
                    .wheel
                    .now()
                    .saturating_add(self.expires_in(state).min(self.subscription_expires_in()));
                let pong_due = if state.obeying.is_some() {
                    NEVER
                } else {
                    state.pong_due
                };
                expires.min(state.next_ping).min(pong_due)
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
            let Wire::Socket { socket, outbound } = &connection.wire else {
                return;
            };
            loop {
                let writable =
                    tokio::time::timeout(connection.shared.config.write_timeout, socket.writable());
                match writable.await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => {
                        return connection.kill(Some(DisconnectCode::WriteError));
                    }
                }
                let mut written = 0;
                let flushed = lock(outbound).flush(socket, &mut written);
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

fn shut(socket: &TcpStream, how: std::net::Shutdown) {
    // An error means that the other side was faster.
    if let Err(error) = socket2::SockRef::from(socket).shutdown(how) {
        tracing::trace!(%error, "a socket was already shut");
    }
}
