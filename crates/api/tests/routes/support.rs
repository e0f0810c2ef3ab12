//! A server, and a client that sends exactly what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use chatsdk_api::node::{
    Close, ConnectionDetail, ConnectionView, NodeStatus, Publication, Published, Step, TopicView,
    Unpublished, Wanted, Whom,
};
use chatsdk_api::{ApiConfig, ApiState, DevConfig, Node};
use chatsdk_auth::api_key::Env;
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_auth::{Auth, AuthConfig, KeyTerms, Peer};
use chatsdk_store::{AppLifetimes, Location, Store};
use chatsdk_types::{AppId, ManualClock, Scope, Scopes, SystemEntropy};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The moment at which the clock begins.
pub(crate) const BEGIN: i64 = 1_800_000_000_000;

/// A server on a free port of loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) auth: Auth,
    pub(crate) clock: ManualClock,
    pub(crate) app: AppId,
    pub(crate) key: String,
    pub(crate) draining: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

/// How a server of a test differs from the others.
#[derive(Default)]
pub(crate) struct With {
    pub(crate) config: ApiConfig,
    pub(crate) rate_limits: bool,
    pub(crate) dev: bool,
    pub(crate) more: Router,
    /// The live node; an empty one where none is given.
    pub(crate) node: Option<Arc<dyn Node>>,
}

/// The operator token of every node of these tests.
pub(crate) const OPERATOR: &str = "cso_an-operator-token-for-tests-long-enough";

/// A node where nothing is connected.
#[derive(Debug)]
struct Empty;

impl Empty {
    fn step<T>() -> Step<T> {
        Step {
            items: Vec::new(),
            next: None,
        }
    }
}

