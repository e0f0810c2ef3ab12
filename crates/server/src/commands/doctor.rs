//! `chatsdk doctor`: what is wrong, in words that can be acted on.

use std::time::Duration;

use chatsdk_auth::{Auth, Hanging, Life, OpenTo, Opened};
use chatsdk_store::{App, AppLifetimes, Store};
use chatsdk_types::ErrorCode;
use clap::Args;
use serde_json::json;

use super::Global;
use super::output::{Failure, print_json, print_line};
use crate::config::Config;

/// Say what is wrong with a configuration, a database, a port or a token.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// An access token, a refresh token or an API key to be looked at
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    good: bool,
    says: String,
}

impl Doctor {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut findings = Vec::new();
        self.examine(global, &mut findings).await;
        for finding in &findings {
            if global.json {
                print_json(
                    &json!({ "check": finding.what, "ok": finding.good, "detail": finding.says }),
                );
            } else {
                let mark = if finding.good { "ok " } else { "BAD" };
                print_line(&format!("{mark}  {:<10} {}", finding.what, finding.says));
            }
        }
        let bad = findings.iter().filter(|finding| !finding.good).count();
        if bad == 0 {
            Ok(())
        } else {
            Err(Failure::new(
                "unhealthy",
                format!("{bad} of {} checks found something", findings.len()),
            ))
        }
    }

    /// Each look needs the one before it; the first that finds nothing to stand on is the last.
    async fn examine(&self, global: &Global, findings: &mut Vec<Finding>) {
        let mut note = |what, outcome: Result<String, String>| {
            let good = outcome.is_ok();
            findings.push(Finding {
                what,
                good,
                says: outcome.unwrap_or_else(|says| says),
            });
            good
        };
        let config = match global
            .layers()
            .and_then(|layers| Ok(Config::parse(&layers)?))
        {
            Ok(config) => config,
            Err(failure) => {
                note("config", Err(failure.detail()));
                return;
            }
        };
        note(
            "config",
            Ok("the settings can be used; `chatsdk config` lists them".into()),
        );
        for (what, address) in [
            ("api port", config.listen),
            ("realtime port", config.realtime_listen),
        ] {
            note(what, port(address).await);
        }
        // Opening would migrate it; a look must not change what it looks at.
        match Store::inspect(config.database.clone()).await {
            Ok(schema) if schema.is_current() => {}
            Ok(schema) => {
                let (version, latest) = (schema.version, schema.latest);
                note(
                    "database",
                    Err(format!(
                        "its schema is at version {version} of {latest}: run `chatsdk migrate`, or start the server"
                    )),
                );
                return;
            }
            Err(error) => {
                note("database", Err(error.to_string()));
                return;
            }
        }
        let (auth, opened) = match super::open(&config, OpenTo::Command).await {
            Ok(opened) => opened,
            Err(failure) => {
                note("database", Err(failure.detail()));
                return;
            }
        };
        note(
            "database",
            Ok("it answers, its schema is current, and the secret fits".into()),
        );
        if let Some(outcome) = past(&opened) {
            note("revocations", outcome);
        }
        match auth.hanging().await {
            Ok(hanging) => {
                if let Some(outcome) = secrets(hanging) {
                    note("secret", outcome);
                }
            }
            Err(error) => {
                note("secret", Err(error.to_string()));
            }
        }
        match auth.apps().await {
            Ok(apps) if apps.is_empty() => note(
                "apps",
                Err("there is none yet: `chatsdk app create NAME`".into()),
            ),
            Ok(apps) => note("apps", minting(&auth, &apps)),
            Err(error) => note("apps", Err(error.to_string())),
        };
        if let Some(token) = &self.token {
            let (what, outcome) = token_standing(&auth, token).await;
            note(what, outcome);
        }
        if let Err(error) = auth.close().await {
            note("database", Err(error.to_string()));
        }
    }
}

