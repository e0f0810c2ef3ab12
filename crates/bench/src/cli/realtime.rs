//! Measuring realtime servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::product::{Scratch, canonical};
use super::{Failure, seconds};
use crate::realtime;

pub(super) const REALTIME_HELP: &str = r"Examples:

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
pub(super) struct Realtime {
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

impl Realtime {
    pub(super) fn options(self) -> Result<(realtime::Options, Scratch), Failure> {
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
