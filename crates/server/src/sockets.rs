//! Where realtime connections enter, and what they are told when a session ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONNECTION,
    SEC_WEBSOCKET_VERSION, UPGRADE, VARY,
};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use chatsdk_api::Problem;
use chatsdk_auth::{Auth, Ended};
use chatsdk_realtime::{
    Config as EngineConfig, Disconnect, DisconnectCode, Engine, Handle, OriginPolicy, Whom,
};
use chatsdk_types::{Clock, Entropy, ErrorCode};
use http_body_util::BodyExt;

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
        ping_interval: Duration::from_millis(config.ping_interval.as_millis().unsigned_abs()),
        // Far above what a client of a chat sends, and enough to keep a mad one from taking a core.
        max_commands_per_second: 200,
        max_connections: config.max_connections,
        max_connections_per_user: config.max_connections_per_user,
        max_connections_per_second: if config.auth.rate_limits {
            config.connections_per_second
        } else {
            0
        },
        compress_from: config.compress_from,
        max_history_bytes: config.history_bytes,
        max_history_bytes_per_app: config.history_bytes / 2,
        ..EngineConfig::default()
    };
    Engine::new(
        settings,
        Arc::new(TokenAuthority::new(auth.clone())),
        clock,
        entropy,
    )
}

/// The routes that upgrade to WebSockets, and those for clients that cannot have one.
pub(crate) fn routes(engine: &Engine<TokenAuthority>) -> Router {
    Router::new()
        .route("/connection/websocket", get(upgrade))
        .route("/ws", get(upgrade))
        // The engine knows which methods each of these takes, and answers preflights.
        .route("/connection/http_stream", any(http_stream))
        .route("/connection/sse", any(events))
        .route("/emulation", any(emulation))
        .with_state(engine.clone())
}

async fn http_stream(
    State(engine): State<Engine<TokenAuthority>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    if let Some(refusal) = credential_in_address(&request) {
        return refusal;
    }
    let remote = client(&request, remote);
    answered(engine.http_stream(request, remote).await).await
}

async fn events(
    State(engine): State<Engine<TokenAuthority>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let remote = client(&request, remote);
    answered(engine.events(request, remote).await).await
}

async fn emulation(State(engine): State<Engine<TokenAuthority>>, request: Request) -> Response {
    if let Some(refusal) = credential_in_address(&request) {
        return refusal;
    }
    answered(engine.emulation(request).await).await
}

/// The refusal of a request with a key or a token in its address, under whatever name. The engine knows
/// the names that such members have elsewhere; how ours look, it does not. An `EventSource` is not asked:
/// it has nowhere else to put its connect command.
fn credential_in_address(request: &Request) -> Option<Response> {
    let query = request.uri().query()?;
    chatsdk_api::shows_credential(query).then(|| {
        Problem::new(ErrorCode::InvalidRequest)
            .detail(
                "A key or a token must not stand in the query string, where logs keep it: send an access token in the \
                 connect command, and replace what was sent.",
            )
            .into_response()
    })
}

/// An answer of the engine's, unless it is a refusal: that is told as everywhere else.
async fn answered(response: http::Response<chatsdk_realtime::Body>) -> Response {
    if response.status().is_success() {
        response.map(Body::new)
    } else {
        refused(response).await
    }
}

/// Where a request comes from: a proxy's word on the address is as good here as for any other request.
fn client(request: &Request, remote: SocketAddr) -> SocketAddr {
    let ip = chatsdk_api::address(request.extensions()).unwrap_or(remote.ip());
    SocketAddr::new(ip, remote.port())
}

async fn upgrade(
    State(engine): State<Engine<TokenAuthority>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Response {
    if let Some(refusal) = credential_in_address(&request) {
        return refusal;
    }
    let remote = client(&request, remote);
    let response = engine.upgrade(&mut request, remote);
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return response.map(Body::new);
    }
    refused(response).await
}

/// A refusal as a problem document: the engine knows statuses and sentences, not our codes.
async fn refused<B>(response: http::Response<B>) -> Response
where
    B: http_body::Body<Error = Infallible>,
{
    let (parts, sentence) = response.into_parts();
    let code = match parts.status {
        StatusCode::FORBIDDEN => ErrorCode::OriginForbidden,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::RequestTimeout,
        StatusCode::UPGRADE_REQUIRED => ErrorCode::UpgradeRequired,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        _ => ErrorCode::InvalidRequest,
    };
    let Ok(sentence) = sentence.collect().await;
    let sentence = String::from_utf8_lossy(&sentence.to_bytes())
        .trim()
        .to_owned();
    let mut problem = Problem::new(code);
    if !sentence.is_empty() {
        problem = problem.detail(sentence);
    }
    let mut response = problem.into_response();
    let kept = [
        ALLOW,
        UPGRADE,
        CONNECTION,
        SEC_WEBSOCKET_VERSION,
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        VARY,
    ];
    for name in kept {
        if let Some(value) = parts.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Closes the sockets of what ends, as it ends.
pub(crate) fn close_what_ends(auth: &Auth, engine: &Engine<TokenAuthority>) {
    let handle: Handle = engine.handle().clone();
    auth.on_ended(move |ended| {
        let forced =
            |code: ErrorCode| Disconnect::because(DisconnectCode::ForceDisconnect, code.as_str());
        match ended {
            // Every node follows the control log by itself.
            Ended::Session { app, session, code } => handle.disconnect_here(
                &Whom::Session {
                    app: app.as_str(),
                    session: session.as_str(),
                },
                &forced(code),
            ),
            Ended::User { app, user, code } => handle.disconnect_here(
                &Whom::User {
                    app: app.as_str(),
                    user: user.as_str(),
                },
                &forced(code),
            ),
            // They come back, and are told to try again until it is enabled.
            Ended::App { app } => handle.disconnect_here(
                &Whom::App { app: app.as_str() },
                &Disconnect::because(
                    DisconnectCode::ForceReconnect,
                    ErrorCode::AppDisabled.as_str(),
                ),
            ),
            Ended::AccessTokens => {
                handle.disconnect_here(&Whom::Everyone, &DisconnectCode::ConnectionExpired.into())
            }
        };
    });
}
