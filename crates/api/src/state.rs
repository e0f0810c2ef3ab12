//! What handlers share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::FromRef;
use chatsdk_auth::{Auth, KeyCaller};

use crate::arrival::{Network, RequestIds};
use crate::cors::Origins;
use crate::measure::Measures;
use crate::node::Node;

/// Writes the metrics of the process in the Prometheus text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What an operator decides about the HTTP side.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// The origins whose pages may call, in lower case; `None` for all.
    pub allowed_origins: Option<Vec<String>>,
    /// The proxies whose word on addresses and request ids is taken.
    pub trusted_proxies: Vec<Network>,
    /// The address that clients reach the API by, without a trailing slash.
    pub public_url: String,
    /// How long a client may take to send the body of a request.
    pub body_timeout: Duration,
    /// The routes of `chatsdk dev` are there where this is.
    pub dev: Option<DevConfig>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            allowed_origins: None,
            trusted_proxies: Vec::new(),
            public_url: "http://localhost:5500".into(),
            body_timeout: Duration::from_secs(10),
            dev: None,
        }
    }
}

/// What the page of `chatsdk dev` needs. Whoever reaches the listener from this machine gets tokens.
#[derive(Debug, Clone)]
pub struct DevConfig {
    /// The development app, and the key of it that the sessions of the page are accounted to.
    pub caller: KeyCaller,
    /// Where the page finds the API.
    pub api_url: String,
    /// Where the page finds the realtime listener, with its path.
    pub ws_url: String,
}

/// What handlers share. Clones are handles of the same state.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    auth: Auth,
    config: ApiConfig,
    render_metrics: RenderMetrics,
    draining: Arc<AtomicBool>,
    node: Arc<dyn Node>,
    origins: Origins,
    request_ids: RequestIds,
    measures: Measures,
}

impl ApiState {
    /// State of a server that is not draining until `draining` says so.
    pub fn new(
        auth: Auth,
        config: ApiConfig,
        render_metrics: RenderMetrics,
        draining: Arc<AtomicBool>,
        node: Arc<dyn Node>,
    ) -> Self {
        let request_ids = RequestIds::new(auth.entropy());
        let origins = Origins::new(config.allowed_origins.as_deref());
        Self(Arc::new(Inner {
            auth,
            config,
            render_metrics,
            draining,
            node,
            origins,
            request_ids,
            measures: Measures::default(),
        }))
    }

    /// The token service.
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// What the operator decided.
    pub fn config(&self) -> &ApiConfig {
        &self.0.config
    }

    /// The metrics of the process as text.
    pub(crate) fn metrics(&self) -> String {
        (self.0.render_metrics)()
    }

    /// Whether the server is ending and wants no new callers.
    pub(crate) fn draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// The live node.
    pub(crate) fn node(&self) -> &Arc<dyn Node> {
        &self.0.node
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.0.origins
    }

    pub(crate) fn request_ids(&self) -> &RequestIds {
        &self.0.request_ids
    }

    pub(crate) fn measures(&self) -> &Measures {
        &self.0.measures
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

impl FromRef<ApiState> for Auth {
    fn from_ref(state: &ApiState) -> Self {
        state.0.auth.clone()
    }
}
