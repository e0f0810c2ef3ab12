//! Which web pages may connect.
//!
//! Browsers say in `Origin` which page opens a socket; everything else says nothing or whatever it
//! likes. The check therefore guards users of browsers against foreign pages, and nobody else.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// Which values of `Origin` are accepted. A request without one, and a page of the server's own host,
/// are always accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Every page.
    Any,
    /// These pages, as browsers write them: `https://app.example`, `http://localhost:3000`, or `null`
    /// for pages that have no origin (opened from a file, sandboxed). Lower case.
    Listed(Vec<String>),
}

impl Default for OriginPolicy {
    /// Only pages of the server's own host.
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl OriginPolicy {
    /// A policy from a list of settings; `*` in it stands for every page. Case and a slash at the end
    /// do not matter.
    pub fn new<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Self {
        let mut listed = Vec::new();
        for origin in origins {
            let origin = origin.as_ref().trim();
            if origin == "*" {
                return Self::Any;
            }
            listed.push(origin.trim_end_matches('/').to_ascii_lowercase());
        }
        Self::Listed(listed)
    }

    /// Whether a request with these headers may connect.
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return true;
        };
        let Self::Listed(listed) = self else {
            return true;
        };
        // Two origins are no origin: nobody honest sends them.
        let (None, Ok(origin)) = (origins.next(), origin.to_str()) else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        listed.contains(&origin) || is_own_host(&origin, headers)
    }
}

/// Whether `origin` names the host that the request was sent to. The scheme does not matter: behind a
/// proxy that ends TLS the server does not know its own.
fn is_own_host(origin: &str, headers: &HeaderMap) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let Some(Ok(own)) = headers.get(HOST).map(|own| own.to_str()) else {
        return false;
    };
    let own = own.to_ascii_lowercase();
    !host.is_empty()
        && host.strip_suffix(default_port).unwrap_or(host)
            == own.strip_suffix(default_port).unwrap_or(&own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn allows(policy: &OriginPolicy, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("Chat.Example:8001"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        policy.allows(&headers)
    }

    #[test]
    fn a_list_means_its_entries_the_own_host_and_no_origin() {
        let policy = OriginPolicy::new(["https://App.example/", " http://localhost:3000 "]);
        for origin in [
            "https://app.example",
            "HTTPS://APP.EXAMPLE",
            "http://localhost:3000",
            "http://chat.example:8001",
            "https://chat.example:8001",
        ] {
            assert!(allows(&policy, Some(origin)), "{origin}");
        }
        assert!(allows(&policy, None));
        for origin in [
            "https://evil.example",
            "http://app.example",
            "https://app.example.evil.example",
            "https://evil-app.example",
            "https://app.example:444",
            "http://chat.example",
            "ftp://chat.example:8001",
            "chat.example:8001",
            "null",
            "",
            "*",
        ] {
            assert!(!allows(&policy, Some(origin)), "{origin}");
        }
    }

    #[test]
    fn null_must_be_listed_and_a_star_means_all() {
        assert!(allows(&OriginPolicy::new(["null"]), Some("null")));
        for origin in ["null", "https://evil.example"] {
            assert!(allows(&OriginPolicy::new(["https://a", "*"]), Some(origin)));
        }
    }

    #[test]
    fn default_ports_may_be_spelled_out() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("chat.example"));
        headers.insert(ORIGIN, HeaderValue::from_static("https://chat.example:443"));
        assert!(OriginPolicy::default().allows(&headers));
        headers.append(ORIGIN, HeaderValue::from_static("https://chat.example"));
        assert!(!OriginPolicy::default().allows(&headers), "two origins");
    }
}
