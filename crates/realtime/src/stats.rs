//! What is counted, for the host to show.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock;

/// Counters since the engine was made. They only grow, except `open` and `connected`.
#[derive(Debug, Default)]
pub struct Stats {
    /// Sockets that are open now.
    pub open: AtomicU64,
    /// Connections that are authenticated now.
    pub connected: AtomicU64,
    /// Upgrades that were accepted.
    pub upgrades: AtomicU64,
    /// Upgrade requests that were answered with an error status.
    pub upgrades_refused: AtomicU64,
    /// Connect commands that succeeded.
    pub connects: AtomicU64,
    /// Connect commands that were refused, in whatever way.
    pub connects_refused: AtomicU64,
    /// Refresh commands that succeeded.
    pub refreshes: AtomicU64,
    /// Refresh commands that were refused, in whatever way.
    pub refreshes_refused: AtomicU64,
    /// Messages that clients sent, pongs included.
    pub messages_in: AtomicU64,
    /// Frames that were sent to clients, pings included.
    pub messages_out: AtomicU64,
    /// Bytes read from sockets after their upgrade.
    pub bytes_in: AtomicU64,
    /// Bytes written to sockets after their upgrade.
    pub bytes_out: AtomicU64,
    closes: Mutex<BTreeMap<u16, u64>>,
}

impl Stats {
    /// How connections ended: close code and count. A close that the client began counts as 3000
    /// whatever its code: clients must not make up new rows.
    pub fn closes(&self) -> Vec<(u16, u64)> {
        lock(&self.closes)
            .iter()
            .map(|(code, count)| (*code, *count))
            .collect()
    }

    pub(crate) fn closed(&self, code: u16) {
        *lock(&self.closes).entry(code).or_default() += 1;
    }

    pub(crate) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(crate) fn subtract(counter: &AtomicU64, by: usize) {
        counter.fetch_sub(by as u64, Ordering::Relaxed);
    }
}
