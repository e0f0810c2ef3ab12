//! What the host holds: an [`Engine`] to hand upgrade requests to, and a [`Handle`] to end connections,
//! count them and shut down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chatsdk_protocol::Disconnect;
use chatsdk_types::{Clock, Entropy};
use http::{Request, Response};
use http_body_util::Full;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::config::Config;
use crate::connection::Connection;
use crate::hub::Hub;
use crate::stats::Stats;
use crate::transport::websocket;
use crate::wheel::Wheel;

/// How many connections are closed before other tasks get their turn: about two milliseconds.
const BATCH: usize = 256;

/// The engine. Clones are the same engine.
#[derive(Debug)]
pub struct Engine<A> {
    authority: Arc<A>,
    handle: Handle,
}

impl<A> Clone for Engine<A> {
    fn clone(&self) -> Self {
        Self {
            authority: Arc::clone(&self.authority),
            handle: self.handle.clone(),
        }
    }
}

/// The part of an engine that does not depend on its host's authority. Clones are the same engine.
///
/// It may be used from any thread, inside the runtime or not.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) stats: Stats,
    pub(crate) hub: Hub,
    pub(crate) wheel: Arc<Wheel>,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
    next_id: AtomicU64,
    /// Ends the wheel with the engine.
    _stop: DropGuard,
}

/// Which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom<'a> {
    /// Those of one session.
    Session {
        /// The app of the session.
        app: &'a str,
        /// The session.
        session: &'a str,
    },
    /// Those of one user.
    User {
        /// The app of the user.
        app: &'a str,
        /// The user.
        user: &'a str,
    },
    /// Those of one user but for one session: "sign out my other devices".
    UserExcept {
        /// The app of the user.
        app: &'a str,
        /// The user.
        user: &'a str,
        /// The session that is spared.
        session: &'a str,
    },
    /// Those of one app.
    App {
        /// The app.
        app: &'a str,
    },
    /// All of them, those that are not authenticated yet as well.
    Everyone,
}

impl<A: Authority> Engine<A> {
    /// An engine that asks `authority`. Called inside a Tokio runtime, which its tasks then run on;
    /// they end with the last handle and connection.
    pub fn new(
        config: Config,
        authority: Arc<A>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let wheel = Arc::new(Wheel::new());
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Handle::current();
        runtime.spawn(Arc::clone(&wheel).turn(stop.clone()));
        Self {
            authority,
            handle: Handle(Arc::new(Shared {
                config,
                clock,
                entropy,
                stats: Stats::default(),
                hub: Hub::default(),
                wheel,
                tasks: TaskTracker::new(),
                runtime,
                next_id: AtomicU64::new(0),
                _stop: stop.drop_guard(),
            })),
        }
    }

    /// Answers an HTTP request for a WebSocket, and serves the WebSocket from then on. `remote` is the
    /// other end of the socket.
    ///
    /// The request must come from a hyper HTTP/1.1 connection that serves a
    /// `hyper_util::rt::TokioIo<tokio::net::TcpStream>` `with_upgrades()`, and its `OnUpgrade` extension
    /// must still be there. The answer is 101, or a refusal in plain text: 400 for a broken handshake or
    /// a token in the query, 403 for a foreign `Origin`, 405, 426 for what is no WebSocket request, 503
    /// while draining.
    pub fn upgrade<B>(
        &self,
        request: &mut Request<B>,
        remote: SocketAddr,
    ) -> Response<Full<Bytes>> {
        websocket::upgrade(self, request, remote)
    }

    /// The part of the engine that ends connections and counts them.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn authority(&self) -> &A {
        &self.authority
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.0
    }
}

impl Handle {
    /// Ends the connections of `whom` with `why`, and answers how many that are. Each of them is sent
    /// its close frame at once (more than a few hundred: within milliseconds, by a task), and is broken
    /// off after `close_wait` if the client does not answer.
    ///
    /// Connections whose connect or refresh command the authority is thinking about are included: give
    /// the order after the authority can see the reason for it.
    pub fn disconnect(&self, whom: &Whom<'_>, why: &Disconnect) -> usize {
        let found = self.0.hub.order(whom, why);
        let count = found.len();
        self.close_all(found, why);
        count
    }

    /// How many connections `whom` has now; for [`Whom::Everyone`] those that are not authenticated
    /// count, too.
    pub fn count(&self, whom: &Whom<'_>) -> usize {
        self.0.hub.count(whom)
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// Looks at every deadline now, because the wall clock was moved. Without it a connection finds
    /// out at its next ping.
    pub fn recheck(&self) {
        for connection in self.0.hub.find(&Whom::Everyone) {
            connection.recheck();
        }
    }

    /// Accepts no more connections, closes all with 3001 ("shutdown", after which clients come back),
    /// and waits until they are gone: about as long as clients take to answer, and `close_wait` at
    /// most once the authority has answered what it was asked.
    pub async fn drain(&self) {
        let open = self.0.hub.drain();
        self.close_all(open, &chatsdk_protocol::DisconnectCode::Shutdown.into());
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Whether [`Handle::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.0.hub.is_draining()
    }

    fn close_all(&self, mut connections: Vec<Arc<Connection>>, why: &Disconnect) {
        let rest = connections.split_off(connections.len().min(BATCH));
        for connection in connections {
            connection.close(why);
        }
        if !rest.is_empty() {
            // A task rather than a future of the caller's: a caller that goes away must not leave
            // half of them open.
            let why = why.clone();
            self.0.spawn(async move {
                for batch in rest.chunks(BATCH) {
                    tokio::task::yield_now().await;
                    for connection in batch {
                        connection.close(&why);
                    }
                }
            });
        }
    }
}

impl Shared {
    /// The wheel's time after `wait`.
    pub(crate) fn after(&self, wait: Duration) -> u64 {
        self.wheel.now().saturating_add(wait.as_millis() as u64)
    }

    /// Runs `task` to its end; [`Handle::drain`] waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// A number for a connection.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}
