//! What is tried again when the server had gone away and come back.
//!
//! A pooled connection that died is noticed when its task reads the end of the stream, which may be after
//! it was handed out. Whatever changes nothing, or changes nothing when it is done twice, then asks for
//! another connection; each attempt uses up one that is dead, so the attempts are bounded by the pool.

use deadpool_postgres::Pool;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// How often one piece of work may be tried again.
pub(super) struct Revival {
    left: usize,
}

impl Revival {
    pub(super) fn of(pool: &Pool) -> Self {
        Self {
            left: pool.status().max_size,
        }
    }

    /// Whether `error` says that the connection was dead, and another may be alive.
    pub(super) fn is_due(&mut self, error: &Error) -> bool {
        let dead = error.is_closed()
            || error.code().is_some_and(|code| {
                [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code)
            });
        let due = dead && self.left > 0;
        self.left = self.left.saturating_sub(1);
        due
    }
}
