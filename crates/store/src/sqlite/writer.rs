//! The thread that owns the write connection: it drains its queue into one transaction, commits once,
//! then answers everyone.
//!
//! The commit itself is the batching window: while the disk is busy with one batch the next one
//! gathers, so that nobody waits for company and 256 callers share a few flushes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chatsdk_types::SessionId;
use rusqlite::{Connection, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Log;
use super::signal::Signal;
use super::unit::{Savepoint, Unit};
use crate::sessions::{RAISE, ROTATE, rotation_args};
use crate::{Rotation, StoreError};

/// How many jobs share a transaction at most.
const BATCH: usize = 512;

/// What the writer is asked to do.
pub(super) enum Job {
    /// A boxed unit of work.
    Unit(Box<dyn Unit>),
    /// A rotation: one statement, atomic by itself, so it goes without a box and a savepoint.
    Rotate(Rotation, oneshot::Sender<Result<bool, StoreError>>),
    /// Counters seen in use. Each raise stands for itself, so a failure undoes none of the others.
    Raise(
        Vec<(SessionId, i64)>,
        oneshot::Sender<Result<(), StoreError>>,
    ),
    /// Finish what is queued, then end.
    Stop,
}

/// A job that was done in the transaction that is open, and waits for its commit.
enum Done {
    Unit(Box<dyn Unit>),
    Rotate(bool, oneshot::Sender<Result<bool, StoreError>>),
    Raise(oneshot::Sender<Result<(), StoreError>>),
}

impl Done {
    fn answer(self, commit: Result<(), StoreError>) {
        // A caller that has gone away does not want to know.
        match self {
            Self::Unit(unit) => unit.answer(commit),
            Self::Rotate(changed, reply) => {
                let _ = reply.send(commit.map(|()| changed));
            }
            Self::Raise(reply) => {
                let _ = reply.send(commit);
            }
        }
    }
}

impl Job {
    fn refuse(self, error: StoreError) {
        match self {
            Self::Unit(unit) => unit.answer(Err(error)),
            Self::Rotate(_, reply) => Done::Rotate(false, reply).answer(Err(error)),
            Self::Raise(_, reply) => Done::Raise(reply).answer(Err(error)),
            Self::Stop => {}
        }
    }
}

/// Starts the thread. It ends when it is told to stop or the last sender is gone, after everything
/// that was queued.
pub(super) fn spawn(
    connection: Connection,
    queue: mpsc::Receiver<Job>,
    checkpoints: Arc<Signal>,
    log: Arc<Log>,
) -> Result<JoinHandle<()>, StoreError> {
    let writer = Writer {
        connection,
        checkpoints,
        log,
        done: Vec::with_capacity(BATCH),
    };
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run(queue))
        .map_err(|error| StoreError::File(format!("the writer cannot be started: {error}")))
}

