//! Refresh tokens that are exchanged in one statement each, or many of them in one: a commit of
//! PostgreSQL costs a flush and a round trip, and 512 rotations cost little more than one.
//!
//! The statements say the decision table's lines 3 to 6 in SQL, because to read, to decide here, and then
//! to write would be two round trips. They answer with the row as it was, and each outcome is held to
//! [`Exchange::decide`]; a test (`auth/tests/exchange.rs`) puts rows of every kind to both.
//!
//! Two copies of the row stand in a statement. `s` is the one that is changed, and it carries the
//! conditions: where another transaction held the row, PostgreSQL looks at them again with what that one
//! left behind. `was` is what is answered, as the statement saw it at its beginning or, in a batch, as it
//! was locked. `s.cur = was.cur` makes sure that no rotation came between the two. What else may have come
//! between is a counter seen in use, which the conditions on `s` weigh, and the end of the session.
//!
//! Rows are locked in the order of their ids, by every batch and by every unit of work, so that no two
//! can wait for each other. A row that another transaction holds is left out of its batch, whose others would
//! all wait for it: its caller is answered that nothing was changed, reads the row, and waits by itself.
//! Two exchanges of one session never share a batch: a statement sees a row as
//! it was before it began, so it could not tell that the first has been there.
//!
//! An exchange that comes while no other is under way has no company to wait for, and is written by its
//! caller's own task: two hand-overs less.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatsdk_types::{AppId, SessionId};
use deadpool_postgres::{Client, Pool};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row as PgRow};
use tokio_util::task::TaskTracker;

use super::give_up;
use super::revive::Revival;
use crate::sessions::{self, with_user};
use crate::sql::{Row, Sql};
use crate::{Exchange, Exchanged, StoreError, Successor, users};

/// How many exchanges share a statement at most.
const BATCH: usize = 512;

/// One exchange, of the row that `$was` finds. The arguments are those of [`one`].
macro_rules! exchange {
    ($was:literal) => {
        concat!(
            "UPDATE sessions s
             SET prev = $1::bigint, cur = greatest(s.cur + 1, $1::bigint + 1, $2::bigint), proven = $1::bigint,
                 rotated_at = $2::bigint, rt_exp = least($2::bigint + s.idle_ttl, s.abs_exp), rt_kid = $3::text
             FROM ",
            $was,
            " was JOIN users ON users.app_id = was.app_id AND users.id = was.user_id
             WHERE s.id = $4::text AND was.id = $4::text AND s.cur = was.cur
                 AND s.revoked_at IS NULL AND users.deleted_at IS NULL AND users.banned_at IS NULL
                 AND $2::bigint <= s.abs_exp AND $2::bigint <= greatest(s.rt_exp, $5::bigint)
                 AND NOT (s.prev = $1::bigint AND s.rotated_at >= $6::bigint)
                 AND s.proven <= $1::bigint AND $7::bigint <= $1::bigint
                 AND NOT s.app_id = ANY ($8::text[])
             RETURNING s.cur, s.rt_exp, ",
            sessions::columns!("was"),
            ", ",
            users::columns!()
        )
    };
}

/// For a caller who waits where another transaction holds the row.
const EXCHANGE: Sql = Sql::new(exchange!("sessions"));

/// For a batch, which does not.
const EXCHANGE_FREE: Sql = Sql::new(exchange!(
    "(SELECT * FROM sessions WHERE id = $4::text FOR NO KEY UPDATE SKIP LOCKED)"
));

/// [`EXCHANGE_FREE`], for many rows: answers with the place of each exchange that changed its row, too.
const EXCHANGE_MANY: Sql = Sql::new(concat!(
    "WITH r AS (
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                              $6::bigint[], $7::text[])
             WITH ORDINALITY AS r(id, presented, exp, seen, now, grace_since, rt_kid, place)
     ), was AS MATERIALIZED (
         SELECT s.* FROM sessions s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED
     )
     UPDATE sessions s
     SET prev = r.presented, cur = greatest(s.cur + 1, r.presented + 1, r.now), proven = r.presented,
         rotated_at = r.now, rt_exp = least(r.now + s.idle_ttl, s.abs_exp), rt_kid = r.rt_kid
     FROM r JOIN was ON was.id = r.id
         JOIN users ON users.app_id = was.app_id AND users.id = was.user_id
     WHERE s.id = r.id AND s.cur = was.cur
         AND s.revoked_at IS NULL AND users.deleted_at IS NULL AND users.banned_at IS NULL
         AND r.now <= s.abs_exp AND r.now <= greatest(s.rt_exp, r.exp)
         AND NOT (s.prev = r.presented AND s.rotated_at >= r.grace_since)
         AND s.proven <= r.presented AND r.seen <= r.presented
         AND NOT s.app_id = ANY ($8::text[])
     RETURNING s.cur, s.rt_exp, ",
    sessions::columns!("was"),
    ", ",
    users::columns!(),
    ", r.place"
));

