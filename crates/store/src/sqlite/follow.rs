//! The thread that sees whoever else writes: another process, and the writer of this one.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::signal::Signal;
use super::{open, unit};
use crate::{Store, StoreError, control, sql};

/// How often it looks. A look costs a few microseconds while nothing is written.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts the thread. It ends when it is told to, and lets go of `head` then.
pub(super) fn spawn(
    path: PathBuf,
    signal: Arc<Signal>,
    head: watch::Sender<i64>,
) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name("store-follow".to_owned())
        .spawn(move || {
            let mut look = Look {
                path,
                connection: None,
                version: None,
            };
            while signal.pause(PAUSE) {
                match look.head() {
                    Ok(Some(found)) => {
                        head.send_if_modified(|head| std::mem::replace(head, found) != found);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the control log cannot be looked at; trying again");
                        look.connection = None;
                        look.version = None;
                    }
                }
            }
        })
        .map_err(|error| StoreError::File(format!("the control log cannot be followed: {error}")))
}

/// A connection of its own, because `data_version` tells a connection of the writes of all others.
struct Look {
    path: PathBuf,
    connection: Option<Connection>,
    version: Option<i64>,
}

impl Look {
    /// The number of the newest entry, where anything was written since the last look.
    fn head(&mut self) -> Result<Option<i64>, StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(open::reader(&self.path)?),
        };
        let version = connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if self.version == Some(version) {
            return Ok(None);
        }
        let rows = unit::query(connection, Store::CONTROL_HEAD, &[])?;
        // Only now: a look that failed is repeated.
        self.version = Some(version);
        control::head(sql::first(rows)).map(Some)
    }
}