impl Node for Empty {
    fn admits(&self, token: &str) -> bool {
        token == OPERATOR
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            version: String::new(),
            started_at: BEGIN,
            uptime_ms: 0,
            draining: false,
            sockets: 0,
            connections: 0,
            subscriptions: 0,
            topics: 0,
            publications: 0,
        }
    }

    fn connections(&self, _: &Wanted, _: u64, _: usize) -> Step<ConnectionView> {
        Self::step()
    }

    fn connection(&self, _: &str, _: u64) -> Step<ConnectionDetail> {
        Self::step()
    }

    fn topics(&self, _: Option<&AppId>, _: u64, _: usize) -> Step<TopicView> {
        Self::step()
    }

    fn disconnect(&self, _: &AppId, _: &Whom, _: &Close) -> usize {
        0
    }

    fn disconnect_client(&self, _: Option<&AppId>, _: &str, _: &Close, _: u64) -> Step<()> {
        Self::step()
    }

    fn publish(&self, _: &Publication<'_>) -> Result<Published, Unpublished> {
        Err(Unpublished::NoTopic)
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(With::default()).await
    }

    pub(crate) async fn with(with: With) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Location::Sqlite(dir.path().join("chatsdk.db")))
            .await
            .unwrap();
        let clock = ManualClock::at(BEGIN);
        let secret =
            DeploymentSecret::parse("a deployment secret for tests, longer than thirty-two bytes")
                .unwrap();
        let config = AuthConfig {
            rate_limits: with.rate_limits,
            ..AuthConfig::default()
        };
        let (auth, _) = Auth::open(
            store,
            config,
            &secret.into(),
            dir.path(),
            chatsdk_auth::OpenTo::Serve,
            Arc::new(clock.clone()),
            Arc::new(SystemEntropy),
        )
        .await
        .unwrap();
        let (app, key) = auth
            .create_app(
                "tests".into(),
                AppLifetimes::default(),
                terms(Scopes::all()),
                "test",
            )
            .await
            .unwrap();
        let key = key.text.as_str().to_owned();
        let mut config = with.config;
        if with.dev {
            let caller = auth
                .authenticate_key(&key, Scope::TokensMint, &Peer::default())
                .await
                .unwrap();
            config.dev = Some(DevConfig {
                caller,
                api_url: "http://localhost:5500".into(),
                ws_url: "ws://localhost:8001/connection/websocket".into(),
            });
        }
        let draining = Arc::new(AtomicBool::new(false));
        let state = ApiState::new(
            auth.clone(),
            config,
            Arc::new(|| "up 1\n".into()),
            Arc::clone(&draining),
            with.node.unwrap_or_else(|| Arc::new(Empty)),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = chatsdk_api::router_with(state, with.more);
        tokio::spawn(async move {
            axum::serve(
                listener,
                router.into_make_service_with_connect_info::<SocketAddr>(),
            )
            .await
        });
        Self {
            address,
            auth,
            clock,
            app: app.id,
            key,
            draining,
            _dir: dir,
        }
    }

    /// Another key of the app.
    pub(crate) async fn key_with(&self, scopes: &[Scope]) -> (chatsdk_types::KeyId, String) {
        let terms = terms(scopes.iter().copied().collect());
        let key = self
            .auth
            .create_key(&self.app, terms, "test", &Peer::default())
            .await
            .unwrap()
            .unwrap();
        (key.id, key.text.as_str().to_owned())
    }

    /// Sends a request that is whole.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n").into_bytes();
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request.extend(format!("Host: localhost:{}\r\n", self.address.port()).bytes());
        }
        for (name, value) in headers {
            request.extend(format!("{name}: {value}\r\n").bytes());
        }
        if !body.is_empty() || method == "POST" {
            request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        request.extend(b"\r\n");
        request.extend(body);
        self.send_bytes(&request).await
    }

    /// Sends bytes as they are, and reads until the server closes.
    pub(crate) async fn send_bytes(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        Reply::read(&mut stream).await
    }

    /// Posts JSON text with these headers.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend(headers);
        self.send("POST", path, &all, body.as_bytes()).await
    }

    /// Calls with the app's API key.
    pub(crate) async fn backend(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let mut headers = vec![("X-API-Key", self.key.as_str())];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, path, &headers, body.as_bytes()).await
    }

    /// Mints with this body.
    pub(crate) async fn mint(&self, body: Value) -> Reply {
        self.backend("POST", "/auth/tokens", Some(body)).await
    }

    /// Tokens for a person.
    pub(crate) async fn sign_in(&self, user: &str) -> Value {
        self.mint(json!({ "userId": user })).await.ok()
    }

    pub(crate) async fn refresh(&self, token: &Value) -> Reply {
        self.post(
            "/auth/refresh",
            &[],
            &json!({ "refreshToken": token }).to_string(),
        )
        .await
    }

    /// Calls with an access token.
    pub(crate) async fn bearer(&self, method: &str, path: &str, tokens: &Value) -> Reply {
        let bearer = format!("Bearer {}", tokens["accessToken"].as_str().unwrap());
        self.send(method, path, &[("Authorization", &bearer)], b"")
            .await
    }
}

fn terms(scopes: Scopes) -> KeyTerms {
    KeyTerms {
        env: Env::Test,
        name: "tests".into(),
        scopes,
        expires_in: None,
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Reply {
    /// Reads one reply of a connection that the server closes behind it.
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await;
        read.unwrap().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(": ")
                    .unwrap_or((line.trim_end_matches(':'), ""));
                (name.to_ascii_lowercase(), value.to_owned())
            })
            .collect();
        Self {
            status,
            headers,
            text: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// Checks that this is a whole problem document with `code`, and answers it.
    #[track_caller]
    pub(crate) fn problem(&self, code: &str) -> Value {
        let document = self.json();
        assert_eq!(document["code"], code, "{self:?}");
        assert_eq!(document["status"], self.status, "{self:?}");
        assert_eq!(document["type"], format!("/docs/errors#{code}"));
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("pragma"), Some("no-cache"));
        assert_eq!(document["requestId"].as_str(), self.header("x-request-id"));
        for member in ["title", "detail", "hint"] {
            assert!(
                document[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{self:?}"
            );
        }
        if matches!(self.status, 429 | 503) {
            let seconds: u64 = self.header("retry-after").unwrap().parse().unwrap();
            assert!(seconds >= 1 && document["retryAfterMs"].as_i64().unwrap() >= 1);
        }
        document
    }

    /// Checks that this is an `invalid_field` about `field`.
    #[track_caller]
    pub(crate) fn about(&self, field: &str) -> Value {
        let document = self.problem("invalid_field");
        assert_eq!(document["field"], field, "{self:?}");
        document
    }
}
