//! The thread that owns the write connection: it drains its queue into one transaction, commits once,
//! then answers everyone.
//!
//! The commit itself is the batching window: while the disk is busy with one batch the next one
//! gathers, so that nobody waits for company and 256 callers share a few flushes.
//!
//! An exchange that comes while nobody else writes has nobody to share a flush with. Its caller borrows the
//! connection and commits on its own thread: handing it over and back would cost a third of its time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chatsdk_types::SessionId;
use rusqlite::{Connection, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Log;
use super::signal::Signal;
use super::unit::{self, Savepoint, Unit};
use crate::sessions::{FOR_REFRESH, RAISE, ROTATE, rotation_args, with_user};
use crate::sql::first;
use crate::{Exchange, Exchanged, StoreError};

/// How many jobs share a transaction at most.
const BATCH: usize = 512;

/// After how many jobs in a row that had no company the next may be done on its caller's thread. A caller
/// who holds up the others that its thread serves would cost more than it gains.
const SOLITUDE: u32 = 4;

/// How long a commit may take, so that another may be done on a caller's thread.
const SWIFT: Duration = Duration::from_millis(1);

/// How many of them in a row it takes: of a disk that stalls now and then, a caller's thread, with the
/// requests of others, shall hardly ever be the one that waits.
const CALM: u32 = 64;

/// What becomes of an exchange.
pub(super) type Answer = Result<Option<Box<Exchanged>>, StoreError>;

/// Who waits for a commit.
type Committed = oneshot::Sender<Result<(), StoreError>>;

/// Up to how many jobs in a transaction their callers are told before the commit what becomes of their
/// exchanges. They prepare their replies while the disk is busy, which in a small batch would leave the
/// processor idle. In a large one it is not, and to wake everybody twice costs more than it gains.
const EARLY: usize = 48;

/// What the writer is asked to do.
pub(super) enum Job {
    /// A boxed unit of work.
    Unit(Box<dyn Unit>),
    /// An exchange: a read, and one statement that is atomic by itself, so it goes without a box and a
    /// savepoint. Whom to tell what became of it, and whom, that this is durable.
    Exchange(Exchange, oneshot::Sender<Answer>, Committed),
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
    /// With what its caller was not told yet.
    Exchange(
        Option<(Option<Box<Exchanged>>, oneshot::Sender<Answer>)>,
        Committed,
    ),
    Raise(oneshot::Sender<Result<(), StoreError>>),
}

impl Done {
    /// Tells the caller of an exchange what it comes to, once it is committed.
    fn tell(&mut self) {
        if let Self::Exchange(untold, _) = self
            && let Some((exchanged, reply)) = untold.take()
        {
            let _ = reply.send(Ok(exchanged));
        }
    }

    fn answer(self, commit: Result<(), StoreError>) {
        // A caller that has gone away does not want to know.
        match self {
            Self::Unit(unit) => unit.answer(commit),
            Self::Exchange(untold, committed) => {
                if let Some((exchanged, reply)) = untold {
                    let _ = reply.send(Ok(exchanged));
                }
                let _ = committed.send(commit);
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
            Self::Exchange(_, reply, _) => {
                let _ = reply.send(Err(error));
            }
            Self::Raise(_, reply) => Done::Raise(reply).answer(Err(error)),
            Self::Stop => {}
        }
    }
}

/// The write connection, which the thread shares with whoever finds it idle. Empty once the thread has
/// ended.
#[derive(Clone)]
pub(super) struct Desk(Arc<Mutex<Option<Writer>>>);

impl Desk {
    pub(super) fn new(connection: Connection, checkpoints: Arc<Signal>, log: Arc<Log>) -> Self {
        Self(Arc::new(Mutex::new(Some(Writer {
            connection,
            checkpoints,
            log,
            done: Vec::with_capacity(BATCH),
            swift: 0,
            alone: 0,
        }))))
    }

    /// Commits `exchange` on the calling thread, which it holds for the time of one flush. `None`, and
    /// nothing was done, where that could take longer or hold others up: someone else is writing or was
    /// lately, the disk was slow the last time, or the log is due to begin anew. Then it belongs into the
    /// queue.
    pub(super) fn exchange(&self, exchange: &Exchange) -> Option<Answer> {
        // A lock that a panic left behind is the thread's to deal with, as well.
        let mut writer = self.0.try_lock().ok()?;
        let writer = writer.as_mut()?;
        let idle = writer.connection.is_autocommit() && !writer.log.is_due();
        if idle && writer.swift >= CALM && writer.alone >= SOLITUDE {
            writer.single(exchange)
        } else {
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut jobs, BATCH) > 0 {
            if jobs.iter().any(|job| matches!(job, Job::Stop)) {
                queue.close();
            }
            if let Some(writer) = self.lock().as_mut() {
                writer.alone = match jobs.len() + queue.len() {
                    1 => writer.alone.saturating_add(1),
                    _ => 0,
                };
                writer.batch(&mut jobs);
                writer.renew_log();
            }
        }
        if let Some(writer) = self.lock().take() {
            writer.end();
        }
    }
}

/// Starts the thread. It ends when it is told to stop or the last sender is gone, after everything
/// that was queued.
pub(super) fn spawn(desk: Desk, queue: mpsc::Receiver<Job>) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || desk.run(queue))
        .map_err(|error| StoreError::File(format!("the writer cannot be started: {error}")))
}

