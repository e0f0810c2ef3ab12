//! Opening a database, units of work, and the hot calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chatsdk_types::{Millis, SessionId};

use crate::postgres::Postgres;
use crate::sql::{Arg, Row, Sql, first};
use crate::sqlite::Sqlite;
use crate::tx::{BoxFuture, Tx};
use crate::{Exchange, Exchanged, Follow, Schema, StoreError};

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file; its directory exists.
    Sqlite(PathBuf),
    /// A URL, `postgres://user:password@host:port/database?sslmode=…`.
    ///
    /// `sslmode` means what it means to PostgreSQL's own programs: `disable`, `prefer` (the default),
    /// `require` (encrypted, whoever answers), `verify-ca` and `verify-full`; the latter two need
    /// `sslrootcert=<file>`, and with it `require` verifies the certificate too.
    Postgres(String),
}

/// An open database. Clones are cheap and share it.
#[derive(Clone)]
pub struct Store(Arc<Engine>);

enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &*self.0 {
            Engine::Sqlite(_) => "Store(SQLite)",
            Engine::Postgres(_) => "Store(PostgreSQL)",
        })
    }
}

impl Store {
    /// Opens the database at `location`, creates what is missing and migrates it, forward only; refuses
    /// one that is newer than this program, or another program's.
    pub async fn open(location: Location) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(match location {
            Location::Sqlite(path) => Engine::Sqlite(Sqlite::open(path).await?),
            Location::Postgres(url) => Engine::Postgres(Postgres::open(&url).await?),
        })))
    }

    /// Where the database at `location` stands, without changing it. An empty one, and a file that is
    /// not there, has version 0.
    pub async fn inspect(location: Location) -> Result<Schema, StoreError> {
        match location {
            Location::Sqlite(path) => Sqlite::inspect(path).await,
            Location::Postgres(url) => Postgres::inspect(&url).await,
        }
    }

    /// The schema version that the database had before it was opened; it has the latest now.
    pub fn migrated_from(&self) -> i64 {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.found(),
            Engine::Postgres(engine) => engine.found(),
        }
    }

    /// Does a unit of work: all of it is committed before this answers, or nothing of it is kept.
    ///
    /// ```no_run
    /// # async fn example(store: chatsdk_store::Store) -> Result<(), chatsdk_store::StoreError> {
    /// store.write(move |tx| Box::pin(async move { tx.set_meta("epoch", "1").await })).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// `E` is the caller's own error: a unit that answers with one is rolled back. Once the unit is
    /// handed in it runs to its end, even if the caller stops waiting.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.write(work).await,
            Engine::Postgres(engine) => engine.write(work).await,
        }
    }

    /// Puts a refresh token to its session, reading and changing the row in one visit. `Some`: line 6
    /// held, the change is durable, and this is what `prepare` made of it; that may have been called
    /// before the change was durable, and what it made is dropped where it does not become so. `None`:
    /// nothing was changed, because another line decides, or there is no such session, or somebody
    /// else changed the row meanwhile; the caller reads it.
    pub async fn exchange<T>(
        &self,
        exchange: Exchange,
        prepare: impl FnOnce(Exchanged) -> T,
    ) -> Result<Option<T>, StoreError> {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.exchange(exchange, prepare).await,
            Engine::Postgres(engine) => Ok(engine.exchange(exchange).await?.map(prepare)),
        }
    }

    /// Raises `proven` of each session to the counter given, where it is lower. Each raise stands for
    /// itself: after an error, some may have been written.
    pub async fn raise_proven(&self, seen: Vec<(SessionId, i64)>) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        match &*self.0 {
            Engine::Sqlite(engine) => engine.raise_proven(seen).await,
            Engine::Postgres(engine) => engine.raise_proven(seen).await,
        }
    }

    /// Whether the database answers: a real read.
    pub async fn ping(&self) -> Result<(), StoreError> {
        const PING: Sql = Sql::new("SELECT max(version) FROM schema_migrations");
        self.query(PING, &[]).await.map(|_| ())
    }

    /// Makes a consistent copy of the database at `to`, a file that must not exist, while it is in use.
    /// The copy holds the fact `backed_up_at` with the moment `now`.
    pub async fn backup(&self, to: &Path, now: Millis) -> Result<(), StoreError> {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.backup(to, now).await,
            Engine::Postgres(_) => Err(StoreError::Unsupported(
                "a PostgreSQL database is copied with its own tools: use pg_dump",
            )),
        }
    }

    /// Watches the control log, whoever writes to it. Needs the runtime that the store was opened in.
    pub fn follow(&self) -> Follow {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.follow(),
            Engine::Postgres(engine) => engine.follow(),
        }
    }

    /// Finishes what was handed in, and lets go of the database. Whoever comes later is answered
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
        }
    }

    /// The rows that a read answers with.
    pub(crate) async fn query(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.query(sql, args),
            Engine::Postgres(engine) => engine.query(sql, args).await,
        }
    }

    /// The first row that a read answers with.
    pub(crate) async fn query_opt(
        &self,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(first(self.query(sql, args).await?))
    }
}