/// What opening found out about a restore; nothing where there was none.
fn past(opened: &Opened) -> Option<Result<String, String>> {
    if let Some(since) = opened.unknown_since {
        return Some(Err(crate::unknown_period(since)));
    }
    let count = opened.replayed;
    (count > 0).then(|| {
        Ok(format!(
            "the database was older than the revocation journal; {count} were carried into it"
        ))
    })
}

/// Who needs another secret than the current one; nothing where nobody does.
fn secrets(hanging: Hanging) -> Option<Result<String, String>> {
    let Hanging { previous, lost } = hanging;
    if lost > 0 {
        return Some(Err(format!(
            "{lost} sessions hang on an older secret that was not given, and are signed out at their next refresh: \
             unless it was stolen, give it as CHATSDK_SECRET_PREVIOUS"
        )));
    }
    (previous > 0).then(|| {
        Ok(format!(
            "{previous} sessions hang on CHATSDK_SECRET_PREVIOUS: leave it there"
        ))
    })
}

/// How many apps there are, or those of them that nothing can be minted for: their lifetimes were set when the
/// settings were others.
fn minting(auth: &Auth, apps: &[App]) -> Result<String, String> {
    let asked = AppLifetimes::default();
    let unfit: Vec<_> = apps
        .iter()
        .filter_map(|app| {
            let unfit = auth.config().lifetimes(&app.lifetimes, &asked).err()?;
            let setting = match unfit.life {
                Life::Access => "access",
                Life::Refresh => "refresh",
                Life::Session => "session",
            };
            Some(format!(
                "nothing can be minted for {} unless its backend asks for another {setting} lifetime: {}",
                app.id, unfit.detail
            ))
        })
        .collect();
    if unfit.is_empty() {
        Ok(format!("{} of them", apps.len()))
    } else {
        Err(unfit.join("; "))
    }
}

/// Whether the address is free, or held by a ChatSDK that answers.
async fn port(address: std::net::SocketAddr) -> Result<String, String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => return Ok(format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
        Err(error) => return Err(format!("{address} cannot be listened on: {error}")),
    }
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream
            .write_all(
                format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await?;
        let mut reply = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut reply).await?;
        Ok::<_, std::io::Error>(reply)
    };
    match tokio::time::timeout(Duration::from_secs(3), ask).await {
        Ok(Ok(reply)) if reply.starts_with(b"HTTP/1.1 200") => {
            Ok(format!("{address} is taken by a server that is healthy"))
        }
        _ => Err(format!(
            "{address} is taken by a program that is not ChatSDK: end it, or listen elsewhere"
        )),
    }
}

/// What there is to say of a token or a key. Never repeats it.
async fn token_standing(auth: &Auth, token: &str) -> (&'static str, Result<String, String>) {
    use chatsdk_auth::Peer;
    use chatsdk_types::Scope;

    let explain = |code: ErrorCode| format!("{} ({code}) {}", code.title(), code.hint());
    if token.starts_with("csk_") {
        let outcome = match auth
            .authenticate_key(token, Scope::TokensMint, &Peer::default())
            .await
        {
            Ok(caller) => Ok(format!("an API key of {}; it works", caller.app)),
            Err(error) => Err(explain(error.code())),
        };
        return ("API key", outcome);
    }
    match auth.bearer(token) {
        Ok(claims) => (
            "token",
            Ok(format!(
                "an access token of user {} in {}, session {}, until {}",
                claims.sub,
                claims.client_id,
                claims.sid,
                super::output::moment(claims.exp * 1000)
            )),
        ),
        Err(error) if error.code() != ErrorCode::TokenInvalid => {
            ("token", Err(explain(error.code())))
        }
        Err(_) => match auth.refresh_token_standing(token).await {
            Ok(None) => (
                "token",
                Ok("a refresh token that would be exchanged now".into()),
            ),
            Ok(Some(code)) => ("token", Err(explain(code))),
            Err(error) => ("token", Err(error.to_string())),
        },
    }
}
