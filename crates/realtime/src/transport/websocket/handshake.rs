//! Is this HTTP request one for a WebSocket, and may it become one?

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chatsdk_protocol::Encoding;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;

use crate::config::Config;
use crate::transport::Shape;
use crate::transport::websocket::deflate;

/// What RFC 6455 has every server append to the client's key.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Query members that hold a token with other servers. Here it is a mistake that must be noticed:
/// query strings end up in logs and histories.
const TOKENS_IN_QUERY: [&str; 5] = ["access_token", "token", "auth", "jwt", "cf_connect"];

/// A request that may become a WebSocket.
#[derive(Debug)]
pub(super) struct Accepted {
    encoding: Encoding,
    /// What the client's offer to compress is answered, if it is accepted.
    deflate: Option<&'static str>,
    accept: String,
    subprotocol: Option<&'static str>,
}

/// Why a request may not become a WebSocket: a status and a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("This server is shutting down; connect again in a moment.")]
    Draining,
    #[error("There is no room for more connections now; connect again in a moment.")]
    Full,
    #[error("A WebSocket is asked for with GET.")]
    Method,
    #[error(
        "This address speaks WebSocket: ask with `Connection: Upgrade` and `Upgrade: websocket` over HTTP/1.1. A proxy in between must pass both on."
    )]
    NotAnUpgrade,
    #[error("This server speaks version 13 of the WebSocket protocol.")]
    Version,
    #[error("Sec-WebSocket-Key must stand once and be 16 bytes in base64.")]
    Key,
    #[error(
        "A token must not stand in the query string, where logs keep it: send it in the connect command."
    )]
    TokenInQuery,
    #[error("Pages of this origin may not connect: add it to allowed_origins.")]
    Origin,
}

/// Looks at everything but the token, which comes in the connect command.
pub(super) fn check<B>(request: &Request<B>, config: &Config) -> Result<Accepted, Refused> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refused::Method);
    }
    if request.version() != Version::HTTP_11
        || !has_token(headers, &CONNECTION, "upgrade")
        || !has_token(headers, &UPGRADE, "websocket")
    {
        return Err(Refused::NotAnUpgrade);
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refused::Version);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY)
        .map(str::trim)
        .filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16))
        .ok_or(Refused::Key)?;
    let query = request.uri().query().unwrap_or("");
    if members(query).any(|(name, _)| TOKENS_IN_QUERY.contains(&name.as_str())) {
        return Err(Refused::TokenInQuery);
    }
    if !config.origins.allows(headers) {
        return Err(Refused::Origin);
    }
    let (encoding, subprotocol) = encoding(headers, query);
    Ok(Accepted {
        encoding,
        subprotocol,
        deflate: (config.compress_from > 0)
            .then(|| deflate::negotiate(headers))
            .flatten(),
        accept: accept(key),
    })
}

/// A client chooses by subprotocol or, where it cannot, by the query; what it offered must be echoed,
/// and what it did not offer must not.
fn encoding(headers: &HeaderMap, query: &str) -> (Encoding, Option<&'static str>) {
    if has_token(headers, &SEC_WEBSOCKET_PROTOCOL, "centrifuge-json") {
        return (Encoding::Json, Some("centrifuge-json"));
    }
    if has_token(headers, &SEC_WEBSOCKET_PROTOCOL, "centrifuge-protobuf") {
        return (Encoding::Protobuf, Some("centrifuge-protobuf"));
    }
    let by_query = members(query).any(|(name, value)| {
        matches!(name.as_str(), "format" | "cf_protocol") && value == "protobuf"
    });
    if by_query {
        (Encoding::Protobuf, None)
    } else {
        (Encoding::Json, None)
    }
}

/// The answer to a key, which proves that the server has understood the request.
fn accept(key: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(MAGIC);
    STANDARD.encode(hash.finish())
}

impl Accepted {
    /// In which shape messages travel.
    pub(super) fn shape(&self, config: &Config) -> Shape {
        let from = u32::try_from(config.compress_from).unwrap_or(u32::MAX);
        match (self.encoding, self.deflate) {
            (Encoding::Json, None) => Shape::SocketJson,
            (Encoding::Json, Some(_)) => Shape::DeflatedJson { from },
            (Encoding::Protobuf, None) => Shape::SocketProtobuf,
            (Encoding::Protobuf, Some(_)) => Shape::DeflatedProtobuf { from },
        }
    }

    /// The 101 that goes with it.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(deflate) = self.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(deflate));
        }
        if let Some(subprotocol) = self.subprotocol {
            headers.insert(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(subprotocol),
            );
        }
        response
    }
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Self::Draining | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::TokenInQuery => StatusCode::BAD_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
        }
    }

    /// The status, and the sentence as plain text.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::NotAnUpgrade => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            }
            Self::Version => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

