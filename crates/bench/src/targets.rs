//! The targets, and whether they are met.

use crate::clients::{self, Clients};
use crate::crypto::{Crypto, Operation};
use crate::footprint::Footprint;
use crate::http::{Request, Results, Store};
use crate::million::Million;
use crate::realtime::connects::WAVE_LIMIT;
use crate::realtime::{Realtime, What};
use crate::stats::figure;

/// What Supabase Auth did with such chains, on PostgreSQL 15 with fsync on and 40 pooled connections
/// kept idle, on two cores of the kind that the first figures here come from; and what a bare axum
/// JSON echo did beside it.
pub mod supabase {
    /// One number of connections.
    #[derive(Debug, Clone, Copy)]
    pub struct Row {
        /// The connections.
        pub connections: usize,
        /// Refreshes per second.
        pub rate: f64,
        /// Median latency in milliseconds.
        pub p50: f64,
        /// CPU per refresh in milliseconds.
        pub cpu: f64,
        /// Requests per second of the bare echo in that run.
        pub floor: f64,
    }

    /// What was measured.
    pub const ROWS: [Row; 3] = [
        Row {
            connections: 1,
            rate: 137.0,
            p50: 7.0,
            cpu: 5.7,
            floor: 10_500.0,
        },
        Row {
            connections: 16,
            rate: 367.0,
            p50: 43.0,
            cpu: 2.8,
            floor: 53_000.0,
        },
        Row {
            connections: 64,
            rate: 326.0,
            p50: 184.0,
            cpu: 3.1,
            floor: 56_000.0,
        },
    ];

    /// Resident memory in MiB.
    pub const RESIDENT: f64 = 55.0;
}

/// What Centrifugo 6 did on one core of a machine of the kind that the first figures here come from,
/// under this generator: 100-byte payloads, 5 subscriptions a client, HS256 tokens.
pub mod centrifugo {
    /// A line of the table: the work, Centrifugo's figures, and the floor's in that run.
    pub type Row = (&'static str, &'static str, &'static str);

    /// What was recorded.
    pub const ROWS: [Row; 6] = [
        (
            "fan-out, single messages, 1 k / 10 k subscribers, deliveries/s",
            "58–62 k / 53 k",
            "134–148 k / 130 k",
        ),
        (
            "fan-out, bursts of 16, 1 k / 10 k subscribers, deliveries/s",
            "248–318 k / 76 k",
            "1.9–2.2 M / 2.7 M",
        ),
        (
            "connect, token, 5 subscriptions, a second",
            "3.9 k, 246 µs of CPU each",
            "10 k",
        ),
        (
            "resident bytes per idle connection, 1 k / 10 k",
            "68 KB / 48–52 KB",
            "0",
        ),
        (
            "CPU with 10 k idle connections, pings every 25 s",
            "7.7 % of a core",
            "0.6 %",
        ),
        ("resident before the first client", "50 MiB", "–"),
    ];
}

/// A target.
#[derive(Debug, Clone)]
pub struct Target {
    /// What is measured.
    pub what: String,
    /// The bound, with its unit.
    pub bound: String,
    /// The figure, with its unit.
    pub got: String,
    /// Whether the figure keeps the bound.
    pub met: bool,
}

impl Target {
    fn at_least(what: impl Into<String>, bound: f64, got: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            bound: format!("≥ {}{unit}", trimmed(bound)),
            got: figure(got) + unit,
            met: got >= bound,
        }
    }

    fn at_most(what: impl Into<String>, bound: f64, got: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            bound: format!("≤ {}{unit}", trimmed(bound)),
            got: figure(got) + unit,
            met: got <= bound,
        }
    }
}

/// A bound as it was set: without digits that nobody set.
fn trimmed(bound: f64) -> String {
    format!("{bound}")
}

