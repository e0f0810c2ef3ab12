//! The commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::clients::{self, ClientsError};
use crate::crypto::{self, CryptoError};
use crate::footprint::{self, FootprintError};
use crate::http::{self, HttpError, Options, Store};
use crate::load::address::AddressError;
use crate::load::drive::DriveError;
use crate::load::reply::string_member;
use crate::load::script::ScriptError;
use crate::load::wire::WireError;
use crate::load::{Address, Chain, Outcome, Plan, Script, Wire, drive, script};
use crate::machine::{Machine, Ticks};
use crate::million;
use crate::page::{self, Findings};
use crate::realtime::{self, RealtimeError};
use crate::stats::figure;
use crate::{floors, process};

/// Measures ChatSDK beside the least that could do the same work, and drives any refresh endpoint.
#[derive(Debug, Parser)]
#[command(name = "chatsdk-bench", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure everything, and write the page
    All(All),
    /// Measure mint, refresh and an authenticated GET beside the floors
    Http(Product),
    /// Measure refreshes in a database of a million sessions, and while they are swept
    Million(Product),
    /// Measure clients of the Rust crate that come back with expired tokens, and a user whose sockets are revoked
    Clients {
        #[command(flatten)]
        product: Product,
        /// How many clients and sockets
        #[arg(long, value_name = "N", default_value_t = clients::CLIENTS)]
        clients: usize,
    },
    /// Measure fan-out, connects, a reconnect wave and idle connections of realtime servers
    #[command(after_long_help = REALTIME_HELP)]
    Realtime(Realtime),
    /// Measure signing and verifying tokens beside the bare primitives
    Crypto {
        /// In this process, as JSON, on whatever core it runs
        #[arg(long)]
        here: bool,
    },
    /// Measure start-up time, idle memory and the size of the binary
    Footprint(Product),
    /// Run a floor by itself
    #[command(subcommand)]
    Floor(Floor),
    /// Drive any refresh endpoint with chains: present a token, take its successor, present that
    #[command(after_long_help = REFRESH_HELP)]
    Refresh(Refresh),
    /// Drive any endpoint with the same request again and again
    Load(Load),
}

const REFRESH_HELP: &str = r#"Examples:

  ChatSDK, a session per connection:
    chatsdk-bench refresh --url http://127.0.0.1:5500/auth/refresh \
      --token-url http://127.0.0.1:5500/auth/tokens --token-header "x-api-key: csk_…" \
      --token-body '{"userId":"bench-{n}"}' --connections 64 --watch 1234

  An OAuth-like server, whose first tokens come from a sign-up:
    chatsdk-bench refresh --url 'http://127.0.0.1:9999/token?grant_type=refresh_token' \
      --field refresh_token --body '{"refresh_token":"{token}"}' \
      --token-url http://127.0.0.1:9999/signup \
      --token-body '{"email":"{n}@example.com","password":"correct horse {n}"}'

  Tokens at hand, one connection each:
    chatsdk-bench refresh --url http://127.0.0.1:5500/auth/refresh --token eyJ… --token eyJ…

An answer that is not 2xx, or that brings no new token, makes the run invalid and the exit status 1."#;

const REALTIME_HELP: &str = r"Examples:

  The engine beside the floors:
    cargo build --release -p chatsdk-realtime --example pubsub
    chatsdk-bench realtime

  Beside another program, which is told --listen, --token-secret and --api-key, and says
  `listening on ADDRESS`:
    chatsdk-bench realtime --peer target/peers/centrifuge

  Fan-out alone, with more rounds:
    chatsdk-bench realtime --fan-out --rounds 9

  A server of the protocol that runs already, by itself. Clients listen to `everybody` and to four
  more channels; `kept:everybody` needs a history of 10 publications, with recovery:
    chatsdk-bench realtime --alone --url http://127.0.0.1:8000/connection/websocket \
      --api http://127.0.0.1:8000/api/publish --api-key KEY --token-secret SECRET --watch 1234

Servers run on the first core and the generator on the last, where there are two and taskset. A run in
which a connection is closed, or a message refused, lost or doubled, is invalid, and the exit status 1.";

