//! The thread that moves the write-ahead log into the database file, so that no commit has to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::signal::Signal;
use crate::StoreError;

/// How long after a commit a checkpoint begins.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a checkpoint follows the writer before it gives up on catching it.
const PASSES: usize = 8;

/// How many pages behind the writer counts as caught up with: what the writer can copy in passing.
const CLOSE: u64 = 256;

/// From how many pages of 4 KiB on the writer insists on a new log: about 256 MiB.
const LONG: u64 = 65_536;

/// What the checkpoint thread tells the writer of the log.
#[derive(Debug)]
pub(super) struct Log {
    /// Nearly all of it is in the database file: the writer can copy the rest and begin the log anew.
    nearly_copied: AtomicBool,
    pages: AtomicU64,
    limit: AtomicU64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            nearly_copied: AtomicBool::new(false),
            pages: AtomicU64::new(0),
            limit: AtomicU64::new(LONG),
        }
    }
}

impl Log {
    /// Whether the writer should copy the rest now. Answers so once.
    pub(super) fn take_nearly_copied(&self) -> bool {
        // The plain look first, because this is asked after every batch.
        self.nearly_copied.load(Ordering::Relaxed)
            && self.nearly_copied.swap(false, Ordering::Relaxed)
    }

    /// Whether the writer has something to do about the log.
    pub(super) fn is_due(&self) -> bool {
        self.nearly_copied.load(Ordering::Relaxed) || self.is_too_long()
    }

    /// The writer can copy the rest.
    pub(super) fn nearly_copied(&self) {
        self.nearly_copied.store(true, Ordering::Relaxed);
    }

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
                if let Err(error) = chase(&connection, &log) {
                    tracing::warn!(%error, "a checkpoint failed; the next follows");
                }
            }
        })
        .map_err(|error| {
            StoreError::File(format!("the checkpoint thread cannot be started: {error}"))
        })
}

/// Copies the log, and again what was written meanwhile, until so little is left that the writer can
/// copy it in passing.
///
/// Only a log that is wholly copied is begun anew, and under steady writing a copy beside the writer
/// never is whole. A log that only grows costs: each flush has to write the new length of the file too,
/// which takes twice as long as writing over what was there.
fn chase(connection: &Connection, log: &Log) -> Result<(), StoreError> {
    let mut copied = 0;
    for _ in 0..PASSES {
        let Some(pages) = run(connection, "PASSIVE")? else {
            return Ok(());
        };
        log.pages.store(pages, Ordering::Relaxed);
        let new = pages.checked_sub(copied).unwrap_or(pages);
        if new <= CLOSE {
            log.nearly_copied();
            return Ok(());
        }
        copied = pages;
    }
    Ok(())
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
