//! N connections for a while, and what they saw.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::histogram::Histogram;
use super::script::Script;
use super::wire::{Wire, WireError};
use crate::process::{self, CpuTime};

/// How long a run may hang behind its end before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do.
#[derive(Debug)]
pub struct Plan {
    /// Where.
    pub to: SocketAddr,
    /// One connection each.
    pub scripts: Vec<Script>,
    /// How long to run before anything is counted.
    pub warm_up: Duration,
    /// How long to count.
    pub window: Duration,
    /// The processes whose CPU time is taken at both ends of the window, with all their children.
    pub watched: Vec<u32>,
}

/// What was seen.
#[derive(Debug)]
pub struct Outcome {
    /// How many connections there were.
    pub connections: usize,
    /// Replies of status 2xx within the window, and how long each took in nanoseconds.
    pub latencies: Histogram,
    /// The length of the window.
    pub window: Duration,
    /// Everything else, by status or by what went wrong, at any time of the run.
    pub errors: BTreeMap<String, u64>,
    /// The first refusal's body.
    pub sample: Option<String>,
    /// CPU time of each watched process during the window, in microseconds.
    pub cpu: Vec<f64>,
    /// CPU time of the generator during the window, in microseconds.
    pub own_cpu: f64,
    /// The scripts as they stand now: chains can be driven on.
    pub scripts: Vec<Script>,
}

/// Why a run could not take place.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// A connection could not be opened.
    #[error("cannot connect to {to}: {source}")]
    Connect {
        /// Where to.
        to: SocketAddr,
        /// What failed.
        source: WireError,
    },
    /// Replies stopped coming.
    #[error("a reply is overdue by {} s", PATIENCE.as_secs())]
    Stalled,
    /// A task of the generator ended early.
    #[error("a connection's task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The CPU time of a process could not be read.
    #[error(transparent)]
    Process(#[from] process::ProcessError),
}

impl Outcome {
    /// Successful replies per second.
    pub fn rate(&self) -> f64 {
        self.latencies.count() as f64 / self.window.as_secs_f64()
    }

    /// Microseconds of CPU per successful reply of the watched process `index`.
    pub fn cpu_micros(&self, index: usize) -> Option<f64> {
        let used = self.cpu.get(index)?;
        (self.latencies.count() > 0).then(|| used / self.latencies.count() as f64)
    }

    /// Microseconds of the generator's own CPU per successful reply.
    pub fn own_cpu_micros(&self) -> f64 {
        self.own_cpu / self.latencies.count().max(1) as f64
    }

    /// Whether every reply was a success and there was at least one.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty() && self.latencies.count() > 0
    }
}

/// Runs `plan`. Every request that is begun is also finished, so that chains stay whole.
pub async fn drive(plan: Plan) -> Result<Outcome, DriveError> {
    let connections = plan.scripts.len();
    let mut wires = Vec::with_capacity(connections);
    for script in plan.scripts {
        let wire = Wire::connect(plan.to)
            .await
            .map_err(|source| DriveError::Connect {
                to: plan.to,
                source,
            })?;
        wires.push((wire, script));
    }
    let begin = Instant::now() + plan.warm_up;
    let end = begin + plan.window;
    let mut tasks = JoinSet::new();
    for (wire, script) in wires {
        tasks.spawn(connection(wire, script, begin, end));
    }

    tokio::time::sleep_until(begin.into()).await;
    let before = cpu(&plan.watched)?;
    let own_before = process::cpu_time(std::process::id())?;
    tokio::time::sleep_until(end.into()).await;
    let after = cpu(&plan.watched)?;
    let own_after = process::cpu_time(std::process::id())?;

    let mut outcome = Outcome {
        connections,
        latencies: Histogram::default(),
        window: plan.window,
        errors: BTreeMap::new(),
        sample: None,
        cpu: after
            .iter()
            .zip(&before)
            .map(|(after, before)| after.since(before))
            .collect(),
        own_cpu: own_after.since(&own_before),
        scripts: Vec::with_capacity(connections),
    };
    let all = async {
        while let Some(seen) = tasks.join_next().await {
            let seen = seen?;
            outcome.latencies.merge(&seen.latencies);
            for (what, count) in seen.errors {
                *outcome.errors.entry(what).or_default() += count;
            }
            outcome.sample = outcome.sample.take().or(seen.sample);
            outcome.scripts.push(seen.script);
        }
        Ok::<_, DriveError>(())
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .map_err(|_| DriveError::Stalled)??;
    Ok(outcome)
}

fn cpu(watched: &[u32]) -> Result<Vec<CpuTime>, process::ProcessError> {
    watched
        .iter()
        .map(|&pid| process::tree_cpu_time(pid))
        .collect()
}

/// What one connection saw.
struct Seen {
    latencies: Histogram,
    errors: BTreeMap<String, u64>,
    sample: Option<String>,
    script: Script,
}

async fn connection(mut wire: Wire, mut script: Script, begin: Instant, end: Instant) -> Seen {
    let mut latencies = Histogram::default();
    let mut errors = BTreeMap::new();
    let mut sample = None;
    // The end of one request is the start of the next: one look at the clock each, and what the
    // generator itself takes is part of the latency, never hidden between two of them.
    let mut started = Instant::now();
    while started < end {
        let reply = match wire.exchange(script.request()).await {
            Ok(reply) => reply,
            Err(failure) => {
                *errors.entry(failure.to_string()).or_default() += 1;
                break;
            }
        };
        let now = Instant::now();
        if !(200..300).contains(&reply.status) {
            *errors.entry(reply.status.to_string()).or_default() += 1;
            sample.get_or_insert_with(|| String::from_utf8_lossy(reply.body).into_owned());
            if !script.survives_refusal() {
                break;
            }
        } else if !script.learn(reply.body) {
            *errors
                .entry("a reply without a new token".to_owned())
                .or_default() += 1;
            sample.get_or_insert_with(|| String::from_utf8_lossy(reply.body).into_owned());
            break;
        } else if now >= begin && now < end {
            latencies.record((now - started).as_nanos() as u64);
        }
        started = now;
    }
    Seen {
        latencies,
        errors,
        sample,
        script,
    }
}
