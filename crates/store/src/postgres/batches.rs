//! Rotations of many callers in one statement: a commit of PostgreSQL costs a flush and a round trip,
//! and 512 rotations cost little more than one.
//!
//! Rows are locked in the order of their ids, by every batch and by every unit of work, so that no two
//! can wait for each other. Two rotations of one session never share a batch: a statement sees a row as
//! it was before it began, so it could not tell that the first has been there.
//!
//! A rotation that comes while no other is under way has no company to wait for, and is written by its
//! caller's own task: two hand-overs less.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chatsdk_types::SessionId;
use deadpool_postgres::{Client, Pool};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;
use tokio_util::task::TaskTracker;

use super::revive::Revival;
use crate::sessions::{ROTATE, rotation_args};
use crate::sql::Sql;
use crate::{Rotation, StoreError};

/// How many rotations share a statement at most.
const BATCH: usize = 512;

/// [`ROTATE`], for many rows: answers with the place of each rotation that changed its row.
const ROTATE_MANY: Sql = Sql::new(
    "WITH r AS (
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                              $6::bigint[], $7::bigint[], $8::text[])
             WITH ORDINALITY AS r(id, presented, seen, next, now, grace_since, rt_exp, rt_kid, place)
     ), locked AS MATERIALIZED (
         SELECT s.id FROM sessions s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE
     )
     UPDATE sessions s
     SET prev = r.presented, cur = r.next, proven = r.presented, rotated_at = r.now,
         rt_exp = r.rt_exp, rt_kid = r.rt_kid
     FROM r JOIN locked ON locked.id = r.id
     WHERE s.id = r.id AND s.revoked_at IS NULL AND s.proven <= r.presented AND r.seen <= r.presented
         AND s.cur < r.next
         AND NOT (s.prev = r.presented AND s.rotated_at >= r.grace_since)
     RETURNING r.place",
);

const RAISE_MANY: Sql = Sql::new(
    "WITH r AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS r(id, seen)),
     locked AS MATERIALIZED (
         SELECT s.id FROM sessions s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE
     )
     UPDATE sessions s SET proven = r.seen FROM r JOIN locked ON locked.id = r.id
     WHERE s.id = r.id AND s.proven < r.seen",
);

/// What a batch is asked to do.
pub(super) enum Job {
    /// A rotation, and whom to tell whether it changed its row.
    Rotate(Rotation, oneshot::Sender<Result<bool, StoreError>>),
    /// One writer is to end, once the queue is empty.
    Stop,
}

/// How many rotations and batches of them are under way.
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

type Waiting = (Rotation, oneshot::Sender<Result<bool, StoreError>>);

/// Starts `writers` tasks that share `queue`. While one waits for its commit, the other gathers.
pub(super) fn spawn(
    tasks: &TaskTracker,
    pool: &Pool,
    queue: mpsc::Receiver<Job>,
    under_way: &UnderWay,
    writers: usize,
) {
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..writers {
        tasks.spawn(run(pool.clone(), Arc::clone(&queue), under_way.clone()));
    }
}

async fn run(pool: Pool, queue: Arc<Mutex<mpsc::Receiver<Job>>>, under_way: UnderWay) {
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
            Job::Rotate(rotation, reply) => Some((rotation, reply)),
            Job::Stop => None,
        }));
        while !waiting.is_empty() {
            let batch = without_repetition(&mut waiting);
            commit(&pool, batch).await;
        }
    }
}

/// Takes from `waiting` what can share a statement, in the order of the sessions' ids; the second
/// rotation of a session stays for the next one.
fn without_repetition(waiting: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut seen = HashSet::with_capacity(waiting.len());
    let (mut batch, later) = std::mem::take(waiting)
        .into_iter()
        .partition::<Vec<_>, _>(|(rotation, _)| seen.insert(rotation.session.clone()));
    *waiting = later;
    batch.sort_unstable_by(|(a, _), (b, _)| a.session.cmp(&b.session));
    batch
}

