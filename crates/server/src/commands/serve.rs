//! `chatsdk serve`.

use std::sync::Arc;

use chatsdk_auth::api_key::Env;
use chatsdk_auth::{Auth, KeyTerms};
use chatsdk_store::AppLifetimes;
use chatsdk_types::{AppId, Scopes, SystemClock, SystemEntropy};
use clap::Args;
use serde_json::json;

use super::output::{Failure, print_json};
use super::{Global, open_to_serve};
use crate::Server;
use crate::config::{Config, Layers};

/// Serve the API and the realtime connections.
///
/// On a fresh data directory it makes the database, the keys and a first app, and prints its API key
/// once. It listens on loopback unless told otherwise.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: ListenFlags,
}

/// What `serve` and `dev` take.
#[derive(Debug, Args)]
pub(super) struct ListenFlags {
    /// Address of the API listener; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address of the realtime listener; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    realtime_listen: Option<String>,
    /// The address that clients reach the API by: the issuer of tokens
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// `off` lifts every rate limit, for load tests
    #[arg(long, value_name = "on|off")]
    rate_limits: Option<String>,
}

impl ListenFlags {
    pub(super) fn lay(&self, layers: &mut Layers) {
        layers.flag("listen", self.listen.clone());
        layers.flag("realtime_listen", self.realtime_listen.clone());
        layers.flag("public_url", self.public_url.clone());
        layers.flag("rate_limits", self.rate_limits.clone());
    }
}

impl Serve {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut layers = global.layers()?;
        self.listen.lay(&mut layers);
        let mut config = Config::parse(&layers)?;
        config.operator_token = super::given_operator_token()?;
        crate::telemetry::log(&config);
        warn(&config);
        let auth = open_to_serve(&config).await?;
        first_app(&auth, global.json).await?;
        let server = Server::start(
            &config,
            auth,
            None,
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        )
        .await?;
        announce(&ready(&server), &config, global.json);
        until_the_end(server).await
    }
}

/// What an operator should know before anything is answered.
pub(super) fn warn(config: &Config) {
    if !config.auth.rate_limits {
        tracing::warn!("rate limits are off: for load tests only");
    }
    for address in [config.listen, config.realtime_listen] {
        if address.ip().is_loopback() {
            tracing::info!(
                "{address} is reached from this machine alone; --listen and --realtime-listen say otherwise"
            );
        }
    }
}

/// Makes a first app where there is none, and shows its key.
async fn first_app(auth: &Auth, json: bool) -> Result<(), Failure> {
    if !auth.apps().await?.is_empty() {
        return Ok(());
    }
    let terms = KeyTerms {
        env: Env::Live,
        name: "first key".into(),
        scopes: Scopes::all(),
        expires_in: None,
    };
    let (app, key) = auth
        .create_app("default".into(), AppLifetimes::default(), terms, "server")
        .await?;
    if json {
        print_created(&app.id, key.text.as_str());
    } else {
        super::output::print_line(&format!(
            "This is a first start: the app `default` was made.\n\n  App      {}\n  API key  {}\n\n\
             The key is shown this once. Keep it in your backend: CHATSDK_API_KEY.\n",
            app.id,
            key.text.as_str()
        ));
    }
    Ok(())
}

/// The JSON line of an app that was made, with its key.
pub(super) fn print_created(app: &AppId, key: &str) {
    print_json(&json!({ "event": "created", "appId": app.as_str(), "apiKey": key }));
}

/// What a program should know of a server that is ready: where it is reached.
pub(super) fn ready(server: &Server) -> serde_json::Value {
    json!({
        "event": "ready",
        "api": format!("http://{}", server.api),
        "realtime": format!("ws://{}/connection/websocket", server.realtime),
    })
}

/// Says where the server is reached: the line that scripts wait for.
pub(super) fn announce(ready: &serde_json::Value, config: &Config, json: bool) {
    if json {
        print_json(ready);
        return;
    }
    let address = |name: &str| ready[name].as_str().unwrap_or_default();
    let (api, realtime) = (address("api"), address("realtime"));
    super::output::print_line(&format!(
        "ChatSDK is ready.\n\n  API        {api}\n  Realtime   {realtime}\n  Reference  {api}/docs\n  Issuer     {}\n",
        config.auth.issuer
    ));
}

/// Serves until a signal says otherwise, then drains.
pub(super) async fn until_the_end(server: Server) -> Result<(), Failure> {
    crate::asked_to_end().await?;
    tracing::info!("draining: finishing requests, closing sockets");
    server.shutdown().await?;
    Ok(())
}
