//! What is counted, for the host to show.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::lock;

/// Counters since the engine was made. They only grow, except `open`, `connected`, `subscriptions`
/// and `backlog_bytes`.
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
    /// Subscriptions there are now.
    pub subscriptions: AtomicU64,
    /// Publications that clients and the server made: not those that were refused, or that were a repeat.
    pub publications: AtomicU64,
    /// Messages that were not sent because their client did not read; it was closed with 3008.
    pub overflowed: AtomicU64,
    /// Events that no subscriber was told of because too many waited in their topic.
    pub dropped: AtomicU64,
    /// Bytes of publications that wait in their topics to be delivered.
    pub backlog_bytes: AtomicU64,
    /// From the moment a topic's event came in until its last subscriber was sent it.
    pub fan_out: Histogram,
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
    /// Messages that were sent to clients, pings included.
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

/// How many observations fell below each bound.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

/// The upper bounds of the buckets, in microseconds.
const BOUNDS: [u64; 12] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000,
];

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// The buckets: upper bound in seconds (infinite for the last one) and how many observations were
    /// not above it.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut total = 0;
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6);
        bounds
            .chain([f64::INFINITY])
            .zip(&self.counts)
            .map(|(bound, count)| {
                total += count.load(Ordering::Relaxed);
                (bound, total)
            })
            .collect()
    }

    /// The sum of all observations, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_fall_into_their_buckets() {
        let histogram = Histogram::default();
        for micros in [1, 50, 51, 2_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let buckets = histogram.buckets();
        assert_eq!(buckets[0], (0.000_05, 2));
        assert_eq!(buckets[1], (0.000_1, 3));
        assert_eq!(buckets[12], (f64::INFINITY, 4));
        assert!((histogram.sum() - 2.000_102).abs() < 1e-9);
    }
}
