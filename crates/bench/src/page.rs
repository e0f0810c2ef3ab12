//! What `docs/benchmarks.md` says. Each part is also what its command prints.

use std::fmt::Write as _;

use crate::clients::{self, Clients};
use crate::crypto::Crypto;
use crate::footprint::Footprint;
use crate::http::{Options, Request, Results};
use crate::machine::Machine;
use crate::million::{self, Beside, Million};
use crate::realtime::{Realtime, Row};
use crate::stats::figure;
use crate::targets::{self, Target, centrifugo, supabase};

/// A Markdown table.
struct Table {
    text: String,
}

impl Table {
    /// Columns whose names begin with `<` stand left, the others right.
    fn new(columns: &[&str]) -> Self {
        let names: Vec<&str> = columns
            .iter()
            .map(|name| name.trim_start_matches('<'))
            .collect();
        let rules: Vec<&str> = columns
            .iter()
            .map(|name| if name.starts_with('<') { "---" } else { "---:" })
            .collect();
        Self {
            text: format!("| {} |\n| {} |\n", names.join(" | "), rules.join(" | ")),
        }
    }

    fn row(&mut self, cells: &[String]) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }
}

/// A number, or a dash where there is none.
fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}

/// The tables of one store.
pub fn http(results: &Results) -> String {
    let database = results
        .rows
        .iter()
        .any(|row| row.sample.database_cpu.is_some());
    let mut columns = vec![
        "<request",
        "connections",
        "requests/s",
        "of the floor",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "server CPU µs",
    ];
    if database {
        columns.push("database CPU µs");
    }
    columns.push("generator CPU µs");
    let mut table = Table::new(&columns);
    for row in &results.rows {
        let sample = &row.sample;
        let ratio = match row.request {
            Request::Floor => "1".to_owned(),
            _ => sample
                .of_floor
                .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
        };
        let mut cells = vec![
            row.request.name().to_owned(),
            row.connections.to_string(),
            figure(sample.rate),
            ratio,
            figure(sample.p50),
            figure(sample.p99),
            figure(sample.p999),
            figure(sample.server_cpu),
        ];
        if database {
            cells.push(or_dash(sample.database_cpu));
        }
        cells.push(figure(sample.own_cpu));
        table.row(&cells);
    }
    let mut text = table.text;
    if let Some((rate, ratio)) = results.commits {
        let _ = write!(
            text,
            "\nA bare loop of one caller that updates one row and commits: {} commits/s; refreshes over one connection reach {ratio:.2} of it.",
            figure(rate)
        );
        let echo = results
            .rows
            .iter()
            .find(|row| matches!(row.request, Request::Floor) && row.connections == 1);
        if let Some(echo) = echo {
            // A refresh is an exchange over HTTP and then a commit, so that this is what no refresh exceeds.
            let both = 1.0 / (1.0 / echo.sample.rate + 1.0 / rate);
            let _ = write!(
                text,
                " One such commit after one bare JSON echo, and nothing else, would be {} a second, {:.2} of the loop: refreshes reach {:.2} of that.",
                figure(both),
                both / rate,
                ratio * rate / both,
            );
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "\nResident memory of the server, at most during all of this: {} MiB.",
        figure(results.peak)
    );
    text
}

/// The table that stands beside Supabase Auth's figures.
pub fn supabase(results: &[Results]) -> String {
    let mut table = Table::new(&[
        "<refresh chains",
        "connections",
        "refreshes/s",
        "× Supabase",
        "of the floor",
        "× Supabase, each by its floor",
        "p50 ms",
        "CPU ms",
    ]);
    for row in supabase::ROWS {
        table.row(&[
            "Supabase Auth, PostgreSQL 15".to_owned(),
            row.connections.to_string(),
            figure(row.rate),
            "1".to_owned(),
            format!("{:.4}", row.rate / row.floor),
            "1".to_owned(),
            figure(row.p50),
            figure(row.cpu),
        ]);
        for results in results {
            let Some(sample) = results.of(Request::Refresh, row.connections) else {
                continue;
            };
            let by_floor = sample.of_floor.map(|ratio| ratio / (row.rate / row.floor));
            table.row(&[
                format!("ChatSDK, {}", results.store.name()),
                row.connections.to_string(),
                figure(sample.rate),
                figure(sample.rate / row.rate),
                sample
                    .of_floor
                    .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}")),
                or_dash(by_floor),
                figure(sample.p50),
                figure((sample.server_cpu + sample.database_cpu.unwrap_or_default()) / 1000.0),
            ]);
        }
    }
    table.text
}

