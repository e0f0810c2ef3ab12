//! A million sessions: what a refresh costs in a database that is full, and beside the sweep that
//! empties it, next to a database that holds a handful.
//!
//! The full database is the product's own file, filled by SQL while the product is down. The first rows
//! of the table ended long ago and are what the sweep, which begins half a minute after the start, deletes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::http::{self, HttpError};
use crate::load::{Plan, Script, drive};
use crate::product::{self, Product, Setup};
use crate::stats::{Sample, median};

/// How many sessions the full database holds.
pub const SESSIONS: i64 = 1_000_000;

/// How many of them ended long ago.
pub const STALE: i64 = 200_000;

/// How many users they belong to.
const USERS: i64 = 100_000;

/// How many connections refresh.
pub const CONNECTIONS: usize = 64;

const WARM_UP: Duration = Duration::from_millis(300);

/// How long to wait for the sweep.
const PATIENCE: Duration = Duration::from_mins(1);

/// Medians of refreshes in the two databases, which took turns.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// Where there is a handful of sessions.
    pub few: Sample,
    /// Where there are a million.
    pub many: Sample,
    /// The median of the ratios of the 99th percentiles, many to few, each within a round.
    pub p99: f64,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Million {
    /// While nothing else is done.
    pub quiet: Beside,
    /// While the sweep deletes.
    pub swept: Beside,
    /// How many sessions were deleted a second meanwhile.
    pub sweep_rate: f64,
    /// The size of the full database file in MiB.
    pub file: f64,
    /// Resident memory of the server of the full database in MiB.
    pub resident: f64,
}

/// A server, and the chains that its refreshes are made of.
struct Side {
    server: Product,
    scripts: Vec<Script>,
}

/// Measures with `binary` in fresh directories under `work`.
pub async fn measure(
    binary: &Path,
    work: &Path,
    rounds: usize,
    window: Duration,
) -> Result<Million, HttpError> {
    let mut few = Side::prepare(binary, work.join("few"), |_| Ok(())).await?;
    let file = work.join("many").join("chatsdk.db");
    let mut many = Side::prepare(binary, work.join("many"), fill).await?;
    eprintln!("a million sessions");
    let quiet = take_turns(&mut few, &mut many, rounds, window).await?;
    let swept_before = swept(&many.server).await?;
    wait_for_sweep(&many.server).await?;
    eprintln!("a million sessions, and the sweep");
    let (before, begin) = (swept(&many.server).await?, std::time::Instant::now());
    let beside = take_turns(&mut few, &mut many, rounds, window).await?;
    let deleted = swept(&many.server).await? - before;
    let sweep_rate = deleted / begin.elapsed().as_secs_f64();
    if swept_before > 0.0 || deleted <= 0.0 {
        return Err(HttpError::NoSweep);
    }
    let resident = crate::process::memory(many.server.pid())?.resident as f64 / 1024.0;
    few.server.stop()?;
    many.server.stop()?;
    let size = std::fs::metadata(&file).map_err(|source| HttpError::File { path: file, source })?;
    Ok(Million {
        quiet,
        swept: beside,
        sweep_rate,
        file: size.len() as f64 / 1024.0 / 1024.0,
        resident,
    })
}

impl Side {
    /// Mints a session for each connection, stops the server, lets `change` the file, and starts again.
    async fn prepare(
        binary: &Path,
        data: PathBuf,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, HttpError> {
        let setup = Setup {
            binary: binary.to_owned(),
            data,
            database: None,
        };
        let server = setup.start()?;
        let sessions = server
            .sessions(CONNECTIONS, &Arc::new(AtomicU64::new(0)))
            .await?;
        server.stop()?;
        change(&Connection::open(setup.data.join("chatsdk.db"))?)?;
        let server = setup.start()?;
        let to = server.address("/auth/refresh").await?;
        let scripts = sessions
            .iter()
            .map(|session| product::refresh(&to, session))
            .collect::<Result<_, _>>()?;
        Ok(Self { server, scripts })
    }

    async fn refresh(&mut self, window: Duration) -> Result<Sample, HttpError> {
        let to = self.server.address("/auth/refresh").await?;
        let mut outcome = drive(Plan {
            to: to.socket,
            scripts: std::mem::take(&mut self.scripts),
            warm_up: WARM_UP,
            window,
            watched: vec![self.server.pid()],
        })
        .await?;
        if !outcome.is_valid() {
            return Err(HttpError::Invalid {
                request: "refresh",
                store: "SQLite with a million sessions",
                connections: CONNECTIONS,
                errors: http::describe(&outcome),
                sample: outcome.sample.take().unwrap_or_default(),
            });
        }
        self.scripts = std::mem::take(&mut outcome.scripts);
        Ok(http::sample(&outcome, false))
    }
}

async fn take_turns(
    few: &mut Side,
    many: &mut Side,
    rounds: usize,
    window: Duration,
) -> Result<Beside, HttpError> {
    let mut samples: [Vec<Sample>; 2] = Default::default();
    for _ in 0..rounds {
        samples[0].push(few.refresh(window).await?);
        samples[1].push(many.refresh(window).await?);
    }
    let [few, many] = samples;
    let p99 = median(few.iter().zip(&many).map(|(few, many)| many.p99 / few.p99));
    match (Sample::medians(&few), Sample::medians(&many), p99) {
        (Some(few), Some(many), Some(p99)) => Ok(Beside { few, many, p99 }),
        _ => Err(HttpError::NoSweep),
    }
}

/// Adds the sessions, those that ended long ago first, as a table that has grown with time would hold them.
fn fill(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "synchronous", "off")?;
    let app: String = db.query_row("SELECT id FROM apps", [], |row| row.get(0))?;
    let now: i64 = db.query_row("SELECT max(created_at) FROM sessions", [], |row| row.get(0))?;
    let day = 24 * 3_600 * 1_000;
    db.execute_batch("BEGIN")?;
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
         INSERT INTO users (app_id, id, name, created_at, updated_at)
         SELECT ?2, printf('many-%d', i), printf('Number %d', i), ?3, ?3 FROM n",
        params![USERS, app, now],
    )?;
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
         INSERT INTO sessions (id, app_id, user_id, cur, prev, proven, rotated_at, rt_exp, abs_exp, rt_kid,
                               access_ttl, idle_ttl, created_at)
         SELECT printf('ses_0%025d', i), ?2, printf('many-%d', i % ?3), ?4, 0, 0, ?4,
                iif(i < ?5, ?4 - 60 * ?6, ?4 + 7 * ?6), iif(i < ?5, ?4 - 60 * ?6, ?4 + 90 * ?6), 'r1',
                3600000, 7 * ?6, ?4
         FROM n",
        params![SESSIONS, app, USERS, now, STALE, day],
    )?;
    db.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
}

/// How many sessions `server` has deleted.
async fn swept(server: &Product) -> Result<f64, HttpError> {
    let metrics = server.get("/metrics").await?;
    Ok(metrics
        .lines()
        .find_map(|line| line.strip_prefix("chatsdk_sessions_swept_total "))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0.0))
}

async fn wait_for_sweep(server: &Product) -> Result<(), HttpError> {
    let begin = std::time::Instant::now();
    while swept(server).await? == 0.0 {
        if begin.elapsed() > PATIENCE {
            return Err(HttpError::NoSweep);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
