//! The thread that moves the write-ahead log into the database file, so that no commit has to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::signal::Signal;
use crate::StoreError;

/// How long after a commit a checkpoint begins: often enough that the log stays short and is written
/// over instead of growing, which makes each flush cheaper.
const PAUSE: Duration = Duration::from_millis(100);

/// From how many pages of 4 KiB on the writer itself restarts the log: about 256 MiB.
const LONG: u64 = 65_536;

/// How long the log is, as the last checkpoint saw it.
#[derive(Debug)]
pub(super) struct Log {
    pages: AtomicU64,
    limit: AtomicU64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            pages: AtomicU64::new(0),
            limit: AtomicU64::new(LONG),
        }
    }
}

impl Log {
    pub(super) fn is_too_long(&self) -> bool {
        self.pages.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Where the log could not be restarted, because a copy is being read from it, the next attempt
    /// waits until it has grown by another quarter.
    pub(super) fn restarted(&self, pages: Option<u64>) {
        let seen = self.pages.swap(0, Ordering::Relaxed);
        let limit = if pages.is_some() {
            LONG
        } else {
            seen + LONG / 4
        };
        self.limit.store(limit, Ordering::Relaxed);
    }
}

/// Starts the thread. It sleeps until something was written.
pub(super) fn spawn(
    connection: Connection,
    signal: Arc<Signal>,
    log: Arc<Log>,
) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || {
            while signal.wait() && signal.pause(PAUSE) {
                match run(&connection, "PASSIVE") {
                    Ok(pages) => log.pages.store(pages.unwrap_or(0), Ordering::Relaxed),
                    Err(error) => tracing::warn!(%error, "a checkpoint failed; the next follows"),
                }
            }
        })
        .map_err(|error| {
            StoreError::File(format!("the checkpoint thread cannot be started: {error}"))
        })
}

/// Runs a checkpoint. Answers with the length of the log in pages; `None` where someone stood in its
/// way.
pub(super) fn run(connection: &Connection, mode: &str) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    let (busy, pages) =
        statement.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    Ok(if busy == 0 {
        u64::try_from(pages).ok()
    } else {
        None
    })
}
