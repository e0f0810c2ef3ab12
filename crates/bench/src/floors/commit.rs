//! One caller on SQLite: `UPDATE` one row, commit, wait for the disk, again.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::{Commits, ROWS};
use crate::load::histogram::Histogram;

/// Runs the loop for `time` on a database in the fresh directory `directory`.
pub fn run(directory: &Path, time: Duration) -> rusqlite::Result<Commits> {
    let db = Connection::open(directory.join("commit.db"))?;
    // The durability that the product promises.
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS session (id INTEGER PRIMARY KEY, cur INTEGER NOT NULL, filler BLOB NOT NULL)",
    )?;
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT OR IGNORE INTO session SELECT i, 0, zeroblob(200) FROM n",
        [ROWS],
    )?;
    let mut update = db.prepare("UPDATE session SET cur = ?1 WHERE id = ?2")?;
    let mut latencies = Histogram::default();
    let begin = Instant::now();
    let mut started = begin;
    let mut turn = 0;
    while started - begin < time {
        turn += 1;
        update.execute(params![turn, turn % ROWS + 1])?;
        let now = Instant::now();
        latencies.record((now - started).as_nanos() as u64);
        started = now;
    }
    Ok(Commits {
        latencies,
        time: started - begin,
    })
}
