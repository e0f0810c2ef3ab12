//! The connections of one runtime, and what batches its exchanges.
//!
//! A connection is a task of the runtime that opened it. A query that had to cross to another thread's, and
//! its answer back, would wake that thread and this one again, so each runtime has connections of its own.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::batches::{self, Job, UnderWay};
use super::{pool, url::Server};
use crate::StoreError;

/// How many connections a thread has. Twice the cores is what a server can use; a few more wait less for
/// each other's commits.
const EACH: usize = 4;

/// How many exchanges may wait for a batch before callers wait to hand theirs in.
const QUEUE: usize = 4096;

/// How many connections batch exchanges where a runtime has several threads. One is idle while it waits for
/// its commit; a third gains nothing (`docs/benchmarks.md`). A runtime of one thread has one.
const EXCHANGERS: usize = 2;

/// What a runtime has of a database.
pub(super) struct Local {
    /// Connections for reads, units of work, and exchanges that come alone.
    pub(super) pool: Pool,
    /// How long an answer is waited for.
    pub(super) answer: Duration,
    pub(super) under_way: UnderWay,
    exchanges: mpsc::Sender<Job>,
    /// The connections of the batches.
    busy: Pool,
    writers: usize,
}

impl Local {
    /// For the runtime that this is called in. Connections are opened when they are first needed.
    pub(super) fn new(server: &Server, tasks: &TaskTracker) -> Result<Self, StoreError> {
        let here = Handle::current();
        let (size, writers) = match here.runtime_flavor() {
            RuntimeFlavor::CurrentThread => (EACH, 1),
            _ => (
                (here.metrics().num_workers() * EACH).clamp(8, 32),
                EXCHANGERS,
            ),
        };
        let busy = pool(server, writers)?;
        let (exchanges, queue) = mpsc::channel(QUEUE);
        let under_way = UnderWay::default();
        batches::spawn(tasks, &busy, server.answer, queue, &under_way, writers);
        Ok(Self {
            pool: pool(server, size)?,
            answer: server.answer,
            under_way,
            exchanges,
            busy,
            writers,
        })
    }

    /// Puts a job into the queue of the batches.
    pub(super) async fn hand_in(&self, job: Job) -> Result<(), StoreError> {
        self.exchanges
            .send(job)
            .await
            .map_err(|_| StoreError::Closed)
    }

    /// Ends the batches, after what was handed in.
    pub(super) async fn stop(&self) {
        for _ in 0..self.writers {
            // An error says that they have ended already.
            let _ = self.hand_in(Job::Stop).await;
        }
    }

    /// Closes every connection.
    pub(super) fn close(&self) {
        self.pool.close();
        self.busy.close();
    }
}
