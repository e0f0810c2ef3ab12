//! The other end of a call.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use chatsdk_auth::Peer;

use crate::arrival::Arrival;

/// The longest name of a program that is kept, in bytes.
const MAX_USER_AGENT: usize = 256;

/// Where a call came from.
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Peer);

/// Where the request of `parts` came from.
pub(crate) fn peer(parts: &Parts) -> Peer {
    let arrival = parts.extensions.get::<Arrival>();
    let user_agent = parts
        .headers
        .get(USER_AGENT)
        .and_then(|program| program.to_str().ok())
        .unwrap_or_default();
    // Header text is ASCII, so that every byte is a boundary.
    let user_agent = &user_agent[..user_agent.len().min(MAX_USER_AGENT)];
    Peer {
        ip: arrival.and_then(|arrival| arrival.ip),
        user_agent: user_agent.to_owned(),
        request_id: arrival.map(Arrival::id).unwrap_or_default().to_owned(),
    }
}

/// The address that a request came from, behind trusted proxies the one that they vouch for. For routes of
/// the host's own, under [`crate::router_with`].
pub fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Arrival>().and_then(|arrival| arrival.ip)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(peer(parts)))
    }
}
