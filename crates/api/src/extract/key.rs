//! A backend with an API key.
//!
//! A key in a page can be read by everyone who opens it. So a request that shows signs of a browser is
//! refused before its key is looked at, whether the key is good or not.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use chatsdk_auth::KeyCaller;
use chatsdk_types::{ErrorCode, Scope};

use crate::Problem;
use crate::extract::peer::peer;
use crate::state::ApiState;

/// The header that keys travel in.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What browsers add and pages cannot leave out. Not `Sec-Fetch-Mode`, which Node's own fetch sends.
const BROWSER_SIGNS: [HeaderName; 3] = [
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-dest"),
];

/// Whether a request shows signs of a browser.
pub(crate) fn from_browser(headers: &HeaderMap) -> bool {
    BROWSER_SIGNS.iter().any(|sign| headers.contains_key(sign))
}

/// A scope, as a type.
pub(crate) trait Needs {
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident => $scope:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Needs for $name {
            const SCOPE: Scope = Scope::$scope;
        }
    )+};
}

needs! {
    /// `tokens:mint`.
    TokensMint => TokensMint;
    /// `tokens:introspect`.
    TokensIntrospect => TokensIntrospect;
    /// `sessions:revoke`.
    SessionsRevoke => SessionsRevoke;
    /// `users:write`.
    UsersWrite => UsersWrite;
}

/// A backend whose API key works and has the scope `N`.
pub(crate) struct Key<N> {
    /// The key and its app.
    pub(crate) caller: KeyCaller,
    needs: PhantomData<N>,
}

impl<N> Key<N> {
    /// The backend, as the audit log calls it.
    pub(crate) fn actor(&self) -> String {
        format!("key:{}", self.caller.key)
    }
}

impl<N> fmt::Debug for Key<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.caller.fmt(f)
    }
}

impl<N: Needs> FromRequestParts<ApiState> for Key<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let presented = presented(&parts.headers, parts.uri.query())?;
        let peer = peer(parts);
        let caller = state
            .auth()
            .authenticate_key(presented, N::SCOPE, &peer)
            .await?;
        Ok(Self {
            caller,
            needs: PhantomData,
        })
    }
}

/// The key of a request as it was sent, with nothing trimmed.
fn presented<'a>(headers: &'a HeaderMap, query: Option<&str>) -> Result<&'a str, Problem> {
    if from_browser(headers) {
        return Err(ErrorCode::BrowserForbidden.into());
    }
    if query.is_some_and(has_key) {
        return Err(Problem::new(ErrorCode::InvalidRequest).detail(
            "An API key stands in the address, where logs keep it. Send it in the X-API-Key header, and replace that key.",
        ));
    }
    let mut lines = headers.get_all(X_API_KEY).iter();
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) => line,
        (None, _) => return Err(missing(headers)),
        (Some(_), Some(_)) => {
            return Err(Problem::new(ErrorCode::InvalidRequest)
                .detail("The X-API-Key header is there more than once."));
        }
    };
    match line.to_str() {
        Ok("") => Err(Problem::new(ErrorCode::ApiKeyMissing).detail(
            "The X-API-Key header is empty. Is the key set in your backend's environment?",
        )),
        Ok(joined) if are_two(joined) => Err(Problem::new(ErrorCode::InvalidRequest)
            .detail("The X-API-Key header has more than one value.")),
        Ok(key) => Ok(key),
        // Not text: it is no key, and is refused as one.
        Err(_) => Ok("?"),
    }
}

/// Whether these are two keys: some proxies join two headers with a comma.
fn are_two(line: &str) -> bool {
    let mut later = line.split(',').skip(1);
    later.any(|part| part.trim_start().starts_with("csk_"))
}

fn missing(headers: &HeaderMap) -> Problem {
    let problem = Problem::new(ErrorCode::ApiKeyMissing);
    if headers.contains_key(AUTHORIZATION) {
        problem.detail("This endpoint needs an API key in the X-API-Key header; Authorization is not read here.")
    } else {
        problem
    }
}

