//! SQLite: one writer thread that commits for everyone, readers of their own, checkpoints beside them.
//!
//! - [`open`]: what a connection is set to, whose file it is, migrations.
//! - [`writer`]: the thread that owns the write connection; [`unit`]: one boxed unit of work in it.
//! - [`readers`]: a few read-only connections, used inline.
//! - [`checkpoint`]: the thread that moves the log into the database file.
//! - [`follow`]: the thread that sees whoever else writes.
//! - [`backup`]: the online copy.
//! - [`signal`]: how those threads are woken and told to stop.

mod backup;
mod checkpoint;
mod follow;
mod open;
mod readers;
mod signal;
pub(crate) mod unit;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use chatsdk_types::{Millis, SessionId};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::sql::{Arg, Row, Sql};
use crate::tx::{BoxFuture, Tx};
use crate::{Exchange, Exchanged, Follow, Schema, StoreError};
pub(crate) use unit::SqliteTx;

use readers::Readers;
use signal::Signal;
use writer::{Desk, Job};

/// How many jobs may wait for the writer before callers wait to hand theirs in.
const QUEUE: usize = 4096;

/// A database file that is open.
pub(crate) struct Sqlite {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    /// The writer's connection, for exchanges that come alone. None where the runtime has a single thread:
    /// it has more to do than to wait for a disk.
    desk: Option<Desk>,
    readers: Arc<Readers>,
    /// Stops the thread that follows the control log.
    looks: Arc<Signal>,
    threads: Mutex<Threads>,
    found: i64,
}

#[derive(Default)]
struct Threads {
    running: Vec<JoinHandle<()>>,
    head: Option<watch::Receiver<i64>>,
    closed: bool,
}

impl Sqlite {
    /// Opens the file at `path`, creates and migrates it, and starts its threads.
    pub(crate) async fn open(path: PathBuf) -> Result<Self, StoreError> {
        let workers = Handle::current().metrics().num_workers();
        blocking(move || Self::start(path, workers)).await
    }

    fn start(path: PathBuf, workers: usize) -> Result<Self, StoreError> {
        let (connection, found) = open::writer(&path)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let checkpoints = Arc::new(Signal::default());
        let mut running = Vec::new();
        let log = Arc::new(checkpoint::Log::default());
        running.push(checkpoint::spawn(
            open::plain(&path)?,
            Arc::clone(&checkpoints),
            Arc::clone(&log),
        )?);
        let desk = Desk::new(connection, checkpoints, log);
        running.push(writer::spawn(desk.clone(), queue)?);
        Ok(Self {
            readers: Arc::new(Readers::new(path.clone())),
            path,
            jobs,
            desk: (workers > 1).then_some(desk),
            looks: Arc::new(Signal::default()),
            threads: Mutex::new(Threads {
                running,
                ..Threads::default()
            }),
            found,
        })
    }

    /// Where the file at `path` stands, without touching it; version 0 where there is none.
    pub(crate) async fn inspect(path: PathBuf) -> Result<Schema, StoreError> {
        blocking(move || open::inspect(&path)).await
    }

    /// The schema version that the file had before it was opened.
    pub(crate) fn found(&self) -> i64 {
        self.found
    }

    /// Reads inline: a few microseconds, which is less than handing the work to another thread.
    pub(crate) fn query(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        self.readers
            .with(|connection| unit::query(connection, sql, args))
    }

    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let unit = unit::Boxed::new(work, reply);
        self.hand_in(Job::Unit(Box::new(unit))).await?;
        answer.await.unwrap_or(Err(E::from(StoreError::Closed)))
    }

    pub(crate) async fn exchange<T>(
        &self,
        exchange: Exchange,
        prepare: impl FnOnce(Exchanged) -> T,
    ) -> Result<Option<T>, StoreError> {
        // Whoever is in the queue already is the thread's, and company.
        if self.jobs.capacity() == QUEUE
            && let Some(exchanged) = self.desk.as_ref().and_then(|desk| desk.exchange(&exchange))
        {
            return Ok(exchanged?.map(|exchanged| prepare(*exchanged)));
        }
        let (reply, answer) = oneshot::channel();
        let (committed, commit) = oneshot::channel();
        self.hand_in(Job::Exchange(exchange, reply, committed))
            .await?;
        let exchanged = answer.await.unwrap_or(Err(StoreError::Closed))?;
        let prepared = exchanged.map(|exchanged| prepare(*exchanged));
        commit.await.unwrap_or(Err(StoreError::Closed))?;
        Ok(prepared)
    }

    pub(crate) async fn raise_proven(&self, seen: Vec<(SessionId, i64)>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(Job::Raise(seen, reply)).await?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn hand_in(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }

    pub(crate) async fn backup(&self, to: &Path, now: Millis) -> Result<(), StoreError> {
        let (from, to) = (self.path.clone(), to.to_owned());
        blocking(move || backup::copy(&from, &to, now)).await
    }

    /// Begins to look for changes of the control log, once; everyone who follows shares the look.
    pub(crate) fn follow(&self) -> Follow {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let head = if let Some(head) = &threads.head {
            head.clone()
        } else {
            let (found, head) = watch::channel(0);
            if !threads.closed {
                match follow::spawn(self.path.clone(), Arc::clone(&self.looks), found) {
                    Ok(thread) => threads.running.push(thread),
                    Err(error) => tracing::error!(%error, "the control log cannot be followed"),
                }
            }
            threads.head = Some(head.clone());
            head
        };
        Follow::new(head)
    }

    /// Finishes what is queued, brings the log into the file, and ends every thread.
    pub(crate) async fn close(&self) {
        // An error says that the writer has ended already.
        let _ = self.jobs.send(Job::Stop).await;
        self.looks.stop();
        let running = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.closed = true;
            std::mem::take(&mut threads.running)
        };
        let readers = Arc::clone(&self.readers);
        let ended = blocking(move || {
            readers.close();
            for thread in running {
                if thread.join().is_err() {
                    tracing::error!("a thread of the database panicked");
                }
            }
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "the database was not closed in order");
        }
    }
}

impl Drop for Sqlite {
    /// Without [`Sqlite::close`] the threads still end by themselves: the writer when the queue is
    /// empty and its last sender gone, and the checkpoints with it.
    fn drop(&mut self) {
        self.looks.stop();
    }
}

/// Runs `work` where it may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Panicked))
}
