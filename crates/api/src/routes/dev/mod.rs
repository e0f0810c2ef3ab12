//! What only `chatsdk dev` has: a stand-in for the host's backend, and the page that talks to it.
//!
//! Whoever can call these gets tokens, so that they are there on request of the operator alone, and answer
//! nobody but pages and programs of this machine.

pub(crate) mod assets;
pub(crate) mod config;
pub(crate) mod page;
pub(crate) mod token;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use chatsdk_types::ErrorCode;
use rust_embed::RustEmbed;

use crate::Problem;
use crate::state::{ApiState, DevConfig};

/// The page as it was built; empty where it was not.
#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
#[allow_missing = true]
pub(crate) struct Built;

/// A caller on this machine. `Host` counts as well as `Origin`: a name that somebody else's DNS points
/// at this machine would otherwise make their page one of ours.
#[derive(Debug)]
pub(crate) struct Local(pub(crate) DevConfig);

impl FromRequestParts<ApiState> for Local {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        if !is_local(&parts.headers) {
            return Err(Problem::new(ErrorCode::OriginForbidden).detail(
                "Development routes answer this machine alone: localhost, 127.0.0.1 or [::1].",
            ));
        }
        state
            .config()
            .dev
            .clone()
            .map(Self)
            .ok_or_else(|| ErrorCode::NotFound.into())
    }
}

fn is_local(headers: &HeaderMap) -> bool {
    let one = |name: HeaderName| {
        let mut lines = headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Ok(None),
            (Some(line), None) => line.to_str().map(Some).map_err(|_| ()),
            (Some(_), Some(_)) => Err(()),
        }
    };
    let host = matches!(one(HOST), Ok(Some(host)) if is_loopback(host));
    let origin = match one(ORIGIN) {
        Ok(None) => true,
        Ok(Some(origin)) => origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(is_loopback),
        Err(()) => false,
    };
    host && origin
}

/// Whether `host:port` is this machine, by a name that nobody else can point elsewhere.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn this_machine_has_three_names() {
        let local = |host: Option<&'static str>, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(HOST, HeaderValue::from_static(host));
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            is_local(&headers)
        };
        for host in [
            "localhost",
            "localhost:5500",
            "LOCALHOST:1",
            "127.0.0.1:5500",
            "[::1]:5500",
            "[::1]",
        ] {
            assert!(local(Some(host), None), "{host}");
        }
        for host in [
            "evil.example:5500",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "",
            "::1",
            "localhost:x",
        ] {
            assert!(!local(Some(host), None), "{host}");
        }
        assert!(!local(None, None));
        assert!(local(Some("localhost"), Some("http://localhost:5173")));
        for origin in [
            "https://evil.example",
            "null",
            "file://localhost",
            "localhost",
            "http://localhost@evil.example",
        ] {
            assert!(!local(Some("localhost"), Some(origin)), "{origin}");
        }
    }
}