/// The targets that figures over HTTP decide.
pub fn http(results: &[Results]) -> Vec<Target> {
    let mut targets = Vec::new();
    for results in results {
        let store = results.store.name();
        let times = match results.store {
            Store::Sqlite => 40.0,
            Store::Postgres => 20.0,
        };
        for row in supabase::ROWS.iter().filter(|row| row.connections > 1) {
            if let Some(sample) = results.of(Request::Refresh, row.connections) {
                let what = format!(
                    "refreshes/s on {store} / Supabase Auth, {} connections",
                    row.connections
                );
                targets.push(Target::at_least(what, times, sample.rate / row.rate, " ×"));
            }
        }
        if let Some((_, ratio)) = results.commits {
            let what = format!("refreshes/s on {store} / bare commit loop, 1 connection");
            targets.push(Target::at_least(what, 0.6, ratio, ""));
        }
        if results.store == Store::Sqlite {
            for connections in [16, 64, 256] {
                if let Some(ratio) = results
                    .of(Request::Refresh, connections)
                    .and_then(|sample| sample.of_floor)
                {
                    let what = format!(
                        "refreshes/s on {store} / bare JSON echo, {connections} connections"
                    );
                    targets.push(Target::at_least(what, 0.3, ratio, ""));
                }
            }
            if let Some(sample) = results.of(Request::Refresh, 256) {
                targets.push(Target::at_most(
                    format!("p99 of a refresh on {store}, 256 connections"),
                    10.0,
                    sample.p99,
                    " ms",
                ));
            }
        }
    }
    targets
}

/// The targets that a million sessions decide.
pub fn million(million: &Million) -> Vec<Target> {
    vec![
        Target::at_most(
            "p99 of a refresh, a million sessions / a handful",
            2.0,
            million.quiet.p99,
            " ×",
        ),
        Target::at_most("the same beside the sweep", 2.0, million.swept.p99, " ×"),
    ]
}

/// The targets that the figures of the engine decide: the first server's.
pub fn realtime(realtime: &Realtime) -> Vec<Target> {
    let mut targets = Vec::new();
    let own = realtime.rows.iter().filter(|row| row.server == Some(0));
    for row in own {
        let bound = match row.what {
            What::Single => 0.85,
            What::Burst => 0.8,
            What::HalfLoad => continue,
            // Set as a rate, beside a floor of 10 000 handshakes a second.
            What::Connect => {
                let what = format!("{}, a second", row.what.name());
                targets.push(Target::at_least(what, 8000.0, row.sample.rate, ""));
                continue;
            }
            What::Wave => {
                targets.push(Target::at_most(
                    format!("{} clients come back with what they missed", row.clients),
                    WAVE_LIMIT.as_secs_f64(),
                    row.clients as f64 / row.sample.rate,
                    " s",
                ));
                continue;
            }
        };
        let what = format!(
            "{} / {}, {} subscribers",
            row.what.name(),
            row.what.floor(),
            row.clients
        );
        if let Some(ratio) = row.sample.of_floor {
            targets.push(Target::at_least(what, bound, ratio, ""));
        }
    }
    for (at, (_, idle)) in realtime
        .idle
        .iter()
        .filter(|(server, _)| *server == 0)
        .enumerate()
    {
        if at == 0 {
            let what = "resident before the first client";
            targets.push(Target::at_most(what, 25.0, idle.before, " MiB"));
        }
        targets.push(Target::at_most(
            format!(
                "resident per idle connection with 5 subscriptions, {}",
                idle.clients
            ),
            4.0,
            idle.bytes / 1024.0,
            " KiB",
        ));
        if let Some(cpu) = idle.cpu {
            let what = format!("CPU with {} idle connections", idle.clients);
            targets.push(Target::at_most(what, 1.5, cpu, " %"));
        }
    }
    targets
}

/// The targets that clients of the Rust crate decide.
pub fn clients(found: &Clients) -> Vec<Target> {
    vec![
        Target::at_most(
            format!("{} clients come back with expired tokens", found.count),
            clients::WAVE_LIMIT.as_secs_f64(),
            found.back.seconds,
            " s",
        ),
        Target::at_most(
            format!("{} sockets of one user, revoked until closed", found.count),
            clients::REVOKE_LIMIT.as_secs_f64(),
            found.revoked,
            " s",
        ),
    ]
}

/// The targets that the figures of tokens decide.
pub fn crypto(crypto: &Crypto) -> Vec<Target> {
    let bounds = [
        (Operation::VerifyCached, 1.0),
        (Operation::VerifyCold, 40.0),
    ];
    bounds
        .into_iter()
        .filter_map(|(operation, bound)| {
            Some(Target::at_most(
                operation.name(),
                bound,
                crypto.of(operation)?,
                " µs",
            ))
        })
        .collect()
}

