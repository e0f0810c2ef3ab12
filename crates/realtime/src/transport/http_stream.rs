//! HTTP-streaming: a POST that is answered for as long as the connection lasts.

use std::error::Error;
use std::net::SocketAddr;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Request, Response};

use crate::authority::Authority;
use crate::engine::Engine;
use crate::transport::Shape;
use crate::transport::body::Body;
use crate::transport::respond;
use crate::transport::stream::{self, Opened};

/// See [`Engine::http_stream`].
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
        "POST, OPTIONS",
    );
    if let Some(response) = refused {
        return response;
    }
    let first = match stream::read(body, shared).await {
        Ok(first) => first,
        Err(response) => return respond::shared_with(response, &parts.headers, &shared.config),
    };
    let (shape, content_type) = if is_protobuf(&parts.headers) {
        (Shape::StreamProtobuf, "application/octet-stream")
    } else {
        (Shape::StreamJson, "application/json; charset=utf-8")
    };
    stream::open(
        engine,
        Opened {
            shape,
            content_type,
            prelude: b"",
            first,
            headers: parts.headers,
            remote,
        },
    )
}

/// Whether a body with these headers is Protobuf.
pub(super) fn is_protobuf(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/octet-stream"))
}
