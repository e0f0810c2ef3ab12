//! For tests only: a real PostgreSQL that starts with the tests and ends with them, however they end.
//!
//! - [`fresh_database`]: an empty database on a server that the tests of one process share.
//! - [`Cluster`]: a server of one's own, that can be stopped and started.
//! - [`find`]: where the machine has PostgreSQL.
//!
//! Where PostgreSQL is missing the tests fail and say how to install it; they are never skipped.

mod cluster;
pub mod find;

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OnceCell;

pub use cluster::Cluster;

/// The server that the tests of this process share. It is never dropped; it ends with the process.
static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// The URL of a new, empty database on a server that the tests of this process share.
///
/// # Panics
/// Where PostgreSQL is missing or does not start: a test that needs it fails.
pub async fn fresh_database() -> String {
    // Nobody's data is at stake, and flushing it would only slow the tests down.
    let cluster = SHARED
        .get_or_init(|| Cluster::start(&["fsync=off", "full_page_writes=off"]))
        .await;
    cluster.database().await
}

/// How many statements of the database at `url` wait for a lock.
///
/// # Panics
/// Where the server does not answer.
pub async fn waiting(url: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap_or_else(|error| panic!("PostgreSQL does not answer: {error}"));
    let connection = tokio::spawn(connection);
    let row = client
        .query_one(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
            &[],
        )
        .await
        .unwrap_or_else(|error| panic!("PostgreSQL does not say: {error}"));
    drop(client);
    let _ = connection.await;
    row.get(0)
}

/// A name that no other database of this process has.
fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "test_{}_{}",
        process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
