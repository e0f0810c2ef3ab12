//! How many durable rotations a second the store makes, beside what the disk allows.
//!
//! ```text
//! cargo run --release -p chatsdk-store --example rotations            both databases
//! cargo run --release -p chatsdk-store --example rotations -- sqlite  one of them
//! ```
//!
//! `TMPDIR` says which disk is measured. Each caller owns sessions and rotates them in turn, waiting for each answer: a chain. Two floors are
//! measured on the same disk in the same run: one caller that commits the same statement by itself, and
//! a loop that puts 512 of them into each transaction. PostgreSQL runs with `fsync` on, in a directory
//! of its own.
//!
//! A program and not a test: what it prints depends on the machine, and nothing is asserted.

use std::path::Path;
use std::time::{Duration, Instant};

use chatsdk_pgtest::Cluster;
use chatsdk_store::{Exchange, Location, Session, Store, StoreError, Successor, UserPatch};
use chatsdk_types::{AppId, Lifetime, SessionId, SystemEntropy};

const NOW: i64 = 1_800_000_000_000;
const SESSIONS: usize = 200_000;
const WINDOW: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
const CALLERS: [usize; 4] = [1, 16, 64, 256];

const BARE: &str = "UPDATE sessions SET prev = $1, cur = $1, proven = $1, rotated_at = $1, rt_exp = $1 WHERE id = $2";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("sqlite") {
        let directory = tempfile::tempdir()?;
        println!("SQLite, synchronous=FULL, {SESSIONS} sessions");
        let own = Location::Sqlite(directory.path().join("store.db"));
        // The floors have a file of their own, as full as the other and with the same tables.
        let file = directory.path().join("floor.db");
        let floor = Store::open(Location::Sqlite(file.clone())).await?;
        fill(&floor).await?;
        floor.close().await;
        measure(own, async |batch| {
            let file = file.clone();
            tokio::task::spawn_blocking(move || sqlite_floor(&file, batch)).await?
        })
        .await?;
    }
    if wanted("postgres") {
        let cluster = Cluster::start(&["shared_buffers=512MB", "max_wal_size=4GB"]).await;
        println!("PostgreSQL, synchronous_commit=on, fsync=on, {SESSIONS} sessions");
        let url = cluster.database().await;
        let floor = cluster.database().await;
        fill(&Store::open(Location::Postgres(floor.clone())).await?).await?;
        measure(Location::Postgres(url), async |batch| {
            postgres_floor(&floor, batch).await
        })
        .await?;
    }
    Ok(())
}

/// The store at each number of callers and the floors beside it, in turn, a few rounds; prints medians.
async fn measure(
    location: Location,
    floor: impl AsyncFn(usize) -> Result<f64, Failure>,
) -> Result<(), Failure> {
    let store = Store::open(location).await?;
    let sessions = fill(&store).await?;
    let mut bare = Vec::new();
    let mut batched = Vec::new();
    let mut rounds: [Vec<Round>; CALLERS.len()] = Default::default();
    for _ in 0..ROUNDS {
        bare.push(floor(1).await?);
        for (callers, rounds) in CALLERS.into_iter().zip(&mut rounds) {
            rounds.push(chains(&store, &sessions, callers).await?);
        }
        batched.push(floor(512).await?);
    }
    for (callers, rounds) in CALLERS.into_iter().zip(&rounds) {
        let middle = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
        let (rate, p50, p99) = (middle(|r| r.rate), middle(|r| r.p50), middle(|r| r.p99));
        println!("  {callers:>4} callers  {rate:>8.0}/s   p50 {p50:>6.2} ms   p99 {p99:>6.2} ms");
    }
    println!(
        "  floor: one caller, bare commits      {:>8.0}/s",
        median(bare)
    );
    println!(
        "  floor: one thread, 512 to a commit   {:>8.0}/s",
        median(batched)
    );
    store.close().await;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
}

