//! The commands.

mod all;
mod drive;
mod product;
mod realtime;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use self::all::All;
use self::drive::{Load, REFRESH_HELP, Refresh};
use self::product::{Product, Scratch};
use self::realtime::{REALTIME_HELP, Realtime};
use crate::clients::{self, ClientsError};
use crate::crypto::{self, CryptoError};
use crate::footprint::{self, FootprintError};
use crate::http::{self, HttpError};
use crate::load::address::AddressError;
use crate::load::drive::DriveError;
use crate::load::script::ScriptError;
use crate::load::wire::WireError;
use crate::million;
use crate::page;
use crate::realtime::{self as engine, RealtimeError};
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
                let found = engine::measure(&options).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
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
}
