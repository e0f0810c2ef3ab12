//! What can go wrong below a unit of work, one variant per decision.

use deadpool_postgres::PoolError;
use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

/// Why the database did not do what it was asked.
///
/// It can be cloned because one failed commit answers everyone who stood in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is down, full, locked or out of reach: the caller answers 503 and the request may
    /// be sent again. Whether a write took place is unknown.
    #[error("the database cannot be used just now: {0}")]
    Unavailable(String),
    /// The store was closed, or is being closed: the process is going down.
    #[error("the database is closed")]
    Closed,
    /// The database was migrated by a newer version of the program; this one must not touch it.
    #[error(
        "the database has schema version {found}, and this version of chatsdk knows only {known}: run the newer version"
    )]
    NewerSchema {
        /// The version that the database has.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The file or the schema belongs to another program.
    #[error("{0} is not a database of chatsdk")]
    Foreign(String),
    /// The place of the database is not written as one, or cannot be opened as it is.
    #[error("the database cannot be opened: {0}")]
    Location(String),
    /// The database file is damaged.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// A row holds what this program would never have written.
    #[error("a row of the database cannot be read: {0}")]
    InvalidRow(String),
    /// The row is there already: an id was used twice.
    #[error("there is such a row already: {0}")]
    Duplicate(String),
    /// This kind of database does not do that, and the text says what to use.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A file could not be read or written.
    #[error("{0}")]
    File(String),
    /// A unit of work waited for something other than the database. On SQLite it holds the only
    /// writer, so it may not.
    #[error("a unit of work waited for something other than its database")]
    Waited,
    /// A unit of work panicked; nothing of it was written.
    #[error("a unit of work panicked")]
    Panicked,
    /// The database refused a statement.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Closed)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::PermissionDenied,
            ) => Self::Unavailable(text),
            Some(ErrorCode::NotADatabase) => Self::Foreign("the file".to_owned()),
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt(text),
            Some(ErrorCode::ConstraintViolation) => Self::Duplicate(text),
            _ => Self::Refused(text),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(refusal) = error.as_db_error() else {
            // No answer of the server: the connection failed, or could not be made.
            return Self::Unavailable(with_sources(&error));
        };
        let text = format!("{} ({})", refusal.message(), refusal.code().code());
        let code = refusal.code();
        if *code == SqlState::UNIQUE_VIOLATION {
            return Self::Duplicate(text);
        }
        // Connection trouble, resources, an operator's intervention, a failed system call, a
        // serialization failure or deadlock; and whatever says that the login is wrong or that the
        // server is still starting, which an operator is about to mend.
        match &code.code()[..2] {
            "08" | "25" | "28" | "40" | "53" | "55" | "57" | "58" | "3D" => Self::Unavailable(text),
            "XX" => Self::Corrupt(text),
            _ => Self::Refused(text),
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Closed => Self::Closed,
            PoolError::Timeout(_) => {
                Self::Unavailable("no connection became free in time".to_owned())
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// An error and what caused it, in one line: drivers keep the telling part in the source.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