/// Writes a rotation in the task of its caller. One that stops waiting leaves a statement behind that is
/// carried out or not, as a lost reply would.
pub(super) async fn alone(pool: &Pool, rotation: &Rotation) -> Result<bool, StoreError> {
    let mut revival = Revival::of(pool);
    loop {
        let client = pool.get().await?;
        match one(&client, rotation).await {
            Err(error) if revival.is_due(&error) => {}
            changed => return Ok(changed?),
        }
    }
}

/// Writes a batch, and tells everyone in it.
async fn commit(pool: &Pool, batch: Vec<Waiting>) {
    let changed = write(pool, &batch).await;
    match changed {
        Ok(changed) => {
            for ((_, reply), changed) in batch.into_iter().zip(changed) {
                // A caller that has gone away does not want to know.
                let _ = reply.send(Ok(changed));
            }
        }
        Err(error) => {
            for (_, reply) in batch {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// A batch that was written twice, because its connection died and nobody knows whether it was committed,
/// is answered with `false` for what the first time changed: the caller reads the row, and finds the
/// successor that it asked for.
async fn write(pool: &Pool, batch: &[Waiting]) -> Result<Vec<bool>, StoreError> {
    let mut revival = Revival::of(pool);
    loop {
        let client = pool.get().await?;
        let changed = match batch {
            [(rotation, _)] => one(&client, rotation).await.map(|changed| vec![changed]),
            _ => many(&client, batch).await,
        };
        match changed {
            Err(error) if revival.is_due(&error) => {}
            changed => return Ok(changed?),
        }
    }
}

/// A rotation that is alone takes the plain statement: the arrays would cost half as much again.
async fn one(client: &Client, rotation: &Rotation) -> Result<bool, Error> {
    let statement = client.prepare_cached(ROTATE.text()).await?;
    let args = rotation_args(rotation);
    let changed = client.execute(&statement, &super::refs(&args)).await?;
    Ok(changed > 0)
}

async fn many(client: &Client, batch: &[Waiting]) -> Result<Vec<bool>, Error> {
    let numbers = |of: fn(&Rotation) -> i64| -> Vec<i64> {
        batch.iter().map(|(rotation, _)| of(rotation)).collect()
    };
    let texts = |of: fn(&Rotation) -> &str| -> Vec<&str> {
        batch.iter().map(|(rotation, _)| of(rotation)).collect()
    };
    let ids = texts(|rotation| rotation.session.as_str());
    let presented = numbers(|rotation| rotation.presented);
    let seen = numbers(|rotation| rotation.seen);
    let next = numbers(|rotation| rotation.next);
    let now = numbers(|rotation| rotation.now);
    let grace_since = numbers(|rotation| rotation.grace_since);
    let rt_exp = numbers(|rotation| rotation.rt_exp);
    let rt_kid = texts(|rotation| rotation.rt_kid.as_str());
    let args: [&(dyn ToSql + Sync); 8] = [
        &ids,
        &presented,
        &seen,
        &next,
        &now,
        &grace_since,
        &rt_exp,
        &rt_kid,
    ];

    let statement = client.prepare_cached(ROTATE_MANY.text()).await?;
    let rows = client.query(&statement, &args).await?;
    let mut changed = vec![false; batch.len()];
    for row in rows {
        let place: i64 = row.try_get(0)?;
        // Places count from one.
        if let Some(changed) = usize::try_from(place - 1)
            .ok()
            .and_then(|at| changed.get_mut(at))
        {
            *changed = true;
        }
    }
    Ok(changed)
}

/// Raises `proven` of each session to the counter given, where it is lower.
pub(super) async fn raise(pool: &Pool, seen: Vec<(SessionId, i64)>) -> Result<(), StoreError> {
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
        match raise_many(&client, &ids, &counters).await {
            Err(error) if revival.is_due(&error) => {}
            raised => return Ok(raised?),
        }
    }
}

async fn raise_many(client: &Client, ids: &[&str], counters: &[i64]) -> Result<(), Error> {
    let statement = client.prepare_cached(RAISE_MANY.text()).await?;
    client.execute(&statement, &[&ids, &counters]).await?;
    Ok(())
}