/// Whether a query shows an API key or a token, by its look and under any name.
pub fn shows_credential(query: &str) -> bool {
    let text = unescaped(query);
    text.contains("csk_")
        || text
            .split(['&', ';', '='])
            .any(|part| part.trim_start().starts_with("eyJ"))
}

/// `text` without its escapes; what is no escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|digits| {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            Some((digit(0)? << 4 | digit(1)?) as u8)
        });
        match escape {
            Some(meant) if *byte == b'%' => {
                bytes.push(meant);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a query carries a key, by its name or by its look.
fn has_key(query: &str) -> bool {
    unescaped(query).contains("csk_")
        || query.split('&').any(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            names_key(name)
        })
}

/// Whether a member or parameter is called like a key: `apiKey`, `api_key`, `x-api-key`.
pub(crate) fn names_key(name: &str) -> bool {
    let plain = crate::extract::members::plain(name);
    plain == "apikey" || plain == "xapikey"
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn code(
        headers: &[(&'static str, &'static str)],
        query: Option<&str>,
    ) -> Result<String, ErrorCode> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        presented(&map, query)
            .map(str::to_owned)
            .map_err(|problem| problem.code())
    }

    #[test]
    fn exactly_one_header_and_nothing_trimmed() {
        assert_eq!(code(&[("x-api-key", "csk_a ")], None), Ok("csk_a ".into()));
        assert_eq!(code(&[], None), Err(ErrorCode::ApiKeyMissing));
        assert_eq!(
            code(&[("x-api-key", "")], None),
            Err(ErrorCode::ApiKeyMissing)
        );
        assert_eq!(
            code(&[("authorization", "Bearer csk_a")], None),
            Err(ErrorCode::ApiKeyMissing)
        );
        assert_eq!(
            code(&[("x-api-key", "a"), ("x-api-key", "a")], None),
            Err(ErrorCode::InvalidRequest)
        );
        assert_eq!(
            code(&[("x-api-key", "csk_a, csk_b")], None),
            Err(ErrorCode::InvalidRequest)
        );
    }

    #[test]
    fn browsers_are_refused_whatever_they_send() {
        for sign in ["origin", "sec-fetch-site", "sec-fetch-dest"] {
            assert_eq!(
                code(&[(sign, "x"), ("x-api-key", "a")], None),
                Err(ErrorCode::BrowserForbidden)
            );
            assert_eq!(code(&[(sign, "x")], None), Err(ErrorCode::BrowserForbidden));
        }
        assert_eq!(
            code(&[("sec-fetch-mode", "cors"), ("x-api-key", "a")], None),
            Ok("a".into())
        );
    }

    #[test]
    fn credentials_show_whatever_they_are_called() {
        for query in [
            "x=csk_live_x",
            "x=eyJhbGciOiJFZERTQSJ9.e30.x",
            "csk_live_x",
            "eyJhbGciOiJFZERTQSJ9",
            "a=1;b=%65yJ",
            "x=%63sk_live",
            "x=%zz%63sk_live",
            "x=%20eyJ",
        ] {
            assert!(shows_credential(query), "{query}");
        }
        for query in ["", "format=protobuf", "x=%", "x=%+1&y=keyJ", "x=%é"] {
            assert!(!shows_credential(query), "{query}");
        }
    }

    #[test]
    fn a_key_in_the_address_is_pointed_out() {
        for query in [
            "apiKey=csk_live_x",
            "x=1&api_key=1",
            "q=csk_test_1",
            "X-API-Key=1",
        ] {
            assert_eq!(
                code(&[("x-api-key", "a")], Some(query)),
                Err(ErrorCode::InvalidRequest),
                "{query}"
            );
        }
        assert_eq!(code(&[("x-api-key", "a")], Some("trace=1")), Ok("a".into()));
    }
}
