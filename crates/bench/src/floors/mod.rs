//! What the machine does at least: the same work without the product.
//!
//! - [`http`]: a JSON endpoint on the framework that the product stands on.
//! - [`commit`]: one caller, one row, one durable commit at a time, on SQLite.
//! - [`pg_commit`]: the same on PostgreSQL.
//! - [`sends`]: a loop of `send()` over many sockets, its own or, by [`borrow`], another process's.
//! - [`handshake`]: WebSocket handshakes with nothing behind them.

pub mod borrow;
pub mod commit;
pub mod handshake;
pub mod http;
pub mod pg_commit;
pub mod sends;

use std::time::Duration;

use crate::load::histogram::Histogram;

/// What a commit loop did.
#[derive(Debug)]
pub struct Commits {
    /// How long each commit took, in nanoseconds.
    pub latencies: Histogram,
    /// How long the loop ran.
    pub time: Duration,
}

impl Commits {
    /// Commits per second.
    pub fn rate(&self) -> f64 {
        self.latencies.count() as f64 / self.time.as_secs_f64()
    }
}

/// How many rows the loops update in turn: more than one page, all in memory, as live sessions are.
pub(crate) const ROWS: i64 = 1000;
