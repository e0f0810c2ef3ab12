//! Which pages may read replies.
//!
//! Tokens travel in headers and bodies, never in cookies, so that any origin may call unless the
//! operator lists some. Routes for API keys answer no page at all: they say nothing of origins, and
//! a browser refuses to hand such a reply to its page.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};

/// The origins that may call.
#[derive(Debug)]
pub(crate) enum Origins {
    Any,
    Listed(Vec<HeaderValue>),
}

/// What a reply says of origins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: the route is not for pages.
    Silent,
    /// Every page may read it.
    Any,
    /// This page may read it, or none may; and another page would be told otherwise.
    Listed(Option<HeaderValue>),
}

impl Origins {
    pub(crate) fn new(allowed: Option<&[String]>) -> Self {
        match allowed {
            None => Self::Any,
            Some(list) => Self::Listed(
                list.iter()
                    .filter_map(|origin| HeaderValue::from_str(origin).ok())
                    .collect(),
            ),
        }
    }

    /// What a reply to this request on a browser route says.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Verdict {
        match self {
            Self::Any => Verdict::Any,
            Self::Listed(list) => Verdict::Listed(
                headers
                    .get(ORIGIN)
                    .filter(|origin| {
                        list.iter().any(|allowed| {
                            allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes())
                        })
                    })
                    .cloned(),
            ),
        }
    }
}

impl Verdict {
    /// Writes the verdict into a reply to `method`.
    pub(crate) fn apply(self, method: &Method, headers: &mut HeaderMap) {
        let origin = match self {
            Self::Silent => return,
            Self::Any => HeaderValue::from_static("*"),
            Self::Listed(origin) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                match origin {
                    Some(origin) => origin,
                    None => return,
                }
            }
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if method == Method::OPTIONS {
            headers.insert(
                ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static("GET, POST, DELETE"),
            );
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("authorization, content-type"),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
        } else {
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(allowed: Option<&[&str]>, origin: Option<&'static str>) -> Verdict {
        let allowed = allowed.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        Origins::new(allowed.as_deref()).judge(&headers)
    }

    #[test]
    fn a_list_is_exact() {
        let list = Some(&["https://app.example.com"][..]);
        let page = "https://app.example.com";
        assert_eq!(
            judged(list, Some(page)),
            Verdict::Listed(Some(HeaderValue::from_static(page)))
        );
        for other in [
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "null",
            "https://app.example.com:8443",
        ] {
            assert_eq!(judged(list, Some(other)), Verdict::Listed(None), "{other}");
        }
        assert_eq!(judged(list, None), Verdict::Listed(None));
        assert_eq!(judged(None, Some("null")), Verdict::Any);
        assert_eq!(
            judged(Some(&["null"]), Some("null")),
            Verdict::Listed(Some(HeaderValue::from_static("null")))
        );
    }

    #[test]
    fn a_listed_origin_is_named_and_varied_on() {
        let mut headers = HeaderMap::new();
        Verdict::Listed(None).apply(&Method::GET, &mut headers);
        assert_eq!(headers.get(VARY).unwrap(), "Origin");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        let mut headers = HeaderMap::new();
        Verdict::Any.apply(&Method::OPTIONS, &mut headers);
        assert_eq!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "*");
        assert!(!headers.contains_key(VARY));
        let mut headers = HeaderMap::new();
        Verdict::Silent.apply(&Method::OPTIONS, &mut headers);
        assert!(headers.is_empty());
    }
}