/// The table of signing and verifying.
pub fn crypto(crypto: &Crypto) -> String {
    let mut table = Table::new(&["<operation", "µs", "per second", "bare primitive's share"]);
    for &(operation, micros) in &crypto.micros {
        let share = operation
            .floor()
            .and_then(|floor| crypto.of(floor))
            .map(|floor| floor / micros);
        table.row(&[
            operation.name().to_owned(),
            figure(micros),
            figure(1e6 / micros),
            share.map_or_else(|| "–".to_owned(), |share| format!("{share:.2}")),
        ]);
    }
    let place = crypto.core.map_or_else(
        || "not held to one core".to_owned(),
        |core| format!("held to core {core}"),
    );
    format!(
        "{}\nOne thread, {place}; an access token of {} bytes, a refresh token of {} bytes; the median of 21 samples of at least 15 ms.\n",
        table.text, crypto.access_bytes, crypto.refresh_bytes
    )
}

/// The table of start-up time, memory and size.
pub fn footprint(footprint: &Footprint) -> String {
    let mut table = Table::new(&["<what", "figure"]);
    let rows = [
        (
            "first start, empty directory: process to `ready` line",
            footprint.first_start,
            "ms",
        ),
        ("second start", footprint.second_start, "ms"),
        ("resident memory, ready and idle", footprint.idle, "MiB"),
        ("the binary", footprint.binary, "MiB"),
    ];
    for (what, value, unit) in rows {
        table.row(&[what.to_owned(), format!("{} {unit}", figure(value))]);
    }
    table.text
}

/// The table of a million sessions.
pub fn million(million: &Million) -> String {
    let mut table = Table::new(&[
        "<database",
        "<beside",
        "refreshes/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "p99, of a handful's",
    ]);
    let mut rows = |beside: &str, Beside { few, many, p99 }: Beside| {
        for (what, sample, ratio) in [
            ("a handful of sessions", few, None),
            ("a million sessions", many, Some(p99)),
        ] {
            table.row(&[
                what.to_owned(),
                beside.to_owned(),
                figure(sample.rate),
                figure(sample.p50),
                figure(sample.p99),
                figure(sample.p999),
                or_dash(ratio),
            ]);
        }
    };
    rows("nothing", million.quiet);
    rows("the sweep", million.swept);
    format!(
        "{connections} connections, SQLite; two servers that take turns. {stale} of the {sessions} sessions ended long ago; while \
         the sweep deleted them, a hundred rows a step, {rate} went a second. The file is {file} MiB, the server's resident memory \
         {resident} MiB.\n\n{}",
        table.text,
        connections = million::CONNECTIONS,
        stale = figure(million::STALE as f64),
        sessions = figure(million::SESSIONS as f64),
        rate = figure(million.sweep_rate),
        file = figure(million.file),
        resident = figure(million.resident),
    )
}

/// The table of clients that come back, and of sockets that are revoked.
pub fn clients(found: &Clients) -> String {
    let mut table = Table::new(&[
        "<wave",
        "until half, s",
        "until the last, s",
        "a second",
        "server CPU µs",
        "generator CPU µs",
    ]);
    for (what, wave) in [
        ("clients with expired tokens", found.back),
        ("bare JSON echo and bare handshake", found.floor),
    ] {
        table.row(&[
            what.to_owned(),
            figure(wave.half),
            figure(wave.seconds),
            figure(found.count as f64 / wave.seconds),
            figure(wave.server_cpu),
            figure(wave.own_cpu),
        ]);
    }
    format!(
        "{count} clients of the Rust crate, `TokenManager` and `Realtime` each, in one process of one thread; the server has been down while their access \
         tokens expired, and all begin at the same moment. A client is back when it has exchanged its refresh token at `POST /auth/refresh` and the server \
         has accepted its socket with the new token. Requests have a connection each, {at_once} at a time. Whoever is signed out, or comes back with the \
         old token, makes a run invalid. The floor is one request to the bare echo and one bare handshake for each. The server allows any number of \
         connections a second here (`rate_limits = off`), where the default is a thousand.\n\n{table}\n\
         {count} sockets of one user, revoked by `DELETE /auth/users/…/sessions`: {revoked} s from sending that until the last close frame was read, and \
         {answered} s until its reply was. A loop of `send()` that writes as many bytes to as many sockets: {sends} s.\n",
        count = figure(found.count as f64),
        at_once = clients::AT_ONCE,
        table = table.text,
        revoked = figure(found.revoked),
        answered = figure(found.answered),
        sends = figure(found.sends),
    )
}

