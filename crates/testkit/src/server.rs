//! A server in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use chatsdk_auth::api_key::Env;
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_auth::{Auth, KeyTerms};
use chatsdk_server::Server;
use chatsdk_server::config::{Config, Layers};
use chatsdk_store::{AppLifetimes, Store};
use chatsdk_types::{AppId, ManualClock, Scopes, SystemEntropy};

use crate::{Backend, http};

/// Which database a server stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file of its own.
    Sqlite,
    /// A database of its own on a throw-away cluster.
    Postgres,
}

/// The moment at which test clocks begin.
const BEGIN: i64 = 1_800_000_000_000;

/// What every server of the tests derives its keys from.
pub const SECRET: &str = "a deployment secret for tests, longer than thirty-two bytes";

/// A server on port 0 with a clock that the test moves, one app and one backend.
#[derive(Debug)]
pub struct TestServer {
    /// The clock of the server. Timers of sockets run on real time all the same.
    pub clock: ManualClock,
    /// Where its data lives.
    pub dir: Arc<tempfile::TempDir>,
    /// The app.
    pub app: AppId,
    /// The backend of the app.
    pub backend: Backend,
    layers: Layers,
    running: Option<Server>,
}

impl TestServer {
    /// A server on `database` with the defaults, and no rate limits.
    pub async fn start(database: Database) -> Self {
        Self::with(database, &[]).await
    }

    /// A server with these settings over the defaults.
    pub async fn with(database: Database, settings: &[(&'static str, &str)]) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory for the data"));
        let mut layers = Layers::load(None, |_| None).expect("defaults");
        layers.flag("data_dir", dir.path().to_str());
        layers.flag("listen", Some("127.0.0.1:0"));
        layers.flag("realtime_listen", Some("127.0.0.1:0"));
        layers.flag("rate_limits", Some("off"));
        layers.flag("tokens.min_access_ttl", Some("1s"));
        layers.flag("tokens.min_refresh_ttl", Some("1s"));
        if database == Database::Postgres {
            layers.flag("database_url", Some(chatsdk_pgtest::fresh_database().await));
        }
        for (key, value) in settings {
            layers.flag(key, Some(*value));
        }
        let clock = ManualClock::at(BEGIN);
        let auth = open(&layers, &clock).await;
        let terms = KeyTerms {
            env: Env::Test,
            name: "tests".into(),
            scopes: Scopes::all(),
            expires_in: None,
        };
        let (app, key) = auth
            .create_app("tests".into(), AppLifetimes::default(), terms, "test")
            .await
            .expect("an app");
        let running = launch(&layers, auth, &clock).await;
        let backend = Backend {
            address: running.api,
            key: key.text.as_str().to_owned(),
        };
        Self {
            clock,
            dir,
            app: app.id,
            backend,
            layers,
            running: Some(running),
        }
    }

    /// A second node on the same database, with its own data directory and the same clock.
    pub async fn another_node(&self) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory for the data"));
        let mut layers = self.layers.clone();
        layers.flag("data_dir", dir.path().to_str());
        let auth = open(&layers, &self.clock).await;
        let running = launch(&layers, auth, &self.clock).await;
        let backend = Backend {
            address: running.api,
            key: self.backend.key.clone(),
        };
        Self {
            clock: self.clock.clone(),
            dir,
            app: self.app.clone(),
            backend,
            layers,
            running: Some(running),
        }
    }

    /// Ends the server gracefully and starts it again on the same data, at other ports.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Ends the server gracefully.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().await.expect("a graceful end");
        }
    }

    /// Starts the server that was stopped.
    pub async fn start_again(&mut self) {
        let auth = open(&self.layers, &self.clock).await;
        let running = launch(&self.layers, auth, &self.clock).await;
        self.backend.address = running.api;
        self.running = Some(running);
    }

    fn running(&self) -> &Server {
        self.running.as_ref().expect("the server runs")
    }

    /// The token service of the server.
    pub fn auth(&self) -> &Auth {
        self.running().auth()
    }

    /// The API listener.
    pub fn api(&self) -> SocketAddr {
        self.running().api
    }

    /// The realtime listener.
    pub fn realtime(&self) -> SocketAddr {
        self.running().realtime
    }

    /// The server itself.
    pub fn server(&self) -> &Server {
        self.running()
    }

    /// The database through a connection that the server knows nothing of.
    pub async fn fresh_store(&self) -> Store {
        let config = Config::parse(&self.layers).expect("settings");
        Store::open(config.database)
            .await
            .expect("the database answers")
    }

    /// The address of the PostgreSQL database; empty for SQLite.
    pub fn database_url(&self) -> String {
        self.layers
            .iter()
            .find(|(setting, ..)| setting.key == "database_url")
            .map_or_else(String::new, |(_, value, _)| value.to_owned())
    }

    /// How many statements of the PostgreSQL database wait for a lock.
    pub async fn waiting_for_locks(&self) -> i64 {
        chatsdk_pgtest::waiting(&self.database_url()).await
    }

    /// A request to the API.
    pub fn request(&self, method: &str, path: &str) -> http::Request {
        http::request(self.api(), method, path)
    }

    /// A request to the API as the operator.
    pub fn operator(&self, method: &str, path: &str) -> http::Request {
        let bearer = format!("Bearer {}", operator_token(self.dir.path()));
        self.request(method, path).header("authorization", &bearer)
    }
}

/// The operator token of the node that serves from `data`.
pub fn operator_token(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("operator-token")).expect("a token");
    text.trim().to_owned()
}

async fn open(layers: &Layers, clock: &ManualClock) -> Auth {
    let config = Config::parse(layers).expect("settings");
    let store = Store::open(config.database.clone())
        .await
        .expect("the database answers");
    let secret = DeploymentSecret::parse(SECRET).expect("a secret");
    let (auth, _) = Auth::open(
        store,
        config.auth,
        &secret.into(),
        &config.data_dir,
        chatsdk_auth::OpenTo::Serve,
        Arc::new(clock.clone()),
        Arc::new(SystemEntropy),
    )
    .await
    .expect("the service opens");
    auth
}

async fn launch(layers: &Layers, auth: Auth, clock: &ManualClock) -> Server {
    let config = Config::parse(layers).expect("settings");
    Server::start(
        &config,
        auth,
        None,
        Arc::new(clock.clone()),
        Arc::new(SystemEntropy),
    )
    .await
    .expect("the server starts")
}
