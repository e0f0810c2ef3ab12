//! The routes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatsdk_realtime::{Engine, TimedStream};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::api;
use crate::authority::Namespaces;
use crate::config::Config;

/// How long a client may take nothing of what there is for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Accepts connections, one task each, until it is dropped.
pub(crate) async fn accept(
    listener: TcpListener,
    engine: Engine<Namespaces>,
    authority: Arc<Namespaces>,
    config: Arc<Config>,
) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly. Accepting again at once would spin.
                eprintln!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // An error means that the client has left.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let (engine, authority, config) =
            (engine.clone(), Arc::clone(&authority), Arc::clone(&config));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (engine, authority, config) =
                    (engine.clone(), Arc::clone(&authority), Arc::clone(&config));
                async move {
                    Ok::<_, Infallible>(route(request, remote, &engine, &authority, &config).await)
                }
            });
            // An error means that the client has left.
            let _left = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(
                    TokioIo::new(TimedStream::new(stream, WRITE_TIMEOUT)),
                    service,
                )
                .with_upgrades()
                .await;
        });
    }
}

async fn route(
    mut request: Request<Incoming>,
    remote: SocketAddr,
    engine: &Engine<Namespaces>,
    authority: &Namespaces,
    config: &Config,
) -> Response<Body> {
    match request.uri().path() {
        "/connection/websocket" => engine
            .upgrade(&mut request, remote)
            .map(BodyExt::boxed_unsync),
        "/connection/http_stream" => engine
            .http_stream(request, remote)
            .await
            .map(BodyExt::boxed_unsync),
        "/connection/sse" => engine
            .events(request, remote)
            .await
            .map(BodyExt::boxed_unsync),
        "/emulation" => engine.emulation(request).await.map(BodyExt::boxed_unsync),
        path => match path.strip_prefix("/api/") {
            Some(method) => {
                let method = method.to_owned();
                api::answer(request, &method, engine.handle(), authority, config).await
            }
            None => text(StatusCode::NOT_FOUND, "not found\n"),
        },
    }
}

/// A response of this text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}