#[derive(Debug, Args)]
struct Realtime {
    /// The engine to measure, built with `cargo build --release -p chatsdk-realtime --example pubsub`
    #[arg(long, value_name = "FILE", default_value = realtime::ENGINE)]
    engine: PathBuf,
    /// Measure the others without the engine
    #[arg(long)]
    alone: bool,
    /// Another server, to be started
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// The WebSocket of a server that runs already, as an http:// URL
    #[arg(long, requires_all = ["api", "watch"])]
    url: Option<String>,
    /// Where publications are posted to it
    #[arg(long, value_name = "URL", requires = "url")]
    api: Option<String>,
    /// What is sent to it as X-API-Key
    #[arg(long, value_name = "KEY", default_value = "", requires = "url")]
    api_key: String,
    /// The key that its connection tokens are signed with (HS256); without it there are none
    #[arg(long, value_name = "KEY", requires = "url")]
    token_secret: Option<String>,
    /// Its process
    #[arg(long, value_name = "PID", requires = "url")]
    watch: Option<u32>,
    /// Where settings and logs are kept meanwhile
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    work_dir: PathBuf,
    /// How often each run is repeated; medians are told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How long each run counts
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The numbers of subscribers
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1000,10000"
    )]
    subscribers: Vec<usize>,
    /// Measure fan-out and nothing else
    #[arg(long)]
    fan_out: bool,
    /// How many clients come back at once
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    wave: usize,
    /// The numbers of idle connections; with the first, CPU is measured for 25 s
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "10000,18000"
    )]
    idle: Vec<usize>,
}

#[derive(Debug, Args)]
struct All {
    /// The realtime engine to measure, built with `cargo build --release -p chatsdk-realtime --example pubsub`
    #[arg(long, value_name = "FILE", default_value = realtime::ENGINE)]
    engine: PathBuf,
    #[command(flatten)]
    product: Product,
    /// The file that the page is written to; without it, it is printed
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Product {
    /// The binary to measure, built with `cargo build --release -p chatsdk-server`
    #[arg(long, value_name = "FILE", default_value = "target/release/chatsdk")]
    server: PathBuf,
    /// Where databases are made, on a real disk; PostgreSQL makes its own under TMPDIR
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    work_dir: PathBuf,
    /// How often each run is repeated; medians are told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How long each run counts
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The numbers of connections
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1,16,64,256"
    )]
    connections: Vec<usize>,
    /// What keeps the data
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    stores: Vec<Store>,
}

#[derive(Debug, Subcommand)]
enum Floor {
    /// Serve the bare JSON echo on a free port, and say where
    Http,
    /// Send what is ordered to many sockets, in a loop, and say where
    Sends,
    /// Answer WebSocket handshakes and nothing else, and say where
    Handshake,
    /// Update one row and commit, one caller, on SQLite, or on PostgreSQL with --database-url
    Commit {
        /// Where the database is made
        #[arg(long, value_name = "DIR", default_value = "target/bench")]
        work_dir: PathBuf,
        /// A PostgreSQL database to use instead
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
        /// How long
        #[arg(long, default_value = "2", value_parser = seconds)]
        seconds: Duration,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// How many connections, one request in flight on each
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// How long to count, after 0.3 s that are not counted
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The process whose CPU time, children included, and memory are told
    #[arg(long, value_name = "PID")]
    watch: Option<u32>,
}

#[derive(Debug, Args)]
struct Refresh {
    /// The endpoint, http only
    #[arg(long)]
    url: String,
    /// The body of a refresh, with {token} where the token goes
    #[arg(long, default_value = r#"{"refreshToken":"{token}"}"#)]
    body: String,
    /// The member of a reply that holds the next token
    #[arg(long, value_name = "NAME", default_value = "refreshToken")]
    field: String,
    /// A header of a refresh, `name: value`
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// A first token; one per connection
    #[arg(long = "token", value_name = "TOKEN", conflicts_with = "token_url")]
    tokens: Vec<String>,
    /// Where a first token is got by POST, one per connection
    #[arg(long, value_name = "URL", required_unless_present = "tokens")]
    token_url: Option<String>,
    /// The body of that POST, with {n} for a number per connection
    #[arg(long, value_name = "BODY", default_value = r#"{"userId":"bench-{n}"}"#)]
    token_body: String,
    /// A header of that POST, `name: value`
    #[arg(long = "token-header", value_name = "HEADER")]
    token_headers: Vec<String>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Args)]
