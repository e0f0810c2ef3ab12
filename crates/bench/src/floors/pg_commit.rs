//! One caller on PostgreSQL: a prepared `UPDATE` of one row that commits by itself, again and again.
//!
//! `BEGIN` and `COMMIT` of their own would cost two more round trips for the same durability, and
//! make the floor easier to reach.

use std::time::{Duration, Instant};

use tokio_postgres::{Error, NoTls};

use super::{Commits, ROWS};
use crate::load::histogram::Histogram;

/// Runs the loop for `time` in the database `url`.
pub async fn run(url: &str, time: Duration) -> Result<Commits, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    client
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS session (id BIGINT PRIMARY KEY, cur BIGINT NOT NULL, filler BYTEA NOT NULL);
             INSERT INTO session SELECT i, 0, decode(repeat('00', 200), 'hex') FROM generate_series(1, {ROWS}) i
             ON CONFLICT DO NOTHING"
        ))
        .await?;
    let update = client
        .prepare("UPDATE session SET cur = $1 WHERE id = $2")
        .await?;
    let mut latencies = Histogram::default();
    let begin = Instant::now();
    let mut started = begin;
    let mut turn = 0_i64;
    while started - begin < time {
        turn += 1;
        client
            .execute(&update, &[&turn, &(turn % ROWS + 1)])
            .await?;
        let now = Instant::now();
        latencies.record((now - started).as_nanos() as u64);
        started = now;
    }
    drop(client);
    // How the connection ended is of no interest: every statement was answered.
    let _ = connection.await;
    Ok(Commits {
        latencies,
        time: started - begin,
    })
}

/// The version of the server behind `url`.
pub async fn version(url: &str) -> Result<String, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let version = client
        .query_one("SHOW server_version", &[])
        .await?
        .try_get(0)?;
    drop(client);
    let _ = connection.await;
    Ok(version)
}