struct Writer {
    connection: Connection,
    checkpoints: Arc<Signal>,
    log: Arc<Log>,
    /// The jobs of the transaction that is open; none where none is.
    done: Vec<Done>,
    /// How many commits in a row took less than [`SWIFT`].
    swift: u32,
    /// How many jobs in a row had no company.
    alone: u32,
}

impl Writer {
    /// A commit took so long.
    fn took(&mut self, time: Duration) {
        self.swift = if time < SWIFT {
            self.swift.saturating_add(1)
        } else {
            0
        };
    }

    fn end(self) {
        self.checkpoints.stop();
        // Leaves the database in one file, so that a copy of it alone is whole.
        if let Err(error) = self.checkpoint("TRUNCATE") {
            tracing::debug!(%error, "the last checkpoint was left to the next start");
        }
    }

    /// Does one exchange. It needs no transaction around it, because it writes with one statement that has
    /// its own conditions; `None` where another process holds the lock.
    fn single(&mut self, exchange: &Exchange) -> Option<Answer> {
        if let Err(error) = self.connection.busy_timeout(Duration::ZERO) {
            return Some(Err(error.into()));
        }
        let begin = Instant::now();
        let exchanged = self.exchange(exchange);
        if let Err(error) = self.connection.busy_timeout(super::open::BUSY) {
            tracing::error!(%error, "the time to wait for other processes could not be set");
        }
        match exchanged {
            Ok(exchanged) => {
                if exchanged.is_some() {
                    self.took(begin.elapsed());
                    self.checkpoints.raise();
                }
                Some(Ok(exchanged))
            }
            // The queue may wait for what a caller's thread should not, and says so where it was in vain.
            Err(StoreError::Unavailable(_)) => None,
            Err(error) => Some(Err(error)),
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
        if self.done.len() <= EARLY {
            self.done.iter_mut().for_each(Done::tell);
        }
        let begin = Instant::now();
        let commit = self.sql("COMMIT");
        self.took(begin.elapsed());
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
            Job::Exchange(exchange, reply, committed) => match self.exchange(&exchange) {
                Ok(exchanged) => {
                    let untold = Some((exchanged, reply));
                    self.done.push(Done::Exchange(untold, committed));
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
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

    /// Reads the row, asks the table, and writes what line 6 gives. On this connection the pages of the
    /// row are warm: a reader's own has to fetch them again after each commit.
    fn exchange(&self, exchange: &Exchange) -> Answer {
        let found = unit::query(
            &self.connection,
            FOR_REFRESH,
            &[exchange.session.as_str().into()],
        )?;
        let Some(mut row) = first(found) else {
            return Ok(None);
        };
        let (before, user) = with_user(&mut row)?;
        if exchange.is_disabled(&before.app) {
            return Ok(None);
        }
        let Some(successor) = (exchange.decide)(exchange, &before, &user) else {
            return Ok(None);
        };
        // Its conditions hold inside a transaction; outside of one, another process may have come between.
        let rotation = exchange.rotation(successor);
        let mut statement = self.connection.prepare_cached(ROTATE.text())?;
        let changed = statement.execute(params_from_iter(rotation_args(&rotation)))?;
        Ok((changed > 0).then(|| {
            Box::new(Exchanged {
                before,
                user,
                successor,
            })
        }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Successor;
    use crate::sqlite::open;

    /// A writer with one session in its file, whose thread was not started.
    struct Fixture {
        desk: Desk,
        exchange: Exchange,
        directory: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let (connection, _) = open::writer(&directory.path().join("chatsdk.db")).unwrap();
            connection
                .execute_batch(
                    "INSERT INTO apps (id, name, created_at) VALUES ('app_00000000000000000000000001', 'Acme', 0);
                     INSERT INTO users (app_id, id, created_at, updated_at) VALUES ('app_00000000000000000000000001', 'ann', 0, 0);
                     INSERT INTO sessions (id, app_id, user_id, cur, prev, proven, rotated_at, rt_exp,
                         abs_exp, rt_kid, access_ttl, idle_ttl, created_at)
                     VALUES ('ses_00000000000000000000000001', 'app_00000000000000000000000001', 'ann', 1, 0, 0, 0, 9,
                         9, 'r1', 1, 1, 0);",
                )
                .unwrap();
            let desk = Desk::new(connection, Arc::default(), Arc::default());
            desk.with(|writer| {
                writer.swift = CALM;
                writer.alone = SOLITUDE;
            });
            let exchange = Exchange {
                session: "ses_00000000000000000000000001".parse().unwrap(),
                presented: 1,
                exp: 9,
                seen: 0,
                now: 5,
                grace_since: 0,
                rt_kid: "r1".to_owned(),
                disabled: None,
                decide: |_, _, _| Some(Successor { next: 2, rt_exp: 9 }),
            };
            Self {
                desk,
                exchange,
                directory,
            }
        }

        /// What comes of the exchange on the caller's thread: whether it changed its row.
        fn exchange(&self) -> Option<Result<bool, StoreError>> {
            let answer = self.desk.exchange(&self.exchange)?;
            Some(answer.map(|exchanged| exchanged.is_some()))
        }

        /// The counter that another process finds.
        fn counter(&self) -> i64 {
            open::reader(&self.directory.path().join("chatsdk.db"))
                .unwrap()
                .query_row("SELECT cur FROM sessions", [], |row| row.get(0))
                .unwrap()
        }
    }

    impl Desk {
        fn with(&self, change: impl FnOnce(&mut Writer)) {
            change(self.lock().as_mut().unwrap());
        }
    }

    #[test]
    fn an_exchange_that_comes_alone_is_committed_when_it_answers() {
        let fixture = Fixture::new();
        assert_eq!(fixture.exchange(), Some(Ok(true)));
        assert_eq!(fixture.counter(), 2);
        fixture.desk.with(|writer| writer.swift = CALM);
        // The condition does not hold any more, as in the queue.
        assert_eq!(fixture.exchange(), Some(Ok(false)));
    }

    /// Its caller may have been told already what it comes to; that it is not committed, it is told as well.
    #[test]
    fn an_exchange_whose_commit_fails_is_not_committed_and_says_so() {
        let fixture = Fixture::new();
        let (reply, mut answer) = oneshot::channel();
        let (committed, mut commit) = oneshot::channel();
        fixture.desk.with(|writer| {
            writer
                .connection
                .execute_batch(
                    "PRAGMA foreign_keys = ON;
                     CREATE TABLE parents (id INTEGER PRIMARY KEY);
                     CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
                     CREATE TRIGGER orphans AFTER UPDATE ON sessions BEGIN INSERT INTO children VALUES (1); END",
                )
                .unwrap();
            writer.batch(&mut vec![Job::Exchange(fixture.exchange.clone(), reply, committed)]);
        });
        assert!(matches!(answer.try_recv(), Ok(Ok(Some(_)))));
        assert!(matches!(commit.try_recv(), Ok(Err(_))));
        assert_eq!(fixture.counter(), 1);
    }

    #[test]
    fn it_belongs_into_the_queue_where_it_would_wait_or_hold_others_up() {
        let fixture = Fixture::new();
        let spoils: [fn(&mut Writer); 4] = [
            |writer| writer.swift = CALM - 1,
            |writer| writer.alone = SOLITUDE - 1,
            |writer| writer.sql("BEGIN IMMEDIATE").unwrap(),
            |writer| writer.log.nearly_copied(),
        ];
        for spoil in spoils {
            let fixture = Fixture::new();
            fixture.desk.with(spoil);
            assert_eq!(fixture.exchange(), None);
            assert_eq!(fixture.counter(), 1);
        }

        // Another process writes: the caller's thread does not wait for it.
        let other = open::plain(&fixture.directory.path().join("chatsdk.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(fixture.exchange(), None);
        other.execute_batch("ROLLBACK").unwrap();
        fixture.desk.with(|writer| writer.swift = CALM);
        assert_eq!(fixture.exchange(), Some(Ok(true)));

        // The thread has ended.
        drop(fixture.desk.lock().take());
        assert_eq!(fixture.exchange(), None);
    }
}