struct Load {
    /// The endpoint, http only
    #[arg(long)]
    url: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The body, if any; {n} in it becomes a number that no other request has
    #[arg(long, default_value = "")]
    body: String,
    /// A header, `name: value`
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    #[command(flatten)]
    run: Run,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|s| (0.1..=3600.0).contains(s))
        .map(Duration::from_secs_f64)
        .ok_or("0.1 to 3600".to_owned())
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the runtime does not start: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Clients(#[from] ClientsError),
    #[error(transparent)]
    Realtime(#[from] RealtimeError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Footprint(#[from] FootprintError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error("a request failed: {0}")]
    Wire(#[from] WireError),
    #[error(transparent)]
    Drive(#[from] DriveError),
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    #[error("a first token was refused with {status}: {body}")]
    NoToken { status: u16, body: String },
    #[error("the run is invalid: {errors}\n{sample}")]
    Invalid { errors: String, sample: String },
}

impl Cli {
    /// Does what the command line asks for.
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            // The floor brings the runtime that axum comes with; everything else drives, on one thread.
            Command::Floor(Floor::Http) => floors::http::serve().map_err(Failure::Runtime),
            Command::Floor(Floor::Sends) => floors::sends::serve().map_err(Failure::Runtime),
            Command::Floor(Floor::Handshake) => {
                floors::handshake::serve().map_err(Failure::Runtime)
            }
            command => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Failure::Runtime)
                .and_then(|runtime| runtime.block_on(command.run())),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Command {
    async fn run(self) -> Result<(), Failure> {
        match self {
            Self::All(all) => all.run().await,
            Self::Http(product) => {
                let (options, _scratch) = product.options()?;
                for results in http::measure(&options).await? {
                    println!("\n{}\n\n{}", results.store.name(), page::http(&results));
                    println!(
                        "{}\n{}",
                        page::supabase(std::slice::from_ref(&results)),
                        page::targets(&crate::targets::http(&[results]))
                    );
                }
                Ok(())
            }
            Self::Crypto { here: true } => {
                println!(
                    "{}",
                    serde_json::to_string(&crypto::measure()?).unwrap_or_default()
                );
                Ok(())
            }
            Self::Crypto { here: false } => {
                let crypto = crypto::pinned()?;
                println!(
                    "{}\n{}",
                    page::crypto(&crypto),
                    page::targets(&crate::targets::crypto(&crypto))
                );
                Ok(())
            }
            Self::Million(product) => {
                let (options, _scratch) = product.options()?;
                let million = million::measure(
                    &options.binary,
                    &options.work,
                    options.rounds,
                    options.window,
                )
                .await?;
                println!(
                    "{}\n{}",
                    page::million(&million),
                    page::targets(&crate::targets::million(&million))
                );
                Ok(())
            }
            Self::Clients { product, clients } => {
                let (options, _scratch) = product.options()?;
                let found =
                    clients::measure(&options.binary, &options.work, options.rounds, clients)
                        .await?;
                println!(
                    "{}\n{}",
                    page::clients(&found),
                    page::targets(&crate::targets::clients(&found))
                );
                Ok(())
            }
            Self::Footprint(product) => {
                let (options, _scratch) = product.options()?;
                let footprint = footprint::measure(&options.binary, &options.work).await?;
                println!(
                    "{}\n{}",
                    page::footprint(&footprint),
                    page::targets(&crate::targets::footprint(&footprint))
                );
                Ok(())
            }
            Self::Realtime(realtime) => {
                let (options, _scratch) = realtime.options()?;
                let found = realtime::measure(&options).await?;
                println!(
                    "{}\n{}",
                    page::realtime(&found),
                    page::targets(&crate::targets::realtime(&found))
                );
                Ok(())
            }
            // Each with a runtime of its own, or none: see `Cli::run`.
            Self::Floor(Floor::Http | Floor::Sends | Floor::Handshake) => Ok(()),
            Self::Floor(Floor::Commit {
                work_dir,
                database_url,
                seconds,
            }) => {
                let commits = match database_url {
                    Some(url) => floors::pg_commit::run(&url, seconds)
                        .await
                        .map_err(HttpError::from)?,
                    None => floors::commit::run(&Scratch::under(&work_dir)?.0, seconds)
                        .map_err(HttpError::from)?,
                };
                let micros = |quantile| commits.latencies.quantile(quantile) as f64 / 1e3;
                println!(
                    "{} commits/s, p50 {} µs, p99 {} µs",
                    figure(commits.rate()),
                    figure(micros(0.5)),
                    figure(micros(0.99))
                );
                Ok(())
            }
            Self::Refresh(refresh) => refresh.run().await,
            Self::Load(load) => load.run().await,
        }
    }
}

impl All {
    async fn run(self) -> Result<(), Failure> {
        let (options, _scratch) = self.product.options()?;
        // Looked at before this run adds its own load.
        let machine = Machine::watched();
        let begin = Ticks::now();
        // Tokens and the process at rest first, while the machine is quiet.
        eprintln!("tokens");
        let crypto = crypto::pinned()?;
        eprintln!("at rest");
        let footprint = footprint::measure(&options.binary, &options.work).await?;
        let http = http::measure(&options).await?;
        let million = million::measure(
            &options.binary,
            &options.work,
            options.rounds,
            options.window,
        )
        .await?;
        let clients = clients::measure(
            &options.binary,
            &options.work,
            options.rounds,
            clients::CLIENTS,
        )
        .await?;
        let engine = canonical(&self.engine)?;
        let realtime = realtime::measure(&realtime::Options {
            product: Some(engine),
            peer: None,
            external: None,
            work: options.work.clone(),
            rounds: options.rounds,
            window: options.window,
            subscribers: vec![1_000, 10_000],
            others: true,
            wave: 10_000,
            idle: vec![10_000, 18_000],
        })
        .await?;
        let findings = Findings {
            machine,
            stolen: Ticks::now().since(begin).stolen(),
            command: command_line(),
            options,
            http,
            million,
            clients,
            realtime,
            crypto,
            footprint,
        };
        let page = page::page(&findings);
        match self.write {
            None => {
                println!("{page}");
                Ok(())
            }
            Some(path) => {
                std::fs::write(&path, page).map_err(|source| Failure::File { path, source })
            }
        }
    }
}

/// The command as it was typed, but for the place of the program.
fn command_line() -> String {
    let mut args = std::env::args();
    let program = args.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map_or_else(
        || program.clone(),
        |name| name.to_string_lossy().into_owned(),
    );
    std::iter::once(name)
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    std::fs::canonicalize(path).map_err(|source| Failure::File {
        path: path.to_owned(),
        source,
    })
}

impl Realtime {
    fn options(self) -> Result<(realtime::Options, Scratch), Failure> {
        let scratch = Scratch::under(&self.work_dir)?;
        let product = (!self.alone).then(|| canonical(&self.engine)).transpose()?;
        let peer = self.peer.as_deref().map(canonical).transpose()?;
        let external = match (self.url, self.api, self.watch) {
            (Some(url), Some(api), Some(pid)) => Some(realtime::External {
                url,
                api,
                api_key: self.api_key,
                token_secret: self.token_secret,
                pid,
            }),
            // The command line asks for all or none.
            _ => None,
        };
        let options = realtime::Options {
            product,
            peer,
            external,
            work: scratch.0.clone(),
            rounds: self.rounds as usize,
            window: self.seconds,
            subscribers: self.subscribers,
            others: !self.fan_out,
            wave: self.wave,
            idle: self.idle,
        };
        Ok((options, scratch))
    }
}

impl Product {
    fn options(&self) -> Result<(Options, Scratch), Failure> {
        let binary = canonical(&self.server)?;
        let scratch = Scratch::under(&self.work_dir)?;
        let options = Options {
            binary,
            work: scratch.0.clone(),
            rounds: self.rounds as usize,
            window: self.seconds,
            connections: self.connections.clone(),
            stores: self.stores.clone(),
        };
        Ok((options, scratch))
    }
}

/// A directory of one run, gone when this is dropped: what a run leaves is worth nothing afterwards.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    /// A fresh directory under `parent`.
    fn under(parent: &Path) -> Result<Self, Failure> {
        let path = parent.join(format!("run-{}", std::process::id()));
        let failed = |source| Failure::File {
            path: path.clone(),
            source,
        };
        // An earlier run may have had the same process id and been killed.
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        std::fs::create_dir_all(&path).map_err(failed)?;
        std::fs::canonicalize(&path).map(Self).map_err(failed)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Refresh {
    async fn run(mut self) -> Result<(), Failure> {
        let to = Address::resolve(&self.url).await?;
        if let Some(url) = &self.token_url {
            self.tokens = first_tokens(&Address::resolve(url).await?, &self).await?;
        }
        let head = script::head("POST", &to, &self.headers);
        let chain = |token| {
            Ok(Script::Chain(Chain::new(
                &head,
                &self.body,
                &self.field,
                token,
            )?))
        };
        let scripts = std::mem::take(&mut self.tokens)
            .into_iter()
            .map(chain)
            .collect::<Result<Vec<_>, ScriptError>>()?;
        self.run.run(&to, scripts).await
    }
}

async fn first_tokens(to: &Address, refresh: &Refresh) -> Result<Vec<String>, Failure> {
    let head = script::head("POST", to, &refresh.token_headers);
    let mut wire = Wire::connect(to.socket).await?;
    let mut tokens = Vec::new();
    for number in 0..refresh.run.connections {
        let body = refresh
            .token_body
            .replace(script::NUMBER, &number.to_string());
        let reply = wire.exchange(Script::fixed(&head, &body).request()).await?;
        let token = string_member(reply.body, &refresh.field).ok_or_else(|| Failure::NoToken {
            status: reply.status,
            body: String::from_utf8_lossy(reply.body).into_owned(),
        })?;
        tokens.push(token.to_owned());
    }
    Ok(tokens)
}

impl Load {
    async fn run(self) -> Result<(), Failure> {
        let to = Address::resolve(&self.url).await?;
        let head = script::head(&self.method, &to, &self.headers);
        let script = if self.body.contains(script::NUMBER) {
            Script::numbered(&head, &self.body, Arc::new(AtomicU64::new(0)))?
        } else {
            Script::fixed(&head, &self.body)
        };
        let scripts = vec![script; self.run.connections];
        self.run.run(&to, scripts).await
    }
}

impl Run {
    async fn run(&self, to: &Address, scripts: Vec<Script>) -> Result<(), Failure> {
        let plan = Plan {
            to: to.socket,
            scripts,
            warm_up: Duration::from_millis(300),
            window: self.seconds,
            watched: self.watch.into_iter().collect(),
        };
        let outcome = drive(plan).await?;
        if !outcome.is_valid() {
            let errors = http::describe(&outcome);
            return Err(Failure::Invalid {
                errors,
                sample: outcome.sample.unwrap_or_default(),
            });
        }
        println!("{}", told(&outcome));
        if let Some(pid) = self.watch {
            let memory = process::memory(pid)?;
            let mib = |kib: u64| figure(kib as f64 / 1024.0);
            println!(
                "resident {} MiB, at most {} MiB",
                mib(memory.resident),
                mib(memory.peak)
            );
        }
        Ok(())
    }
}

/// An outcome in two lines.
fn told(outcome: &Outcome) -> String {
    let millis = |quantile| figure(outcome.latencies.quantile(quantile) as f64 / 1e6);
    let cpu = outcome.cpu_micros(0).map_or_else(String::new, |micros| {
        format!("; {} µs of the watched CPU each", figure(micros))
    });
    format!(
        "{} connections: {} requests/s, p50 {} ms, p99 {} ms, p99.9 {} ms, at most {} ms\n{} µs of the generator's CPU each{cpu}",
        outcome.connections,
        figure(outcome.rate()),
        millis(0.5),
        millis(0.99),
        millis(0.999),
        figure(outcome.latencies.max() as f64 / 1e6),
        figure(outcome.own_cpu_micros()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::script::TOKEN;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documented_commands_are_understood() {
        for line in [
            "chatsdk-bench all --write docs/benchmarks.md",
            "chatsdk-bench http --rounds 1 --seconds 0.5 --connections 1,16 --stores sqlite",
            "chatsdk-bench refresh --url http://a/b --token-url http://a/c --connections 2",
            "chatsdk-bench refresh --url http://a/b --token x --token y",
            "chatsdk-bench load --url http://a/ --watch 1",
            "chatsdk-bench clients --clients 100 --rounds 1",
            "chatsdk-bench floor commit --seconds 1",
            "chatsdk-bench floor sends",
            "chatsdk-bench realtime --peer a/b --subscribers 100 --wave 100 --idle 100,200",
            "chatsdk-bench realtime --fan-out --rounds 5",
            "chatsdk-bench realtime --alone --url http://a/b --api http://a/c --api-key k --watch 1",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap();
        }
        assert!(Cli::try_parse_from("chatsdk-bench refresh --url http://a/b".split(' ')).is_err());
        assert!(Cli::try_parse_from("chatsdk-bench realtime --url http://a/b".split(' ')).is_err());
        assert!(Cli::try_parse_from("chatsdk-bench http --seconds 0".split(' ')).is_err());
    }

    #[test]
    fn the_default_body_has_a_place_for_the_token() {
        let line = "chatsdk-bench refresh --url http://a/b --token x";
        let Command::Refresh(refresh) = Cli::try_parse_from(line.split(' ')).unwrap().command
        else {
            unreachable!()
        };
        assert!(refresh.body.contains(TOKEN));
    }
}
