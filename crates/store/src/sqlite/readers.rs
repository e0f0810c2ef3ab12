//! A few read-only connections, used inline by whoever reads.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use super::open;
use crate::StoreError;

/// Opened when first needed, one per thread that reads at the same time, and kept.
pub(super) struct Readers {
    path: PathBuf,
    slots: Box<[Mutex<Option<Connection>>]>,
    closed: AtomicBool,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        // Reads are inline and never wait for anything: more of them at once than there are cores gain nothing.
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            path,
            slots: (0..threads.clamp(2, 16))
                .map(|_| Mutex::default())
                .collect(),
            closed: AtomicBool::new(false),
        }
    }

    /// Runs `work` on a connection that nobody else is using. A transaction of its own begins with its
    /// first statement, after this call: it sees every commit that was answered before.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let mut slot = self.slot();
        let connection = match &mut *slot {
            Some(connection) => connection,
            empty => empty.insert(open::reader(&self.path)?),
        };
        work(connection)
    }

    /// Closes every connection; whoever comes later is told so.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for slot in &self.slots {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A free slot, the one this thread used last if it can be: its pages are warm.
    fn slot(&self) -> MutexGuard<'_, Option<Connection>> {
        let home = home() % self.slots.len();
        for step in 0..self.slots.len() {
            match self.slots[(home + step) % self.slots.len()].try_lock() {
                Ok(slot) => return slot,
                Err(TryLockError::Poisoned(slot)) => return slot.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.slots[home]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A small number of this thread's own.
fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static HOME: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    HOME.with(|home| *home)
}
