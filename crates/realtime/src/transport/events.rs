//! Server-sent events: what a browser's `EventSource` reads.

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use crate::authority::Authority;
use crate::engine::Engine;
use crate::transport::Shape;
use crate::transport::body::Body;
use crate::transport::stream::{self, Opened};
use crate::transport::{query, respond};

/// See [`Engine::events`].
pub(crate) async fn serve<A: Authority, B>(
    engine: &Engine<A>,
    request: Request<B>,
    remote: SocketAddr,
) -> Response<Body>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let shared = engine.shared();
    let (parts, body) = request.into_parts();
    let refused = respond::at_the_door(
        &parts.method,
        &parts.headers,
        &shared.config,
        "GET, POST, OPTIONS",
    );
    if let Some(response) = refused {
        return response;
    }
    let first = if parts.method == Method::GET {
        // An `EventSource` can send nothing else. Nothing here logs it.
        let command = query::member(parts.uri.query().unwrap_or_default(), "cf_connect");
        match command {
            Some(command) if command.len() <= shared.config.max_message_bytes => {
                Ok(Bytes::from(command))
            }
            Some(_) | None => Err(respond::plain(
                StatusCode::BAD_REQUEST,
                "cf_connect must hold the connect command.",
            )),
        }
    } else {
        stream::read(body, shared).await
    };
    match first {
        Err(response) => respond::shared_with(response, &parts.headers, &shared.config),
        Ok(first) => stream::open(
            engine,
            Opened {
                shape: Shape::Events,
                content_type: "text/event-stream",
                prelude: b"\r\n",
                first,
                headers: parts.headers,
                remote,
            },
        ),
    }
}
