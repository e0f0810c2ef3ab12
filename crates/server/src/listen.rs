//! Accepting connections: one loop a listener, one task a connection, all of them accounted for.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, StatusCode};
use chatsdk_realtime::TimedStream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::workers::Workers;

/// How long a client may take nothing of what there is for it. One that reads slowly, but reads, is
/// served to the end.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a kept connection of a server that is ending waits for one request more. It may be on its way, and
/// would find nobody; a balancer's question whether we are ready is answered that way, too.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Serves `router` on `listener` until `stop` is cancelled; then finishes the requests that are under
/// way. Every task it starts is tracked by `tasks`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    head_timeout: Duration,
    stop: CancellationToken,
    workers: Workers,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                let handed = workers.spawn(stream, &tasks, move |stream| {
                    connection(stream, peer, router, head_timeout, stop)
                });
                if let Err(error) = handed {
                    tracing::debug!(%error, "a connection ended before it was served");
                }
            }
            Err(error) => {
                // Out of file descriptors, mostly. Accepting again at once would spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head_timeout: Duration,
    stop: CancellationToken,
) {
    // Replies are small and whole: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return;
    }
    let ending = stop.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (mut router, ending) = (router.clone(), ending.clone());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut reply = tower_service::Service::call(&mut router, request).await;
            if let Ok(reply) = &mut reply
                && ending.is_cancelled()
                && reply.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                let close = HeaderValue::from_static("close");
                reply.headers_mut().insert(CONNECTION, close);
            }
            reply
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(
            TokioIo::new(TimedStream::new(stream, WRITE_TIMEOUT)),
            service,
        )
        .with_upgrades();
    tokio::pin!(connection);
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_REQUEST).await;
    };
    tokio::pin!(over);
    let mut closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = over.as_mut(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
