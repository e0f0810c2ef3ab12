//! Connections that go one way: what HTTP-streaming and server-sent events have in common.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chatsdk_protocol::DisconnectCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::authority::Authority;
use crate::commands::{Opening, Session};
use crate::connection::{Connection, Wire};
use crate::engine::{Engine, Shared};
use crate::stats::Stats;
use crate::transport::Shape;
use crate::transport::body::Body;
use crate::transport::gone::Gone;
use crate::transport::outlet::{self, Outlet};
use crate::transport::respond;

/// A request that opens a connection.
pub(super) struct Opened {
    pub(super) shape: Shape,
    pub(super) content_type: &'static str,
    /// What the body begins with, before any message.
    pub(super) prelude: &'static [u8],
    /// The first commands.
    pub(super) first: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) remote: SocketAddr,
}

/// Opens the connection.
pub(super) fn open<A: Authority>(engine: &Engine<A>, opened: Opened) -> Response<Body> {
    let shared = engine.shared();
    if shared.hub.is_draining() || !shared.has_room() {
        shared
            .stats
            .upgrades_refused
            .fetch_add(1, Ordering::Relaxed);
        return respond::shared_with(
            respond::plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "There is no room now; connect again in a moment.",
            ),
            &opened.headers,
            &shared.config,
        );
    }
    let outlet = Arc::new(Outlet::default());
    let mut response = Response::new(Body::stream(outlet::Response(Arc::clone(&outlet))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(opened.content_type));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache, no-store, must-revalidate, max-age=0"),
    );
    // Proxies that gather responses would keep messages back.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    let response = respond::shared_with(response, &opened.headers, &shared.config);
    shared.stats.upgrades.fetch_add(1, Ordering::Relaxed);
    if !opened.prelude.is_empty() {
        outlet.send(Bytes::from_static(opened.prelude), usize::MAX);
    }
    shared.spawn(serve(engine.clone(), outlet, opened));
    response
}

async fn serve<A: Authority>(engine: Engine<A>, outlet: Arc<Outlet>, opened: Opened) {
    let shared = Arc::clone(engine.shared());
    let connection = Connection::new(Wire::Response(Arc::clone(&outlet)), opened.shape, &shared);
    shared.stats.open.fetch_add(1, Ordering::Relaxed);
    if !shared.hub.open(&connection) {
        connection.close(&DisconnectCode::Shutdown.into());
    }
    let _gone = Gone(Arc::clone(&connection));
    let mut inbox = shared.sessions.open(&shared, opened.shape.encoding());
    let opening = Opening {
        headers: opened.headers,
        remote: opened.remote,
        posted_to: Some((inbox.session(), shared.sessions.node())),
    };
    let mut session = Session::new(engine, Arc::clone(&connection), opening);
    Stats::add(&shared.stats.messages_in, 1);
    Stats::add(&shared.stats.bytes_in, opened.first.len());
    session.obey(&opened.first).await;
    drop(opened.first);
    loop {
        tokio::select! {
            () = outlet.gone() => return,
            commands = inbox.next() => {
                Stats::add(&shared.stats.messages_in, 1);
                Stats::add(&shared.stats.bytes_in, commands.len());
                session.obey(&commands).await;
            }
        }
        tokio::task::consume_budget().await;
    }
}

/// The body of a request, bounded in size and time; or the response that says why there is none.
pub(super) async fn read<B>(body: B, shared: &Shared) -> Result<Bytes, Response<Body>>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let limited = Limited::new(body, shared.config.max_message_bytes);
    let read = tokio::time::timeout(shared.config.stale_close_delay, Box::pin(limited.collect()));
    match read.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(
            respond::plain(StatusCode::PAYLOAD_TOO_LARGE, "The commands are too long."),
        ),
        Ok(Err(_)) => Err(respond::plain(
            StatusCode::BAD_REQUEST,
            "The body did not arrive whole.",
        )),
        Err(_) => Err(respond::plain(
            StatusCode::REQUEST_TIMEOUT,
            "The body took too long.",
        )),
    }
}