struct Writer {
    connection: Connection,
    checkpoints: Arc<Signal>,
    log: Arc<Log>,
    /// The jobs of the transaction that is open; none where none is.
    done: Vec<Done>,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut jobs, BATCH) > 0 {
            if jobs.iter().any(|job| matches!(job, Job::Stop)) {
                queue.close();
            }
            self.batch(&mut jobs);
            self.renew_log();
        }
        self.checkpoints.stop();
        // Leaves the database in one file, so that a copy of it alone is whole.
        if let Err(error) = self.checkpoint("TRUNCATE") {
            tracing::debug!(%error, "the last checkpoint was left to the next start");
        }
    }

    /// Does `jobs` in one transaction; in more where one is lost on the way.
    fn batch(&mut self, jobs: &mut Vec<Job>) {
        let mut jobs = jobs.drain(..);
        while let Some(job) = jobs.next() {
            if matches!(job, Job::Stop) {
                continue;
            }
            if self.connection.is_autocommit()
                && let Err(error) = self.sql("BEGIN IMMEDIATE")
            {
                // Waiting for the lock again for each of them would only add up the waiting.
                tracing::warn!(%error, "a batch of writes could not begin");
                job.refuse(error.clone());
                jobs.for_each(|job| job.refuse(error.clone()));
                return;
            }
            self.job(job);
            if self.connection.is_autocommit() {
                // A full disk, a failed read: SQLite gave up the whole transaction, and what was done
                // in it before is gone with it.
                self.answer(&Err(StoreError::Unavailable(
                    "the transaction was given up".to_owned(),
                )));
            }
        }
        if self.connection.is_autocommit() {
            return;
        }
        let commit = self.sql("COMMIT");
        if let Err(error) = &commit {
            tracing::error!(%error, "a commit failed; nothing of it was written");
            self.abandon();
        }
        self.answer(&commit);
        self.checkpoints.raise();
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Unit(unit) => self.unit(unit),
            Job::Rotate(rotation, reply) => match self.rotate(&rotation) {
                Ok(changed) => self.done.push(Done::Rotate(changed, reply)),
                Err(error) => Done::Rotate(false, reply).answer(Err(error)),
            },
            Job::Raise(seen, reply) => match self.raise(&seen) {
                Ok(()) => self.done.push(Done::Raise(reply)),
                Err(error) => Done::Raise(reply).answer(Err(error)),
            },
            Job::Stop => {}
        }
    }

    fn unit(&mut self, mut unit: Box<dyn Unit>) {
        let wanted = if self.done.is_empty() {
            Savepoint::Unneeded
        } else {
            Savepoint::Wanted
        };
        let (kept, savepoint) = unit.run(&mut self.connection, wanted);
        let ended = match (kept, savepoint) {
            _ if self.connection.is_autocommit() => Err(StoreError::Unavailable(
                "the transaction was given up".to_owned(),
            )),
            (_, Savepoint::Wanted) | (true, Savepoint::Unneeded) => Ok(()),
            (true, Savepoint::Open) => self.sql("RELEASE unit"),
            (false, Savepoint::Open) => self
                .sql("ROLLBACK TO unit")
                .and_then(|()| self.sql("RELEASE unit")),
            (false, Savepoint::Unneeded) => self.sql("ROLLBACK"),
        };
        match ended {
            Ok(()) if kept => self.done.push(Done::Unit(unit)),
            Ok(()) => unit.answer(Err(StoreError::Closed)),
            Err(error) => {
                unit.answer(Err(error.clone()));
                // A savepoint that cannot be ended leaves a transaction that nobody can vouch for.
                self.abandon();
            }
        }
    }

    fn rotate(&self, rotation: &Rotation) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached(ROTATE.text())?;
        Ok(statement.execute(params_from_iter(rotation_args(rotation)))? > 0)
    }

    fn raise(&self, seen: &[(SessionId, i64)]) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(RAISE.text())?;
        for (session, counter) in seen {
            statement.execute((counter, session.as_str()))?;
        }
        Ok(())
    }

    fn sql(&self, text: &'static str) -> Result<(), StoreError> {
        self.connection.prepare_cached(text)?.execute([])?;
        Ok(())
    }

    /// Rolls the open transaction back, if there still is one.
    fn abandon(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.sql("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn answer(&mut self, commit: &Result<(), StoreError>) {
        for done in self.done.drain(..) {
            done.answer(commit.clone());
        }
    }

    /// Lets the next batch begin the log anew: in passing where the checkpoints beside it have left
    /// little to copy, by force where it has become too long.
    fn renew_log(&self) {
        if self.log.take_nearly_copied()
            && let Err(error) = self.checkpoint("PASSIVE")
        {
            tracing::warn!(%error, "the rest of the write-ahead log could not be copied");
        }
        if !self.log.is_too_long() {
            return;
        }
        let restarted = self
            .connection
            .busy_timeout(Duration::from_millis(200))
            .map_err(StoreError::from)
            .and_then(|()| self.checkpoint("RESTART"));
        match restarted {
            Ok(frames) => self.log.restarted(frames),
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log could not be restarted");
                self.log.restarted(None);
            }
        }
        if let Err(error) = self.connection.busy_timeout(super::open::BUSY) {
            tracing::error!(%error, "the time to wait for other processes could not be set");
        }
    }

    /// Runs a checkpoint; `None` where a reader or another process stood in its way.
    fn checkpoint(&self, mode: &str) -> Result<Option<u64>, StoreError> {
        super::checkpoint::run(&self.connection, mode)
    }
}
