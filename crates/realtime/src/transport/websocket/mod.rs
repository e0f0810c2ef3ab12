//! WebSockets (RFC 6455) on the bare socket.
//!
//! - [`handshake`]: is this HTTP request one for a WebSocket, and may it become one.
//! - [`frame`]: the shape of frames.
//! - [`message`]: frames into messages: fragments, control frames in between, compression, UTF-8.
//! - [`deflate`]: compressed messages.
//! - [`serve`]: the task of a connection.
//!
//! The framing is our own because the engine writes finished frames, shared between connections,
//! straight to the socket, and keeps no buffer for an idle one; libraries do neither.

pub(crate) mod deflate;
pub(crate) mod frame;
mod handshake;
mod message;
mod serve;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

use crate::authority::Authority;
use crate::commands::Opening;
use crate::engine::Engine;

/// See [`Engine::upgrade`].
pub(crate) fn upgrade<A: Authority, B>(
    engine: &Engine<A>,
    request: &mut Request<B>,
    remote: SocketAddr,
) -> Response<Full<Bytes>> {
    let shared = engine.shared();
    let accepted = if shared.hub.is_draining() {
        Err(handshake::Refused::Draining)
    } else {
        handshake::check(request, &shared.config).and_then(|accepted| {
            if shared.has_room() {
                Ok(accepted)
            } else {
                Err(handshake::Refused::Full)
            }
        })
    };
    match accepted {
        Ok(accepted) => {
            shared.stats.upgrades.fetch_add(1, Ordering::Relaxed);
            let response = accepted.response();
            let opening = Opening {
                headers: request.headers().clone(),
                remote,
                posted_to: None,
            };
            let upgrading = hyper::upgrade::on(request);
            shared.spawn(serve::serve(
                engine.clone(),
                upgrading,
                opening,
                accepted.shape(&shared.config),
            ));
            response
        }
        Err(refused) => {
            shared
                .stats
                .upgrades_refused
                .fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%refused, "an upgrade was refused");
            refused.response()
        }
    }
}
