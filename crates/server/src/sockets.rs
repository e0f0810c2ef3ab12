//! Where WebSockets enter, and what they are told when a session ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::get;
use chatsdk_auth::{Auth, Ended};
use chatsdk_realtime::{
    Config as EngineConfig, Disconnect, DisconnectCode, Engine, Handle, OriginPolicy, Whom,
};
use chatsdk_types::{Clock, Entropy};

use crate::authority::TokenAuthority;
use crate::config::Config;

/// The engine, with what the operator decided.
pub(crate) fn engine(
    config: &Config,
    auth: &Auth,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Engine<TokenAuthority> {
    let origins = match &config.allowed_origins {
        Some(listed) => OriginPolicy::new(listed),
        None => OriginPolicy::Any,
    };
    let settings = EngineConfig {
        origins,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        expired_close_delay: Duration::from_millis(
            config.expired_close_delay.as_millis().unsigned_abs(),
        ),
        ..EngineConfig::default()
    };
    Engine::new(
        settings,
        Arc::new(TokenAuthority::new(auth.clone())),
        clock,
        entropy,
    )
}

/// The routes that upgrade to WebSockets.
pub(crate) fn routes(engine: &Engine<TokenAuthority>) -> Router {
    Router::new()
        .route("/connection/websocket", get(upgrade))
        .route("/ws", get(upgrade))
        .with_state(engine.clone())
}

async fn upgrade(
    State(engine): State<Engine<TokenAuthority>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Response {
    engine.upgrade(&mut request, remote).map(Body::new)
}

/// Closes the sockets of what ends, as it ends.
pub(crate) fn close_what_ends(auth: &Auth, engine: &Engine<TokenAuthority>) {
    let handle: Handle = engine.handle().clone();
    auth.on_ended(move |ended| {
        let forced = |code: chatsdk_types::ErrorCode| {
            Disconnect::because(DisconnectCode::ForceDisconnect, code.as_str())
        };
        match ended {
            Ended::Session { app, session, code } => handle.disconnect(
                &Whom::Session {
                    app: app.as_str(),
                    session: session.as_str(),
                },
                &forced(code),
            ),
            Ended::User { app, user, code } => handle.disconnect(
                &Whom::User {
                    app: app.as_str(),
                    user: user.as_str(),
                },
                &forced(code),
            ),
            Ended::AccessTokens => {
                handle.disconnect(&Whom::Everyone, &DisconnectCode::ConnectionExpired.into())
            }
        };
    });
}
