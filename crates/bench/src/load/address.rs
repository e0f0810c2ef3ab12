//! A URL, taken apart.

use std::net::SocketAddr;

/// Why a URL cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// TLS would measure the TLS library, so only plain HTTP is spoken.
    #[error("`{0}` is not an http:// URL")]
    NotHttp(String),
    /// The name before the path resolves to nothing.
    #[error("`{host}` does not resolve: {source}")]
    Unknown {
        /// The host and port that were asked for.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The resolver answered with an empty list.
    #[error("`{0}` has no address")]
    NoAddress(String),
}

/// Where requests go: `http://host[:port]/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The socket to connect to.
    pub socket: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The request target: path and query.
    pub path: String,
}

impl Address {
    /// Takes `url` apart and resolves its host.
    pub async fn resolve(url: &str) -> Result<Self, AddressError> {
        let (host, path) = split(url)?;
        let dialled = if has_port(&host) {
            host.clone()
        } else {
            format!("{host}:80")
        };
        // The answer borrows what it was asked, so it is taken apart before the name is used again.
        let first = tokio::net::lookup_host(&dialled)
            .await
            .map(|mut addresses| addresses.next());
        let socket = match first {
            Ok(Some(socket)) => socket,
            Ok(None) => return Err(AddressError::NoAddress(dialled)),
            Err(source) => {
                return Err(AddressError::Unknown {
                    host: dialled,
                    source,
                });
            }
        };
        Ok(Self { socket, host, path })
    }
}

fn split(url: &str) -> Result<(String, String), AddressError> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| AddressError::NotHttp(url.to_owned()))?;
    let (host, path) = rest
        .find('/')
        .map_or((rest, "/"), |slash| rest.split_at(slash));
    if host.is_empty() {
        return Err(AddressError::NotHttp(url.to_owned()));
    }
    Ok((host.to_owned(), path.to_owned()))
}

/// Whether a port stands behind the host; the colons inside an IPv6 literal are none.
fn has_port(host: &str) -> bool {
    let after_literal = host.rfind(']').map_or(host, |end| &host[end..]);
    after_literal.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_splits_into_host_and_path() {
        assert_eq!(
            split("http://a:1/b?c=d").unwrap(),
            ("a:1".into(), "/b?c=d".into())
        );
        assert_eq!(split("http://a").unwrap(), ("a".into(), "/".into()));
        assert!(split("https://a/").is_err());
        assert!(split("http:///b").is_err());
    }

    #[test]
    fn ports_are_told_from_the_colons_of_a_literal() {
        assert!(has_port("a:1"));
        assert!(has_port("[::1]:1"));
        assert!(!has_port("[::1]"));
        assert!(!has_port("a"));
    }
}