/// The tables of the realtime engine.
pub fn realtime(realtime: &Realtime) -> String {
    let mut table = Table::new(&[
        "<work",
        "clients",
        "<server",
        "a second",
        "of the floor",
        "CPU, floor's share",
        "p50 ms",
        "p99 ms",
        "server CPU µs",
        "generator CPU µs",
    ]);
    let name = |server: Option<usize>, row: &Row| {
        let name = server.and_then(|index| realtime.servers.get(index));
        name.map_or_else(|| row.what.floor().to_owned(), Clone::clone)
    };
    let ratio =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    for row in &realtime.rows {
        let sample = &row.sample;
        table.row(&[
            row.what.name().to_owned(),
            figure(row.clients as f64),
            name(row.server, row),
            figure(sample.rate),
            ratio(row.server.map_or(Some(1.0), |_| sample.of_floor)),
            ratio(row.server.map_or(Some(1.0), |_| row.cpu_of_floor)),
            figure(sample.p50),
            figure(sample.p99),
            figure(sample.server_cpu),
            figure(sample.own_cpu),
        ]);
    }
    let mut idle = Table::new(&[
        "<server",
        "idle connections",
        "resident before, MiB",
        "bytes each",
        "CPU, % of a core",
        "pings each",
    ]);
    for (server, row) in &realtime.idle {
        idle.row(&[
            realtime.servers.get(*server).cloned().unwrap_or_default(),
            figure(row.clients as f64),
            figure(row.before),
            figure(row.bytes),
            or_dash(row.cpu),
            or_dash(row.pings),
        ]);
    }
    if let Some((clients, cpu)) = realtime.pings {
        idle.row(&[
            "bare `send()` of the pings".to_owned(),
            figure(clients as f64),
            "–".to_owned(),
            "–".to_owned(),
            figure(cpu),
            "1".to_owned(),
        ]);
    }
    let mut recorded = Table::new(&[
        "<Centrifugo 6, as recorded",
        "Centrifugo",
        "floor beside it",
    ]);
    for (what, figures, floor) in centrifugo::ROWS {
        recorded.row(&[what.to_owned(), figures.to_owned(), floor.to_owned()]);
    }
    let place = if realtime.pinned {
        "Servers and floors are held to one core and the generator to another, where it does not sleep while messages are on their way"
    } else {
        "Nothing is pinned"
    };
    format!(
        "{place}; servers have one thread for their work. A client is a user of its own with a token (HS256) and listens to 5 channels: one that \
         all share, one of its own, three that it shares with some. A message is {payload} bytes, {frame} in its frame, and published over \
         HTTP, bursts as pipelined requests; the next is published when everybody has heard the last, but at half load, where messages come at \
         even times. A second, CPU and latency are those of a delivery, from publishing to reading it, or of a client, from dialling to its last \
         reply. The floor of fan-out writes the same bytes to the server's own sockets in a loop, a burst as one buffer, and takes turns with it; the floor of clients answers \
         handshakes of WebSocket. A connection that is closed, a message lost, doubled or refused makes a run invalid: there are none in these \
         figures.\n\n{}\n{}\nWhat Centrifugo 6 did on one core of such a machine under the same load; it is not measured again. \
         `make bench-peers` measures the library that it is built on, in one run with the engine.\n\n{}",
        table.text,
        idle.text,
        recorded.text,
        payload = crate::realtime::server::PAYLOAD,
        frame = realtime.frame_bytes,
    )
}

/// The table of targets.
pub fn targets(targets: &[Target]) -> String {
    let mut table = Table::new(&["<what", "target", "measured", "<"]);
    for target in targets {
        let verdict = if target.met { "met" } else { "**missed**" };
        table.row(&[
            target.what.clone(),
            target.bound.clone(),
            target.got.clone(),
            verdict.to_owned(),
        ]);
    }
    table.text
}

/// Everything that a run of all parts found.
#[derive(Debug)]
pub struct Findings {
    /// Where.
    pub machine: Machine,
    /// The share of its time that the machine beneath gave to others during the run.
    pub stolen: f64,
    /// The command, as it was typed.
    pub command: String,
    /// How the part over HTTP was measured.
    pub options: Options,
    /// Each store.
    pub http: Vec<Results>,
    /// A million sessions.
    pub million: Million,
    /// Clients that come back, and sockets that are revoked.
    pub clients: Clients,
    /// The realtime engine.
    pub realtime: Realtime,
    /// Tokens.
    pub crypto: Crypto,
    /// The process at rest.
    pub footprint: Footprint,
}

