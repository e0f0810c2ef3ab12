//! The realtime engine beside the least that could do the same work, and beside other servers of its
//! protocol, all driven by the same generator.
//!
//! - [`swarm`]: the generator. Start here. [`frames`] reads what servers say, [`client`] is what clients
//!   say, [`token`] lets them in, [`source`] is where messages come from.
//! - [`fan_out`]: one publisher, many subscribers. [`connects`]: clients that come, and that come back.
//!   [`idle`]: clients that do nothing.
//! - [`server`]: what is measured, and the floors. [`pin`]: on which core.
//!
//! Floors and servers take turns within a round, at fan-out many times; every figure is the median of the rounds.

pub mod client;
pub mod connects;
pub mod fan_out;
pub mod frames;
pub mod idle;
pub mod pin;
pub mod server;
pub mod source;
pub mod swarm;
pub mod token;

use std::path::PathBuf;
use std::time::Duration;

pub use idle::Idle;
pub use server::External;

use self::pin::Pinned;
use self::server::{Floors, Server};
use crate::load::histogram::Histogram;
use crate::process::ProcessError;
use crate::program::ProgramError;
use crate::stats::{Sample, median};

/// Where cargo puts the product's engine.
pub const ENGINE: &str = "target/release/examples/pubsub";
/// How many connections are in the making at once, but for a wave.
const AT_ONCE: usize = 64;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// The product's engine, `examples/pubsub`; none where only others are measured.
    pub product: Option<PathBuf>,
    /// Another server, which this program starts.
    pub peer: Option<PathBuf>,
    /// Another server, which runs already.
    pub external: Option<External>,
    /// Where settings and logs go.
    pub work: PathBuf,
    /// How often each run is repeated.
    pub rounds: usize,
    /// How long each counts.
    pub window: Duration,
    /// The numbers of subscribers.
    pub subscribers: Vec<usize>,
    /// Whether anything but fan-out is measured.
    pub others: bool,
    /// How many come back at once.
    pub wave: usize,
    /// The numbers of idle connections. The first stays for as long as it takes to ping everybody.
    pub idle: Vec<usize>,
}

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Fan-out of one message at a time.
    Single,
    /// Fan-out of bursts.
    Burst,
    /// Fan-out of one message at a time, at half of the rate that was reached.
    HalfLoad,
    /// New clients.
    Connect,
    /// Clients that come back.
    Wave,
}

impl What {
    /// What it is called on the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "fan-out, single messages",
            Self::Burst => "fan-out, bursts of 16",
            Self::HalfLoad => "fan-out at half of that load",
            Self::Connect => "connect, token, 5 subscriptions",
            Self::Wave => "reconnect wave, 10 missed messages each",
        }
    }

    /// What it is called where only the floor does it.
    pub fn floor(self) -> &'static str {
        match self {
            Self::Single | Self::Burst | Self::HalfLoad => "bare `send()` loop",
            Self::Connect | Self::Wave => "bare handshakes",
        }
    }
}

/// The medians of one kind of work.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The work.
    pub what: What,
    /// How many clients there were.
    pub clients: usize,
    /// Who did it: a place in [`Realtime::servers`], or the floor.
    pub server: Option<usize>,
    /// The medians.
    pub sample: Sample,
    /// CPU of the floor divided by CPU of the server, each per message or client, within a round.
    pub cpu_of_floor: Option<f64>,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Realtime {
    /// Who was measured, by name; the product first.
    pub servers: Vec<String>,
    /// Whether servers and generator had a core each.
    pub pinned: bool,
    /// How many bytes a message has in its frame.
    pub frame_bytes: usize,
    /// Messages and clients a second.
    pub rows: Vec<Row>,
    /// Idle connections, with who had them.
    pub idle: Vec<(usize, Idle)>,
    /// The number of clients of the floor of pings, and the share of a core it took, in percent.
    pub pings: Option<(usize, f64)>,
}