const RAISE_MANY: Sql = Sql::new(
    "WITH r AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS r(id, seen)),
     locked AS MATERIALIZED (
         SELECT s.id FROM sessions s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE
     )
     UPDATE sessions s SET proven = r.seen FROM r JOIN locked ON locked.id = r.id
     WHERE s.id = r.id AND s.proven < r.seen",
);

/// An exchange that was carried out, and the row that it changed. To read that row is its caller's task:
/// there are more of those than of batches.
pub(super) type Carried = Result<(Exchange, Option<PgRow>), StoreError>;

/// What a batch is asked to do.
pub(super) enum Job {
    /// An exchange, and whom to tell what became of it.
    Exchange(Exchange, oneshot::Sender<Carried>),
    /// One writer is to end, once the queue is empty.
    Stop,
}

/// How many exchanges and batches of them are under way.
#[derive(Debug, Default, Clone)]
pub(super) struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    /// Counts one more, if there is no other.
    pub(super) fn enter_alone(&self) -> Option<Counted<'_>> {
        self.0
            .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed)
            .ok()
            .map(|_| Counted(&self.0))
    }

    fn enter(&self) -> Counted<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(&self.0)
    }
}

/// One that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Waiting = (Exchange, oneshot::Sender<Carried>);

/// Starts `writers` tasks that share `queue`. While one waits for its commit, the other gathers.
pub(super) fn spawn(
    tasks: &TaskTracker,
    pool: &Pool,
    answer: Duration,
    queue: mpsc::Receiver<Job>,
    under_way: &UnderWay,
    writers: usize,
) {
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..writers {
        let (pool, queue) = (pool.clone(), Arc::clone(&queue));
        tasks.spawn(run(pool, answer, queue, under_way.clone()));
    }
}

async fn run(
    pool: Pool,
    answer: Duration,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    under_way: UnderWay,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut waiting: Vec<Waiting> = Vec::with_capacity(BATCH);
    loop {
        {
            let mut queue = queue.lock().await;
            if queue.recv_many(&mut jobs, BATCH).await == 0 {
                return;
            }
            if jobs.iter().any(|job| matches!(job, Job::Stop)) {
                queue.close();
            }
        }
        let _counted = under_way.enter();
        waiting.extend(jobs.drain(..).filter_map(|job| match job {
            Job::Exchange(exchange, reply) => Some((exchange, reply)),
            Job::Stop => None,
        }));
        while !waiting.is_empty() {
            let batch = without_repetition(&mut waiting);
            commit(&pool, answer, batch).await;
        }
    }
}

/// Takes from `waiting` what can share a statement, in the order of the sessions' ids; the second
/// exchange of a session stays for the next one.
fn without_repetition(waiting: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut seen = HashSet::with_capacity(waiting.len());
    let (mut batch, later) = std::mem::take(waiting)
        .into_iter()
        .partition::<Vec<_>, _>(|(exchange, _)| seen.insert(exchange.session.clone()));
    *waiting = later;
    batch.sort_unstable_by(|(a, _), (b, _)| a.session.cmp(&b.session));
    batch
}

/// Does an exchange in the task of its caller. One that stops waiting leaves a statement behind that is
/// carried out or not, as a lost reply would.
pub(super) async fn alone(pool: &Pool, answer: Duration, exchange: Exchange) -> Carried {
    let mut revival = Revival::of(pool);
    loop {
        let client = pool.get().await?;
        match timeout(answer, one(&client, EXCHANGE, &exchange)).await {
            Err(_) => return Err(give_up(client)),
            Ok(Err(error)) if revival.is_due(&error) => {}
            Ok(row) => return Ok((exchange, row?)),
        }
    }
}

