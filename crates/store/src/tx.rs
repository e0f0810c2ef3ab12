//! One unit of work, on either driver.

use std::pin::Pin;

use chatsdk_types::Millis;
use deadpool_postgres::Transaction;

use crate::sql::{Arg, Row, Sql};
use crate::sqlite::{SqliteTx, unit::Savepoint};
use crate::{ControlKind, StoreError, postgres};

/// What a unit of work hands back: a boxed future that borrows its [`Tx`].
pub type BoxFuture<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

/// A unit of work: what is written through it is committed as a whole, or not at all. It exists only
/// inside [`Store::write`](crate::Store::write).
///
/// On SQLite its methods never wait; nothing else may be awaited in a unit of work.
pub struct Tx<'c> {
    driver: Driver<'c>,
    /// Control entries wait here for the end of the unit: on PostgreSQL they are appended under one
    /// lock of the whole deployment, and a lock that everyone takes last can deadlock with no other.
    pub(crate) announced: Vec<Announcement>,
    /// The first statement that failed. PostgreSQL gives up the whole transaction then, and answers a
    /// later COMMIT with a polite rollback: such a unit must not be taken for committed.
    broken: Option<StoreError>,
}

enum Driver<'c> {
    Sqlite(SqliteTx<'c>),
    Postgres(Transaction<'c>),
}

/// A control entry that is appended when its unit of work ends.
#[derive(Debug)]
pub(crate) struct Announcement {
    pub(crate) kind: ControlKind,
    pub(crate) app: String,
    pub(crate) subject: String,
    pub(crate) at: Millis,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("announced", &self.announced)
            .finish_non_exhaustive()
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn on_sqlite(
        connection: &'c mut rusqlite::Connection,
        savepoint: Savepoint,
    ) -> Self {
        Self {
            driver: Driver::Sqlite(SqliteTx::new(connection, savepoint)),
            announced: Vec::new(),
            broken: None,
        }
    }

    pub(crate) fn on_postgres(transaction: Transaction<'c>) -> Self {
        Self {
            driver: Driver::Postgres(transaction),
            announced: Vec::new(),
            broken: None,
        }
    }

    /// The state of the savepoint, for the writer that has to end it.
    pub(crate) fn savepoint(&self) -> Option<Savepoint> {
        match &self.driver {
            Driver::Sqlite(tx) => Some(tx.savepoint()),
            Driver::Postgres(_) => None,
        }
    }

    /// The transaction itself, to be committed or rolled back.
    pub(crate) fn into_postgres(self) -> Option<Transaction<'c>> {
        match self.driver {
            Driver::Sqlite(_) => None,
            Driver::Postgres(transaction) => Some(transaction),
        }
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        let changed = match &mut self.driver {
            Driver::Sqlite(tx) => tx.execute(sql, args),
            Driver::Postgres(tx) => postgres::execute(tx, sql, args).await,
        };
        self.remember(changed)
    }

    /// The rows that a statement answers with.
    pub(crate) async fn query(
        &mut self,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = match &mut self.driver {
            Driver::Sqlite(tx) => tx.query(sql, args),
            Driver::Postgres(tx) => postgres::query(tx, sql, args).await,
        };
        self.remember(rows)
    }

    fn remember<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let (Err(error), None) = (&result, &self.broken) {
            self.broken = Some(error.clone());
        }
        result
    }

    /// The end of a unit of work that wants to be kept: writes what it announced. Fails where any of its
    /// statements did, whatever the unit made of that.
    pub(crate) async fn finish(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.write_announcements().await
    }

    /// The first row that a statement answers with.
    pub(crate) async fn query_opt(
        &mut self,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(crate::sql::first(self.query(sql, args).await?))
    }

    /// The rows of a `SELECT … ORDER BY key`, locked in that order where the database locks rows. A
    /// statement that changes many rows is preceded by this, so that no two can wait for each other.
    pub(crate) async fn query_locked(
        &mut self,
        sql: Locking,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let text = match &self.driver {
            Driver::Sqlite(_) => sql.plain,
            Driver::Postgres(_) => sql.locked,
        };
        self.query(text, args).await
    }

    /// Whether control entries have to be serialised by a lock and made known by a notification.
    pub(crate) fn has_other_writers(&self) -> bool {
        matches!(self.driver, Driver::Postgres(_))
    }
}

/// A `SELECT` whose rows are about to be changed: with `FOR UPDATE` where the database has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Locking {
    pub(crate) plain: Sql,
    pub(crate) locked: Sql,
}

/// A [`Locking`] of one text.
macro_rules! locking {
    ($text:literal) => {
        $crate::tx::Locking {
            plain: $crate::sql::Sql::new($text),
            locked: $crate::sql::Sql::new(concat!($text, " FOR UPDATE")),
        }
    };
}
pub(crate) use locking;
