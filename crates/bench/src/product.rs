//! The product: how it is started, and the requests that are sent to it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::script::{self, ScriptError};
use crate::load::wire::WireError;
use crate::load::{Address, Chain, Script, Wire};
use crate::program::{Program, ProgramError};

/// The deployment secret of servers that are measured; a database server is no place to make one.
const SECRET: &str = "a deployment secret that only benchmarks use";

/// A person like the specification's, with some data of the host's own.
const PERSON: &str = r#"{"userId":"bench-{i}","name":"Test User","avatar":"https://example.com/avatar.jpg","custom":{"email":"test@example.com","role":"user"}}"#;

/// Why the product could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// It was not started or not ended.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A line of it lacks what it should say.
    #[error("the server's `{event}` line has no `{member}`")]
    Line {
        /// The line's event.
        event: &'static str,
        /// What is missing.
        member: &'static str,
    },
    /// Its address cannot be used.
    #[error(transparent)]
    Address(#[from] crate::load::address::AddressError),
    /// A request could not be made.
    #[error("a request failed: {0}")]
    Wire(#[from] WireError),
    /// A page could not be read.
    #[error("a page was answered with {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// A session could not be minted.
    #[error("a mint was answered with {status}: {body}")]
    Mint {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// A request has no place for what changes.
    #[error(transparent)]
    Script(#[from] ScriptError),
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The `chatsdk` binary.
    pub binary: PathBuf,
    /// Its data directory.
    pub data: PathBuf,
    /// Its database, where it is not the embedded one.
    pub database: Option<String>,
}

/// A running server.
#[derive(Debug)]
pub struct Product {
    program: Program,
    api: String,
    /// The key of the first app, which is told at the first start only.
    api_key: Option<String>,
    start_up: Duration,
}

/// A session that was minted for a connection.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its access token.
    pub access: String,
    /// Its refresh token.
    pub refresh: String,
}

impl Setup {
    /// Starts the server, and waits until it is ready.
    pub fn start(&self) -> Result<Product, ProductError> {
        self.start_with(&[])
    }

    /// The same, with settings from the environment.
    pub fn start_with(&self, settings: &[(&str, &str)]) -> Result<Product, ProductError> {
        let mut command = Command::new(&self.binary);
        command.envs(settings.iter().copied());
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--realtime-listen",
            "127.0.0.1:0",
        ]);
        command
            .args(["--rate-limits", "off", "--json", "--data-dir"])
            .arg(&self.data);
        if let Some(url) = &self.database {
            command
                .args(["--database-url", url])
                .env("CHATSDK_SECRET", SECRET);
        }
        let program = Program::start(&mut command, &log(&self.data))?;
        let mut line = program.event(&["created", "ready"])?;
        let mut api_key = None;
        if line["event"] == "created" {
            api_key = Some(member(&line, "created", "apiKey")?);
            line = program.event(&["ready"])?;
        }
        let start_up = program.started().elapsed();
        let api = member(&line, "ready", "api")?;
        Ok(Product {
            program,
            api,
            api_key,
            start_up,
        })
    }
}

/// The log stands beside the data, so that the data directory is the server's alone.
fn log(data: &Path) -> PathBuf {
    data.with_extension("log")
}

fn member(line: &Value, event: &'static str, member: &'static str) -> Result<String, ProductError> {
    line[member]
        .as_str()
        .map(str::to_owned)
        .ok_or(ProductError::Line { event, member })
}

impl Product {
    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Where its API is, without a slash at the end.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// The key of its first app.
    pub fn api_key(&self) -> Result<&str, ProductError> {
        self.api_key.as_deref().ok_or(ProductError::Line {
            event: "created",
            member: "apiKey",
        })
    }

    /// The same server, whose first start told the key.
    #[must_use]
    pub fn with_api_key(mut self, key: String) -> Self {
        self.api_key = Some(key);
        self
    }

    /// From starting the process to its `ready` line.
    pub fn start_up(&self) -> Duration {
        self.start_up
    }

    /// How long one `GET /healthz` on a connection of its own takes: the server answers, too.
    pub async fn healthy(&self) -> Result<Duration, ProductError> {
        let started = Instant::now();
        self.get("/healthz").await?;
        Ok(started.elapsed())
    }

    /// The body of a page.
    pub async fn get(&self, path: &str) -> Result<String, ProductError> {
        let to = self.address(path).await?;
        let mut wire = Wire::connect(to.socket).await?;
        let request = format!("{}\r\n", script::head("GET", &to, &[]));
        let reply = wire.exchange(request.as_bytes()).await?;
        let body = String::from_utf8_lossy(reply.body).into_owned();
        match reply.status {
            200 => Ok(body),
            status => Err(ProductError::Refused { status, body }),
        }
    }

    /// Asks the server to end, and waits until it has.
    pub fn stop(self) -> Result<(), ProductError> {
        Ok(self.program.stop()?)
    }

    /// Where `path` is.
    pub async fn address(&self, path: &str) -> Result<Address, ProductError> {
        Ok(Address::resolve(&format!("{}{path}", self.api)).await?)
    }

    /// Mints `count` sessions of users numbered by `next`.
    pub async fn sessions(
        &self,
        count: usize,
        next: &Arc<AtomicU64>,
    ) -> Result<Vec<Session>, ProductError> {
        let to = self.address("/auth/tokens").await?;
        let mut wire = Wire::connect(to.socket).await?;
        let mut script = self.mint(&to, next)?;
        let mut sessions = Vec::with_capacity(count);
        for _ in 0..count {
            let reply = wire.exchange(script.request()).await?;
            let refused = || ProductError::Mint {
                status: reply.status,
                body: String::from_utf8_lossy(reply.body).into_owned(),
            };
            let token = |name| {
                crate::load::reply::string_member(reply.body, name)
                    .map(str::to_owned)
                    .ok_or_else(refused)
            };
            sessions.push(Session {
                access: token("accessToken")?,
                refresh: token("refreshToken")?,
            });
        }
        Ok(sessions)
    }

    /// Mints: each request for another user.
    pub fn mint(&self, to: &Address, next: &Arc<AtomicU64>) -> Result<Script, ProductError> {
        let key = self.api_key()?;
        let head = script::head("POST", to, &[format!("x-api-key: {key}")]);
        Ok(Script::numbered(&head, PERSON, next.clone())?)
    }
}

/// Refreshes: a chain that begins with `session`'s token.
pub fn refresh(to: &Address, session: &Session) -> Result<Script, ProductError> {
    let head = script::head("POST", to, &[]);
    let body = format!(r#"{{"refreshToken":"{}"}}"#, script::TOKEN);
    Ok(Script::Chain(Chain::new(
        &head,
        &body,
        "refreshToken",
        session.refresh.clone(),
    )?))
}

/// An authenticated read: the sessions of the user, as `session`'s holder.
pub fn read(to: &Address, session: &Session) -> Script {
    Script::fixed(
        &script::head(
            "GET",
            to,
            &[format!("authorization: Bearer {}", session.access)],
        ),
        "",
    )
}