impl Realtime {
    /// The medians of `what` with `clients` clients, by `server`.
    pub fn of(&self, what: What, clients: usize, server: Option<usize>) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.what == what && row.clients == clients && row.server == server)
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum RealtimeError {
    /// A server was not started.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A server could not be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A URL cannot be driven.
    #[error(transparent)]
    Address(#[from] crate::load::address::AddressError),
    /// A run is invalid.
    #[error("{what}: {source}")]
    Swarm {
        /// Whose run.
        what: String,
        /// Why.
        source: swarm::SwarmError,
    },
    /// A run is invalid.
    #[error(transparent)]
    Bare(#[from] swarm::SwarmError),
    /// A message could not be published.
    #[error(transparent)]
    Source(#[from] source::SourceError),
    /// A file could not be used.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A floor did not say where it listens.
    #[error("the floor's `ready` line has no `{0}`")]
    Floor(&'static str),
    /// The subscription to the channel with a history has no position.
    #[error("the server keeps no history of `{}`", client::KEPT)]
    NoPosition,
    /// Not everybody was told everything.
    #[error("{got} of {wanted} missed messages were recovered")]
    Recovered {
        /// How many came.
        got: u64,
        /// How many were missed.
        wanted: u64,
    },
    /// The floor's pings did not all arrive.
    #[error("{got} of {wanted} pings of the floor came")]
    Pings {
        /// How many came.
        got: usize,
        /// How many were sent.
        wanted: usize,
    },
    /// There is nothing to measure.
    #[error("no server to measure: name one")]
    Nobody,
}

/// Measures everything that `options` ask for, telling on standard error how far it is.
pub async fn measure(options: &Options) -> Result<Realtime, RealtimeError> {
    let pinned = Pinned::claim();
    let own = std::env::current_exe().map_err(|source| RealtimeError::File {
        path: PathBuf::from("this program"),
        source,
    })?;
    let floors = Floors::start(&own, &options.work, &pinned)?;
    let servers = start(options, &pinned).await?;
    let frame = fan_out::frame(servers.first().ok_or(RealtimeError::Nobody)?)?;
    let mut samples = Vec::new();
    for &clients in &options.subscribers {
        eprintln!("realtime: fan-out, {clients} subscribers");
        let load = fan_out::Load {
            clients,
            window: options.window,
            awake: pinned.is_held(),
        };
        for round in 0..options.rounds {
            for (index, server) in servers.iter().enumerate() {
                let done = fan_out::measure(&floors, server, &frame, load);
                for (what, sample, floor) in done.map_err(|error| error.of(server))? {
                    eprintln!(
                        "realtime: {}, {clients} subscribers, {}: {:.3} of the floor",
                        server.name,
                        what.name(),
                        sample.of_floor.unwrap_or_default()
                    );
                    let run = Measured {
                        round,
                        what,
                        clients,
                        server: Some(index),
                        sample,
                        floor: Some(floor),
                    };
                    // The page has one floor: the one beside the first server.
                    samples.extend(run.as_floor().filter(|_| index == 0));
                    samples.push(run);
                }
            }
        }
    }
    let comings = [
        (What::Connect, connects::CLIENTS),
        (What::Wave, options.wave),
    ];
    for (what, clients) in comings.into_iter().filter(|_| options.others) {
        eprintln!("realtime: {}", what.name());
        for round in 0..options.rounds {
            let mut take = |server, sample| {
                samples.push(Measured {
                    round,
                    what,
                    clients,
                    server,
                    sample,
                    floor: None,
                });
            };
            take(None, connects::handshakes(&floors, what, clients)?);
            for (index, server) in servers.iter().enumerate() {
                let done = match what {
                    What::Wave => connects::wave(server, clients),
                    _ => connects::new(server),
                };
                take(Some(index), done.map_err(|error| error.of(server))?);
            }
        }
    }
    let names: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    // Memory is measured of processes that have seen nothing yet.
    drop(servers);
    let mut idle = Vec::new();
    let counts: &[usize] = if options.others { &options.idle } else { &[] };
    for (at, &clients) in counts.iter().enumerate() {
        eprintln!("realtime: {clients} idle connections");
        for (index, server) in start(options, &pinned).await?.iter().enumerate() {
            let done = idle::server(server, clients, at == 0);
            idle.push((index, done.map_err(|error| error.of(server))?));
        }
    }
    let pings = match counts.first() {
        Some(&clients) => Some((clients, idle::floor(&floors, clients)?)),
        None => None,
    };
    Ok(Realtime {
        servers: names,
        pinned: pinned.is_held(),
        frame_bytes: frame.len(),
        rows: rows(&samples),
        idle,
        pings,
    })
}

impl RealtimeError {
    fn of(self, server: &Server) -> Self {
        match self {
            Self::Bare(source) => Self::Swarm {
                what: server.name.clone(),
                source,
            },
            other => other,
        }
    }
}

async fn start(options: &Options, pinned: &Pinned) -> Result<Vec<Server>, RealtimeError> {
    let mut servers = Vec::new();
    if let Some(binary) = &options.product {
        servers.push(Server::product(binary, &options.work, pinned).await?);
    }
    if let Some(binary) = &options.peer {
        servers.push(Server::peer(binary, &options.work, pinned).await?);
    }
    if let Some(external) = &options.external {
        servers.push(Server::at(external).await?);
    }
    Ok(servers)
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Measured {
    round: usize,
    what: What,
    clients: usize,
    server: Option<usize>,
    sample: Sample,
    /// What the floor did beside it; `None`: what it did in the same round.
    floor: Option<Sample>,
}

impl Measured {
    fn as_floor(self) -> Option<Self> {
        let sample = self.floor?;
        Some(Self {
            server: None,
            sample,
            floor: None,
            ..self
        })
    }

    fn is_of(&self, other: &Self) -> bool {
        (self.what, self.clients, self.server) == (other.what, other.clients, other.server)
    }
}

/// The medians, in the order in which their first rounds were run.
fn rows(runs: &[Measured]) -> Vec<Row> {
    let floor = |run: &Measured| {
        let same = |it: &&Measured| {
            (it.round, it.what, it.clients, it.server) == (run.round, run.what, run.clients, None)
        };
        run.floor
            .or_else(|| Some(runs.iter().find(same)?.sample))
            .filter(|_| run.server.is_some())
    };
    let firsts = runs.iter().filter(|run| run.round == 0);
    firsts
        .filter_map(|first| {
            let rounds: Vec<&Measured> = runs.iter().filter(|run| run.is_of(first)).collect();
            let mut cpu = Vec::new();
            let samples: Vec<Sample> = rounds
                .iter()
                .map(|run| {
                    let floor = floor(run);
                    cpu.extend(floor.map(|it| it.server_cpu / run.sample.server_cpu));
                    Sample {
                        of_floor: run
                            .sample
                            .of_floor
                            .or_else(|| Some(run.sample.rate / floor?.rate)),
                        ..run.sample
                    }
                })
                .collect();
            Some(Row {
                what: first.what,
                clients: first.clients,
                server: first.server,
                sample: Sample::medians(&samples)?,
                cpu_of_floor: median(cpu),
            })
        })
        .collect()
}

fn sample(count: f64, time: Duration, latencies: &Histogram, [server, own]: [f64; 2]) -> Sample {
    let millis = |quantile| latencies.quantile(quantile) as f64 / 1e6;
    Sample {
        rate: count / time.as_secs_f64(),
        p50: millis(0.5),
        p99: millis(0.99),
        p999: millis(0.999),
        server_cpu: server / count,
        database_cpu: None,
        own_cpu: own / count,
        of_floor: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(round: usize, server: Option<usize>, rate: f64, cpu: f64) -> Measured {
        Measured {
            round,
            what: What::Single,
            clients: 1000,
            server,
            sample: Sample {
                server_cpu: cpu,
                ..sample(
                    rate,
                    Duration::from_secs(1),
                    &Histogram::default(),
                    [0.0; 2],
                )
            },
            floor: None,
        }
    }

    #[test]
    fn a_server_is_compared_with_the_floor_of_its_round() {
        let runs = [
            run(0, None, 100.0, 4.0),
            run(0, Some(0), 80.0, 5.0),
            run(1, None, 10.0, 40.0),
            run(1, Some(0), 9.0, 50.0),
        ];
        let rows = rows(&runs);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].server, rows[0].sample.of_floor), (None, None));
        let close = |got: Option<f64>, want: f64| (got.unwrap() - want).abs() < 1e-9;
        assert!(close(rows[1].sample.of_floor, 0.85), "{:?}", rows[1]);
        assert!(close(rows[1].cpu_of_floor, 0.8), "{:?}", rows[1]);
    }

    #[test]
    fn a_sample_is_told_per_message() {
        let sample = sample(
            10.0,
            Duration::from_secs(2),
            &Histogram::default(),
            [30.0, 5.0],
        );
        assert_eq!(
            (sample.rate, sample.server_cpu, sample.own_cpu),
            (5.0, 3.0, 0.5)
        );
    }
}