/// The targets that the footprint decides.
pub fn footprint(footprint: &Footprint) -> Vec<Target> {
    vec![
        Target::at_most("first start to ready", 100.0, footprint.first_start, " ms"),
        Target::at_most(
            "second start to ready",
            100.0,
            footprint.second_start,
            " ms",
        ),
        Target::at_most("resident memory, idle", 25.0, footprint.idle, " MiB"),
        Target::at_most("binary", 25.0, footprint.binary, " MiB"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Row;
    use crate::stats::Sample;

    fn sample(rate: f64, p99: f64, of_floor: f64) -> Sample {
        Sample {
            rate,
            p50: 1.0,
            p99,
            p999: p99,
            server_cpu: 1.0,
            database_cpu: None,
            own_cpu: 1.0,
            of_floor: Some(of_floor),
        }
    }

    #[test]
    fn a_missed_target_is_told_as_missed() {
        let row = |connections, sample| Row {
            request: Request::Refresh,
            connections,
            sample,
        };
        let results = Results {
            store: Store::Sqlite,
            version: String::new(),
            file_system: String::new(),
            rows: vec![
                row(16, sample(14_680.0, 1.0, 0.31)),
                row(256, sample(20_000.0, 10.1, 0.29)),
            ],
            commits: Some((5000.0, 0.6)),
            peak: 1.0,
        };
        let met: Vec<(String, bool)> = http(&[results])
            .into_iter()
            .map(|target| (target.what, target.met))
            .collect();
        let expected = [
            (
                "refreshes/s on SQLite / Supabase Auth, 16 connections",
                true,
            ),
            (
                "refreshes/s on SQLite / bare commit loop, 1 connection",
                true,
            ),
            (
                "refreshes/s on SQLite / bare JSON echo, 16 connections",
                true,
            ),
            (
                "refreshes/s on SQLite / bare JSON echo, 256 connections",
                false,
            ),
            ("p99 of a refresh on SQLite, 256 connections", false),
        ];
        assert_eq!(met, expected.map(|(what, met)| (what.to_owned(), met)));
    }

    #[test]
    fn the_engine_is_measured_by_the_first_server() {
        let row = |server, what, ratio| crate::realtime::Row {
            what,
            clients: 1000,
            server,
            sample: sample(100.0, 1.0, ratio),
            cpu_of_floor: None,
        };
        let idle = |bytes| crate::realtime::Idle {
            clients: 1000,
            before: 10.0,
            bytes,
            cpu: Some(1.6),
            pings: Some(1.0),
        };
        let realtime = Realtime {
            servers: vec!["ChatSDK".into(), "peer".into()],
            pinned: true,
            frame_bytes: 144,
            rows: vec![
                row(None, What::Single, 1.0),
                row(Some(0), What::Single, 0.85),
                row(Some(1), What::Single, 0.4),
                row(Some(0), What::Burst, 0.79),
                row(Some(0), What::HalfLoad, 0.5),
                row(Some(0), What::Wave, 0.5),
                row(Some(0), What::Connect, 0.9),
            ],
            idle: vec![(0, idle(4096.0)), (1, idle(50_000.0))],
            pings: None,
        };
        let met: Vec<bool> = super::realtime(&realtime)
            .iter()
            .map(|target| target.met)
            .collect();
        assert_eq!(met, [true, false, true, false, true, true, false]);
    }

    #[test]
    fn clients_are_measured_by_the_last_of_them() {
        let wave = |seconds| crate::clients::Wave {
            seconds,
            half: 1.0,
            server_cpu: 100.0,
            own_cpu: 100.0,
        };
        let found = Clients {
            count: 10_000,
            back: wave(15.1),
            floor: wave(1.0),
            revoked: 1.0,
            answered: 2.0,
            sends: 0.1,
        };
        let met: Vec<bool> = clients(&found).iter().map(|target| target.met).collect();
        assert_eq!(met, [false, true]);
    }

    #[test]
    fn bounds_are_told_with_their_unit() {
        let target = Target::at_most("x", 40.0, 31.26, " µs");
        assert_eq!(
            (target.bound.as_str(), target.got.as_str(), target.met),
            ("≤ 40 µs", "31.3 µs", true)
        );
        assert!(!Target::at_least("x", 0.6, 0.599, "").met);
    }
}