async fn chains(store: &Store, sessions: &[SessionId], callers: usize) -> Result<Round, Failure> {
    let share = sessions.len() / callers;
    let began = Instant::now();
    // Counters and times go on from round to round.
    let stamp = NOW + began_at();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            // Each caller walks its sessions in an order that jumps about the table.
            let own: Vec<SessionId> = (0..share.min(2_000))
                .map(|at| sessions[caller * share + at * 7919 % share].clone())
                .collect();
            let store = store.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                let mut step = 0;
                while began.elapsed() < WINDOW {
                    let start = Instant::now();
                    let exchanged = store
                        .exchange(
                            exchange(&own[step % own.len()], stamp + step as i64 * 2),
                            |it| it,
                        )
                        .await?;
                    if exchanged.is_none() {
                        return Err(StoreError::InvalidRow("a rotation was refused".to_owned()));
                    }
                    taken.push(start.elapsed());
                    step += 1;
                }
                Ok(taken)
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await??);
    }
    let elapsed = began.elapsed().as_secs_f64();
    taken.sort_unstable();
    let at = |part: f64| taken[(taken.len() as f64 * part) as usize].as_secs_f64() * 1e3;
    Ok(Round {
        rate: taken.len() as f64 / elapsed,
        p50: at(0.5),
        p99: at(0.99),
    })
}

/// A number that grows from call to call by more than a round can use up.
fn began_at() -> i64 {
    use std::sync::atomic::{AtomicI64, Ordering};
    static ROUND: AtomicI64 = AtomicI64::new(1);
    ROUND.fetch_add(1, Ordering::Relaxed) * 100_000_000
}

fn exchange(session: &SessionId, stamp: i64) -> Exchange {
    Exchange {
        session: session.clone(),
        presented: stamp,
        exp: stamp,
        seen: 0,
        now: stamp,
        grace_since: stamp,
        rt_kid: "r1".to_owned(),
        disabled: None,
        decide: |exchange, session, _| {
            Some(Successor {
                next: exchange.presented + 1,
                rt_exp: exchange.now + session.idle_ttl.as_millis(),
            })
        },
    }
}

async fn fill(store: &Store) -> Result<Vec<SessionId>, Failure> {
    let app = AppId::new(NOW, &SystemEntropy);
    let mut ids = Vec::with_capacity(SESSIONS);
    for batch in 0..SESSIONS / 1000 {
        let sessions: Vec<Session> = (0..1000)
            .map(|n| session(&app, batch as i64 * 1000 + n))
            .collect::<Result<_, Failure>>()?;
        ids.extend(sessions.iter().map(|session| session.id.clone()));
        store
            .write(move |tx| {
                Box::pin(async move {
                    for session in &sessions {
                        tx.upsert_user(&session.app, &session.user, &UserPatch::default(), NOW)
                            .await?;
                        tx.insert_session(session).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
    }
    Ok(ids)
}

fn session(app: &AppId, n: i64) -> Result<Session, Failure> {
    Ok(Session {
        id: SessionId::new(NOW + n, &SystemEntropy),
        app: app.clone(),
        user: format!("user-{}", n / 2).parse()?,
        key: Some("abcd1234".parse()?),
        cur: 1,
        prev: 0,
        proven: 0,
        rotated_at: NOW,
        rt_exp: NOW,
        abs_exp: NOW + NOW,
        rt_kid: "r1".to_owned(),
        access_ttl: Lifetime::secs(3600),
        idle_ttl: Lifetime::days(7),
        created_at: NOW,
        device_id: None,
        device_name: None,
        revoked_at: None,
        revoke_reason: None,
    })
}

/// The bare statement on one thread, `batch` of them to a commit.
fn sqlite_floor(file: &Path, batch: usize) -> Result<f64, Failure> {
    let connection = rusqlite::Connection::open(file)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let ids: Vec<String> = connection
        .prepare("SELECT id FROM sessions ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut update = connection.prepare(BARE)?;
    let (began, mut done) = (Instant::now(), 0_usize);
    while began.elapsed() < WINDOW {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..batch {
            update.execute((began_at() + done as i64, &ids[done * 7919 % ids.len()]))?;
            done += 1;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// The bare statement on one connection, `batch` of them to a commit.
async fn postgres_floor(url: &str, batch: usize) -> Result<f64, Failure> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    let ids: Vec<String> = client
        .query("SELECT id FROM sessions ORDER BY id", &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let update = client.prepare(BARE).await?;
    let (began, mut done) = (Instant::now(), 0_usize);
    while began.elapsed() < WINDOW {
        if batch > 1 {
            client.batch_execute("BEGIN").await?;
        }
        for _ in 0..batch {
            client
                .execute(
                    &update,
                    &[&(began_at() + done as i64), &ids[done * 7919 % ids.len()]],
                )
                .await?;
            done += 1;
        }
        if batch > 1 {
            client.batch_execute("COMMIT").await?;
        }
    }
    let rate = done as f64 / began.elapsed().as_secs_f64();
    drop(client);
    driver.await??;
    Ok(rate)
}