/// The page.
pub fn page(findings: &Findings) -> String {
    let Findings {
        machine,
        stolen,
        command,
        options,
        http: stores,
        million: many,
        clients: wave,
        realtime: engine,
        crypto: tokens,
        footprint: rest,
    } = findings;
    let mut all = targets::http(stores);
    all.extend(targets::million(many));
    all.extend(targets::clients(wave));
    all.extend(targets::realtime(engine));
    all.extend(targets::crypto(tokens));
    all.extend(targets::footprint(rest));
    let missed = all.iter().filter(|target| !target.met).count();
    let verdict = match missed {
        0 => format!("All {} targets are met.", all.len()),
        _ => format!("{missed} of {} targets missed.", all.len()),
    };
    let mut text = format!(
        "# Benchmarks

This page is written by a program, `{command}`, run by `make bench`. Every figure is the median of {rounds} rounds of {seconds} s, \
in which the floors and the product take turns. Absolute figures belong to the machine; the ratios say something about the program.

| machine | |
| --- | --- |
| processor | {cpu}, {cores} cores |
| memory | {memory} GiB |
| kernel | {kernel} |
| kept busy by other programs just before | {busy} |
| taken by the machine beneath, during the run | {stolen} |
| compiler | {rustc} |
",
        rounds = options.rounds,
        seconds = options.window.as_secs_f64(),
        cpu = machine.cpu,
        cores = machine.cores,
        memory = figure(machine.memory),
        kernel = machine.kernel,
        busy = busy(machine.busy),
        stolen = percent(*stolen),
        rustc = machine.rustc,
    );
    for results in stores {
        let _ = writeln!(
            text,
            "| {} | {}, on {} |",
            results.store.name(),
            results.version,
            results.file_system
        );
    }
    let _ = write!(text, "\n## Targets\n\n{verdict}\n\n{}", targets(&all));
    text.push_str(HOW);
    for results in stores {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n{}",
            results.store.name(),
            durability(results),
            http(results)
        );
    }
    let _ = write!(
        text,
        "
## Beside Supabase Auth

Its figures were taken once, with chains of the same kind, on two cores of the same kind of machine shared with the generator: PostgreSQL 15 with \
fsync on, 40 pooled connections kept idle; {} MiB resident. They are not measured again in this run, so the column \"each by its floor\" \
divides either by the bare JSON echo of its own run. CPU of ours includes PostgreSQL's; of Supabase Auth's it is the figure that was recorded.

{}",
        figure(supabase::RESIDENT),
        supabase(stores)
    );
    let _ = write!(
        text,
        "\n## A million sessions\n\n{}\n## Clients that come back, and sockets that are revoked\n\n{}\n## Realtime\n\n{}\n## Tokens\n\n{}\n## At rest\n\n{}",
        million(many),
        clients(wave),
        realtime(engine),
        crypto(tokens),
        footprint(rest)
    );
    text
}

/// What others kept busy, and what it means where it is much: the product and its floors suffer from it
/// alike, but not equally.
fn busy(share: f64) -> String {
    let figure = percent(share);
    if share > 0.1 {
        format!("{figure}: **other programs were running, and disturb what stands below**")
    } else {
        figure
    }
}

fn percent(share: f64) -> String {
    format!("{} %", figure(share * 100.0))
}

fn durability(results: &Results) -> &'static str {
    match results.store {
        crate::http::Store::Sqlite => {
            "The embedded database, `synchronous=FULL`: every answer to a mint or a refresh was on the disk before it left."
        }
        crate::http::Store::Postgres => {
            "A PostgreSQL server of its own on the same machine, `fsync` and `synchronous_commit` on, reached over loopback TCP; it shares the \
             cores with the server and the generator."
        }
    }
}

const HOW: &str = "
## How it is measured

Over HTTP, generator, server and database share the machine's cores, and nothing is pinned. The generator is one thread that keeps one request in flight per \
keep-alive connection. One connection is one closed loop:

- *bare JSON echo*, the floor: an axum endpoint of its own process, without any layer, that parses a JSON body as large as a refresh's and answers it.
- *mint*: `POST /auth/tokens`, each for a new user, with name, avatar and two custom members.
- *refresh*: a chain. Each connection owns a session, presents its token to `POST /auth/refresh`, takes the successor, presents that.
- *authenticated GET*: `GET /auth/sessions` with the access token of a session of its own.

The server runs with `--rate-limits off`. A reply that is not 2xx, or a refresh that brings no new token, makes a run invalid: there are none in these \
figures. Latencies are the generator's, its own work included. CPU is user and system time per reply, from `/proc`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["<a", "b"]);
        table.row(&["x".into(), "1".into()]);
        assert_eq!(table.text, "| a | b |\n| --- | ---: |\n| x | 1 |\n");
    }

    #[test]
    fn missed_targets_stand_out() {
        let footprint = Footprint {
            first_start: 150.0,
            second_start: 20.0,
            idle: 10.0,
            binary: 12.0,
        };
        let text = targets(&targets::footprint(&footprint));
        assert!(
            text.contains("| first start to ready | ≤ 100 ms | 150 ms | **missed** |"),
            "{text}"
        );
        assert!(
            text.contains("| second start to ready | ≤ 100 ms | 20.0 ms | met |"),
            "{text}"
        );
    }
}
