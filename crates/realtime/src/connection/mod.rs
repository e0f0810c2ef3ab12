//! One open connection: its life, and what others may do to it.
//!
//! ```text
//! Fresh ── connect ──► Connecting ──► Live ──┐
//!   │                      └──► Refused ─────┤
//!   └────────────────────────────────────────┴──► Closing ──► gone
//! ```
//! - `writing`: what is sent, held back and closed.
//! - `timing`: pings, deadlines, the ends of tokens.
//!
//! A connection is read by one task (`transport::websocket`), written by whoever has something to say,
//! looked at by the wheel, and closed by any of them: the first close counts, later ones do nothing.
//!
//! Locks are taken in the order hub, topic, list of subscriptions, subscription, state, outbound or ring; a
//! later one never waits for an earlier.

mod timing;
mod writing;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use chatsdk_protocol::{ClientInfo, Payload};
use chatsdk_types::{Millis, entropy};
use tokio::net::TcpStream;

use crate::authority::Identity;
use crate::engine::Shared;
use crate::lock;
use crate::outbound::Outbound;
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
}
