//! A running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatsdk_api::{ApiConfig, ApiState, DevConfig, RenderMetrics};
use chatsdk_auth::{Auth, AuthError, KeyCaller};
use chatsdk_realtime::Engine;
use chatsdk_types::{Clock, Entropy};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::TokenAuthority;
use crate::config::Config;
use crate::node_file::NodeFile;
use crate::operator_token::{OperatorToken, OperatorTokenError};
use crate::operators::LiveNode;
use crate::workers::Workers;
use crate::{jobs, listen, measures, sockets, telemetry};

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
    /// The threads that serve connections cannot be started.
    #[error("the threads that serve connections cannot be started: {0}")]
    Threads(std::io::Error),
    /// There is no operator token.
    #[error(transparent)]
    OperatorToken(#[from] OperatorTokenError),
    /// The token service cannot be opened.
    #[error(transparent)]
    Auth(#[from] AuthError),
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
    /// The threads that serve connections, for as long as the server is there.
    _workers: Workers,
    /// Tells commands where the server is, for as long as it is there.
    _node_file: Option<NodeFile>,
}

impl Server {
    /// Takes the addresses, starts the jobs and answers. The service must have been opened on a
    /// migrated store with the same clock.
    #[expect(
        clippy::unused_async,
        reason = "it starts tasks, and who awaits it is in a runtime"
    )]
    pub async fn start(
        config: &Config,
        auth: Auth,
        dev: Option<KeyCaller>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let token = match &config.operator_token {
            Some(given) => given.clone(),
            None => OperatorToken::open(&config.data_dir, &*entropy)?,
        };
        let api_listener = bind(config.listen)?;
        let realtime_listener = bind(config.realtime_listen)?;
        let address = |listener: &TcpListener, wanted| {
            listener.local_addr().map_err(|source| StartError::Listen {
                address: wanted,
                source,
            })
        };
        let api = address(&api_listener, config.listen)?;
        let realtime = address(&realtime_listener, config.realtime_listen)?;

        let metrics = telemetry::metrics();
        let engine = sockets::engine(config, &auth, Arc::clone(&clock), Arc::clone(&entropy));
        sockets::close_what_ends(&auth, &engine);
        let draining = Arc::new(AtomicBool::new(false));
        let handle = engine.handle().clone();
        let render: RenderMetrics =
            Arc::new(move || metrics.render() + &measures::of_engine(&handle));
        let api_config = api_config(config, dev, (api, realtime));
        let node = LiveNode::new(engine.handle().clone(), token, Arc::clone(&draining), clock);
        let state = ApiState::new(
            auth.clone(),
            api_config,
            render,
            Arc::clone(&draining),
            Arc::new(node),
        );
        let router = chatsdk_api::router_with(state, sockets::routes(&engine));

        let stop = CancellationToken::new();
        let (listeners, connections) = (TaskTracker::new(), TaskTracker::new());
        jobs::start(&auth, &stop, &listeners);
        let head_timeout = Duration::from_millis(config.request_timeout.as_millis().unsigned_abs());
        let workers = if config.shared_database {
            Workers::for_database_server()
        } else {
            Workers::start()
        }
        .map_err(StartError::Threads)?;
        for listener in [api_listener, realtime_listener] {
            listeners.spawn(listen::serve(
                listener,
                router.clone(),
                head_timeout,
                stop.clone(),
                workers.clone(),
                connections.clone(),
            ));
        }
        Ok(Self {
            api,
            realtime,
            auth,
            engine,
            draining,
            stop,
            listeners,
            connections,
            _workers: workers,
            _node_file: node_file(config, api, realtime),
        })
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
            self.engine.handle().drain().await;
            self.connections.wait().await;
            self.listeners.wait().await;
        });
        if drained.await.is_err() {
            tracing::warn!("some connections did not end in time; ending without them");
        }
        self.auth.close().await
    }
}

/// Leaves word where the server is. It is a help for commands, and no reason not to serve.
fn node_file(config: &Config, api: SocketAddr, realtime: SocketAddr) -> Option<NodeFile> {
    match NodeFile::write(&config.data_dir, api, realtime) {
        Ok(Some(file)) => Some(file),
        Ok(None) => {
            tracing::warn!(
                "another process serves from {}; commands that look into a live node will look into that one",
                config.data_dir.display()
            );
            None
        }
        Err(error) => {
            tracing::warn!(%error, "commands will not find this server by its data directory");
            None
        }
    }
}

/// How many connections may wait to be accepted. After an outage everybody comes back at once, and who finds
/// no room is heard again only a second later.
const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // As `TcpListener::bind` does: a restart finds the address free.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| StartError::Listen { address, source })
}

fn api_config(
    config: &Config,
    dev: Option<KeyCaller>,
    (api, realtime): (SocketAddr, SocketAddr),
) -> ApiConfig {
    ApiConfig {
        allowed_origins: config.allowed_origins.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        public_url: config.auth.issuer.clone(),
        body_timeout: Duration::from_millis(config.request_timeout.as_millis().unsigned_abs()),
        // The page is opened as `localhost`, and sockets of another host would be another site to it.
        dev: dev.map(|caller| DevConfig {
            caller,
            api_url: format!("http://localhost:{}", api.port()),
            ws_url: format!("ws://localhost:{}/connection/websocket", realtime.port()),
        }),
    }
}
