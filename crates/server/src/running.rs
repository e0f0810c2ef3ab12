//! A running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatsdk_auth::{Auth, AuthError};
use chatsdk_realtime::Engine;
use chatsdk_types::{AppId, Clock, Entropy};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::TokenAuthority;
use crate::config::Config;
use crate::{jobs, listen, sockets, telemetry};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The token service cannot be opened.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// The app that the page of `chatsdk dev` talks to.
#[derive(Debug, Clone)]
pub struct DevApp {
    /// Its id.
    pub app: AppId,
}

/// How long a draining server waits for requests and sockets to end.
const DRAIN: Duration = Duration::from_secs(20);

/// A server that answers. Dropping it does not end it; [`Server::shutdown`] does.
#[derive(Debug)]
pub struct Server {
    /// Where the API listener is.
    pub api: SocketAddr,
    /// Where the realtime listener is.
    pub realtime: SocketAddr,
    auth: Auth,
    engine: Engine<TokenAuthority>,
    draining: Arc<AtomicBool>,
    stop: CancellationToken,
    listeners: TaskTracker,
    connections: TaskTracker,
}

impl Server {
    /// Takes the addresses, starts the jobs and answers. The service must have been opened on a
    /// migrated store with the same clock.
    pub async fn start(
        config: &Config,
        auth: Auth,
        dev: Option<DevApp>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let api_listener = bind(config.listen).await?;
        let realtime_listener = bind(config.realtime_listen).await?;
        let address = |listener: &TcpListener, wanted| {
            listener.local_addr().map_err(|source| StartError::Listen { address: wanted, source })
        };
        let api = address(&api_listener, config.listen)?;
        let realtime = address(&realtime_listener, config.realtime_listen)?;

        let metrics = telemetry::metrics();
        let engine = sockets::engine(config, &auth, Arc::clone(&clock), Arc::clone(&entropy));
        sockets::close_what_ends(&auth, &engine);
        let draining = Arc::new(AtomicBool::new(false));
        let state = sockets::api_state(config, &auth, &engine, dev, (api, realtime), metrics, Arc::clone(&draining));
        let router = sockets::routes(chatsdk_api::router(state), &engine);

        let stop = CancellationToken::new();
        let (listeners, connections) = (TaskTracker::new(), TaskTracker::new());
        jobs::start(&auth, &stop, &listeners);
        let head_timeout = Duration::from_millis(config.request_timeout.as_millis().unsigned_abs());
        for listener in [api_listener, realtime_listener] {
            listeners.spawn(listen::serve(listener, router.clone(), head_timeout, stop.clone(), connections.clone()));
        }
        Ok(Self { api, realtime, auth, engine, draining, stop, listeners, connections })
    }

    /// The token service.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The realtime engine.
    pub fn engine(&self) -> &Engine<TokenAuthority> {
        &self.engine
    }

    /// Ends gracefully: accepts nothing more, finishes the requests under way, closes sockets so that
    /// their clients come back elsewhere, writes what is only in memory, closes the store.
    pub async fn shutdown(self) -> Result<(), AuthError> {
        self.draining.store(true, Ordering::Release);
        self.stop.cancel();
        self.listeners.close();
        self.connections.close();
        let drained = tokio::time::timeout(DRAIN, async {
            self.engine.drain().await;
            self.connections.wait().await;
            self.listeners.wait().await;
        });
        if drained.await.is_err() {
            tracing::warn!("some connections did not end in time; ending without them");
        }
        self.auth.close().await
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}