/// Whether a header that is a comma-separated list holds `token`, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that stands exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The members of a query, decoded and in lower case, so that no spelling hides a token.
fn members(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split(['&', ';']).map(|member| {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        (plain(name), plain(value))
    })
}

fn plain(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (
            bytes[at],
            digit(bytes.get(at + 1)),
            digit(bytes.get(at + 2)),
        ) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::OriginPolicy;

    fn any_origin() -> Config {
        Config {
            origins: OriginPolicy::Any,
            ..Config::default()
        }
    }

    fn request(uri: &str, changes: &[(&str, Option<&str>)]) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = uri.parse().expect("a URI");
        let headers = [
            ("host", "localhost:8001"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in changes {
            let name: HeaderName = name.parse().expect("a name");
            match value {
                None => {
                    request.headers_mut().remove(name);
                }
                Some(value) => {
                    let value = HeaderValue::from_str(value).expect("a value");
                    request.headers_mut().insert(name, value);
                }
            }
        }
        request
    }

    fn refused(uri: &str, changes: &[(&str, Option<&str>)]) -> Option<Refused> {
        check(&request(uri, changes), &Config::default()).err()
    }

    #[test]
    fn the_rfcs_own_example() {
        let accepted = check(&request("/ws", &[]), &Config::default()).expect("accepted");
        let response = accepted.response();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn what_is_no_websocket_request_is_told_so() {
        for (changes, why) in [
            (("connection", None), Refused::NotAnUpgrade),
            (("connection", Some("close")), Refused::NotAnUpgrade),
            (("upgrade", None), Refused::NotAnUpgrade),
            (("upgrade", Some("h2c")), Refused::NotAnUpgrade),
            (("sec-websocket-version", None), Refused::Version),
            (("sec-websocket-version", Some("8")), Refused::Version),
            (("sec-websocket-key", None), Refused::Key),
            (("sec-websocket-key", Some("c2hvcnQ=")), Refused::Key),
            (
                ("sec-websocket-key", Some("not base64 at all!!!!!!!")),
                Refused::Key,
            ),
            (("origin", Some("https://evil.example")), Refused::Origin),
            (("origin", Some("null")), Refused::Origin),
        ] {
            assert_eq!(refused("/ws", &[changes]), Some(why), "{changes:?}");
        }
        assert_eq!(
            refused("/ws", &[("origin", Some("http://localhost:8001"))]),
            None
        );
        let mut twice = request("/ws", &[]);
        twice.headers_mut().append(
            SEC_WEBSOCKET_KEY,
            HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="),
        );
        assert_eq!(check(&twice, &any_origin()).err(), Some(Refused::Key));
        let mut post = request("/ws", &[]);
        *post.method_mut() = Method::POST;
        let response = check(&post, &any_origin()).expect_err("refused").response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET");
    }

    #[test]
    fn a_token_in_the_query_is_noticed_however_it_is_spelled() {
        for query in [
            "token=x",
            "a=b&access_token=x",
            "Auth=x",
            "acc%65ss_token=x",
            "a;token=x",
            "token",
            "jwt=x",
            "cf_connect=%7B%7D",
        ] {
            assert_eq!(
                refused(&format!("/ws?{query}"), &[]),
                Some(Refused::TokenInQuery),
                "{query}"
            );
        }
        assert_eq!(
            refused("/ws?cf_protocol_version=v2&tokens=3&%zz", &[]),
            None
        );
    }

    #[test]
    fn an_offer_to_compress_is_accepted_where_that_is_on() {
        let offer = [("sec-websocket-extensions", Some("permessage-deflate"))];
        let request = request("/ws", &offer);
        for compress_from in [0, 100] {
            let config = Config {
                compress_from,
                ..Config::default()
            };
            let accepted = check(&request, &config).expect("accepted");
            let on = compress_from > 0;
            let response = accepted.response();
            let told = response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS);
            assert_eq!((told, accepted.shape(&config).is_deflated()), (on, on));
        }
    }

    #[test]
    fn the_subprotocol_is_echoed_when_it_was_offered() {
        let wants = |uri: &str, offered: Option<&str>| {
            let accepted = check(
                &request(uri, &[("sec-websocket-protocol", offered)]),
                &Config::default(),
            )
            .expect("accepted");
            (accepted.encoding, accepted.subprotocol)
        };
        assert_eq!(wants("/ws", None), (Encoding::Json, None));
        assert_eq!(wants("/ws", Some("chat")), (Encoding::Json, None));
        assert_eq!(
            wants("/ws", Some("centrifuge-protobuf, centrifuge-json")),
            (Encoding::Json, Some("centrifuge-json"))
        );
        assert_eq!(
            wants("/ws", Some("centrifuge-protobuf")),
            (Encoding::Protobuf, Some("centrifuge-protobuf"))
        );
        assert_eq!(
            wants("/ws?cf_protocol=protobuf", None),
            (Encoding::Protobuf, None)
        );
    }
}
