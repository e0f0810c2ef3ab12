//! Where the server is, and how it is reached.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::{Tls, Trust};
use crate::StoreError;

/// A server, and how to speak with it.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// How long an answer is waited for: `tcp_user_timeout`. The server may be stopped while its kernel goes on
    /// to acknowledge what it is sent, so that the connection is never seen to fail.
    pub(super) answer: Duration,
}

impl Server {
    /// Reads a URL, and the certificates that it names.
    pub(super) async fn parse(url: &str) -> Result<Self, StoreError> {
        let (plain, wishes) = Wishes::take(url)?;
        // The driver's message names the option, never its value: the URL has a password in it.
        let mut config: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
            StoreError::Location(format!(
                "the PostgreSQL URL: {}",
                crate::error::with_sources(&error)
            ))
        })?;
        config.ssl_mode(wishes.mode);
        if config.get_application_name().is_none() {
            config.application_name("chatsdk");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(4));
        }
        let answer = config.get_tcp_user_timeout().copied().unwrap_or(ANSWER);
        if config.get_tcp_user_timeout().is_none()
            && config
                .get_hosts()
                .iter()
                .any(|host| matches!(host, Host::Tcp(_)))
        {
            // A server that fell silent is given up in time for the pool to try another connection.
            config.tcp_user_timeout(answer);
        }
        // One that vanished while it was listened to: nothing is sent that could go unanswered, and the
        // kernel asks after two hours.
        if config.get_keepalives_idle() == DEFAULT_KEEPALIVES_IDLE {
            config.keepalives_idle(Duration::from_secs(10));
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(Duration::from_secs(3));
        }
        if config.get_keepalives_retries().is_none() {
            config.keepalives_retries(3);
        }
        let tls = Tls::new(wishes.trust, wishes.roots).await?;
        Ok(Self {
            config,
            tls,
            answer,
        })
    }
}

/// How long a server may be silent where a URL does not say.
const ANSWER: Duration = Duration::from_secs(10);

/// What the driver takes where a URL does not say.
const DEFAULT_KEEPALIVES_IDLE: Duration = Duration::from_hours(2);

/// What a URL says of encryption. Kept apart because the driver knows only half of it.
struct Wishes {
    mode: SslMode,
    trust: Trust,
    roots: Option<PathBuf>,
}

impl Wishes {
    /// Splits `url` into what the driver understands and what it does not.
    fn take(url: &str) -> Result<(String, Self), StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(StoreError::Location(
                "a PostgreSQL URL begins with postgres://".to_owned(),
            ));
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut rest = Vec::new();
        let mut mode = "prefer";
        let mut roots = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(decode(value)?)),
                _ => rest.push(pair),
            }
        }
        let (mode, trust) = match (mode, &roots) {
            ("disable", _) => (SslMode::Disable, Trust::Anyone),
            // Whoever can answer can also refuse to encrypt, so there is nothing to verify.
            ("allow" | "prefer", _) => (SslMode::Prefer, Trust::Anyone),
            ("require", None) => (SslMode::Require, Trust::Anyone),
            ("require" | "verify-ca", Some(_)) => (SslMode::Require, Trust::Roots),
            ("verify-full", Some(_)) => (SslMode::Require, Trust::RootsAndName),
            ("verify-ca" | "verify-full", None) => {
                return Err(StoreError::Location(format!(
                    "sslmode={mode} needs sslrootcert, the file of the certificates to trust"
                )));
            }
            _ => {
                return Err(StoreError::Location(
                    "sslmode is one of disable, prefer, require, verify-ca, verify-full".to_owned(),
                ));
            }
        };
        let plain = if rest.is_empty() {
            place.to_owned()
        } else {
            format!("{place}?{}", rest.join("&"))
        };
        Ok((plain, Self { mode, trust, roots }))
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, StoreError> {
    let bad = || StoreError::Location("sslrootcert is not percent-encoded UTF-8".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
            (high * 16 + low) as u8
        } else {
            byte
        });
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(query: &str) -> Result<(String, SslMode, Trust), StoreError> {
        let (plain, wishes) = Wishes::take(&format!("postgres://ann:pw@db.example/chat{query}"))?;
        Ok((plain, wishes.mode, wishes.trust))
    }

    #[test]
    fn sslmode_means_what_it_means_to_postgresql() {
        let plain = "postgres://ann:pw@db.example/chat".to_owned();
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Anyone),
            ("?sslmode=disable", SslMode::Disable, Trust::Anyone),
            ("?sslmode=require", SslMode::Require, Trust::Anyone),
            (
                "?sslmode=require&sslrootcert=/a",
                SslMode::Require,
                Trust::Roots,
            ),
            (
                "?sslrootcert=/a&sslmode=verify-full",
                SslMode::Require,
                Trust::RootsAndName,
            ),
        ] {
            assert_eq!(wishes(query), Ok((plain.clone(), mode, trust)), "{query}");
        }
        assert_eq!(
            wishes("?connect_timeout=3&sslmode=disable").map(|(plain, ..)| plain),
            Ok(format!("{plain}?connect_timeout=3"))
        );
    }

    #[test]
    fn what_cannot_be_kept_is_refused_without_the_password() {
        for query in [
            "?sslmode=verify-full",
            "?sslmode=always",
            "?sslrootcert=%zz",
        ] {
            let refused = wishes(query);
            assert!(
                matches!(&refused, Err(StoreError::Location(why)) if !why.contains("pw")),
                "{refused:?}"
            );
        }
        assert!(Wishes::take("mysql://x").is_err());
    }
}