/// Writes a batch, and tells everyone in it.
async fn commit(pool: &Pool, answer: Duration, batch: Vec<Waiting>) {
    match write(pool, answer, &batch).await {
        Ok(rows) => {
            for ((exchange, reply), row) in batch.into_iter().zip(rows) {
                // A caller that has gone away does not want to know.
                let _ = reply.send(Ok((exchange, row)));
            }
        }
        Err(error) => {
            for (_, reply) in batch {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// The rows that a batch changed, each in the place of its exchange.
///
/// One that was written twice, because its connection died and nobody knows whether it was committed,
/// is answered with nothing for what the first time changed: the caller reads the row, and finds the
/// successor that it asked for.
async fn write(
    pool: &Pool,
    answer: Duration,
    batch: &[Waiting],
) -> Result<Vec<Option<PgRow>>, StoreError> {
    let mut revival = Revival::of(pool);
    loop {
        let client = pool.get().await?;
        let asked = async {
            match batch {
                [(exchange, _)] => one(&client, EXCHANGE_FREE, exchange)
                    .await
                    .map(|row| vec![row]),
                _ => many(&client, batch).await,
            }
        };
        match timeout(answer, asked).await {
            Err(_) => return Err(give_up(client)),
            Ok(Err(error)) if revival.is_due(&error) => {}
            Ok(rows) => return Ok(rows?),
        }
    }
}

/// What a changed row says: the successor, the session as it was, the user. It is held to the table.
pub(super) fn read(
    (exchange, row): (Exchange, Option<PgRow>),
) -> Result<Option<Exchanged>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let mut row = Row::from_postgres(&row)?;
    let successor = Successor {
        next: row.int()?,
        rt_exp: row.int()?,
    };
    let (before, user) = with_user(&mut row)?;
    if (exchange.decide)(&exchange, &before, &user) != Some(successor) {
        return Err(StoreError::InvalidRow(format!(
            "{} was rotated where it must not be",
            exchange.session
        )));
    }
    Ok(Some(Exchanged {
        before,
        user,
        successor,
    }))
}

/// An exchange that is alone takes the plain statement: the arrays would cost half as much again.
async fn one(client: &Client, sql: Sql, exchange: &Exchange) -> Result<Option<PgRow>, Error> {
    let statement = client.prepare_cached(sql.text()).await?;
    let disabled = disabled([exchange]);
    let args: [&(dyn ToSql + Sync); 8] = [
        &exchange.presented,
        &exchange.now,
        &exchange.rt_kid,
        &exchange.session.as_str(),
        &exchange.exp,
        &exchange.grace_since,
        &exchange.seen,
        &disabled,
    ];
    client.query_opt(&statement, &args).await
}

async fn many(client: &Client, batch: &[Waiting]) -> Result<Vec<Option<PgRow>>, Error> {
    let numbers = |of: fn(&Exchange) -> i64| -> Vec<i64> {
        batch.iter().map(|(exchange, _)| of(exchange)).collect()
    };
    let texts = |of: fn(&Exchange) -> &str| -> Vec<&str> {
        batch.iter().map(|(exchange, _)| of(exchange)).collect()
    };
    let ids = texts(|exchange| exchange.session.as_str());
    let presented = numbers(|exchange| exchange.presented);
    let exp = numbers(|exchange| exchange.exp);
    let seen = numbers(|exchange| exchange.seen);
    let now = numbers(|exchange| exchange.now);
    let grace_since = numbers(|exchange| exchange.grace_since);
    let rt_kid = texts(|exchange| exchange.rt_kid.as_str());
    let disabled = disabled(batch.iter().map(|(exchange, _)| exchange));
    let args: [&(dyn ToSql + Sync); 8] = [
        &ids,
        &presented,
        &exp,
        &seen,
        &now,
        &grace_since,
        &rt_kid,
        &disabled,
    ];

    let statement = client.prepare_cached(EXCHANGE_MANY.text()).await?;
    let mut changed: Vec<Option<PgRow>> = batch.iter().map(|_| None).collect();
    for row in client.query(&statement, &args).await? {
        let place: i64 = row.try_get("place")?;
        // Places count from one.
        if let Some(changed) = usize::try_from(place - 1)
            .ok()
            .and_then(|at| changed.get_mut(at))
        {
            *changed = Some(row);
        }
    }
    Ok(changed)
}

/// The apps that any of `exchanges` leaves alone. One that was enabled between two of them is left alone by
/// both, and the caller, who reads the row then, decides.
fn disabled<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Vec<&'a str> {
    let sets = exchanges
        .into_iter()
        .filter_map(|exchange| exchange.disabled.as_deref());
    let mut apps: Vec<&str> = Vec::new();
    let mut last: Option<&HashSet<AppId>> = None;
    for set in sets {
        // Most of a batch share one set.
        if !last.is_some_and(|last| std::ptr::eq(last, set)) {
            apps.extend(set.iter().map(AppId::as_str));
        }
        last = Some(set);
    }
    apps.sort_unstable();
    apps.dedup();
    apps
}

/// Raises `proven` of each session to the counter given, where it is lower.
pub(super) async fn raise(
    pool: &Pool,
    answer: Duration,
    seen: Vec<(SessionId, i64)>,
) -> Result<(), StoreError> {
    let mut highest = BTreeMap::new();
    for (session, counter) in seen {
        let known = highest.entry(session).or_insert(counter);
        *known = counter.max(*known);
    }
    let ids: Vec<&str> = highest.keys().map(SessionId::as_str).collect();
    let counters: Vec<i64> = highest.values().copied().collect();
    let mut revival = Revival::of(pool);
    loop {
        let client = pool.get().await?;
        // Twice is the same as once.
        match timeout(answer, raise_many(&client, &ids, &counters)).await {
            Err(_) => return Err(give_up(client)),
            Ok(Err(error)) if revival.is_due(&error) => {}
            Ok(raised) => return Ok(raised?),
        }
    }
}

async fn raise_many(client: &Client, ids: &[&str], counters: &[i64]) -> Result<(), Error> {
    let statement = client.prepare_cached(RAISE_MANY.text()).await?;
    client.execute(&statement, &[&ids, &counters]).await?;
    Ok(())
}
