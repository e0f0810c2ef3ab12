//! One boxed unit of work on SQLite: its statements, its savepoint, its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use rusqlite::{Connection, params_from_iter};
use tokio::sync::oneshot;

use crate::StoreError;
use crate::sql::{Arg, Row, Sql};
use crate::tx::{BoxFuture, Tx};

/// Whether a unit of work has a savepoint to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Savepoint {
    /// It needs none: it is the first in its transaction, and the whole transaction is its own to undo.
    Unneeded,
    /// It gets one before its first write. A unit that only reads never does.
    Wanted,
    /// It has one.
    Open,
}

/// A unit of work's view of the write connection.
pub(crate) struct SqliteTx<'c> {
    connection: &'c mut Connection,
    savepoint: Savepoint,
}

impl<'c> SqliteTx<'c> {
    pub(crate) fn new(connection: &'c mut Connection, savepoint: Savepoint) -> Self {
        Self {
            connection,
            savepoint,
        }
    }

    pub(crate) fn savepoint(&self) -> Savepoint {
        self.savepoint
    }

    pub(crate) fn execute(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        self.before_writing()?;
        let mut statement = self.connection.prepare_cached(sql.text())?;
        if statement.column_count() == 0 {
            return Ok(statement.execute(params_from_iter(args))? as u64);
        }
        // A statement that answers with rows has to be stepped to its end.
        let mut rows = statement.query(params_from_iter(args))?;
        while rows.next()?.is_some() {}
        Ok(self.connection.changes())
    }

    pub(crate) fn query(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        if self.savepoint == Savepoint::Wanted
            && !self.connection.prepare_cached(sql.text())?.readonly()
        {
            self.before_writing()?;
        }
        query(self.connection, sql, args)
    }

    fn before_writing(&mut self) -> Result<(), StoreError> {
        if self.savepoint == Savepoint::Wanted {
            self.connection
                .prepare_cached("SAVEPOINT unit")?
                .execute([])?;
            self.savepoint = Savepoint::Open;
        }
        Ok(())
    }
}

/// The rows that a statement answers with.
pub(super) fn query(
    connection: &Connection,
    sql: Sql,
    args: &[Arg<'_>],
) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached(sql.text())?;
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(args))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Row::from_sqlite(row, columns)?);
    }
    Ok(found)
}

/// A unit of work that the writer can run and answer without knowing its types.
pub(super) trait Unit: Send {
    /// Does the work. Says whether it wants to be kept, and what became of its savepoint.
    fn run(&mut self, connection: &mut Connection, savepoint: Savepoint) -> (bool, Savepoint);

    /// Tells the caller how it ended: what it answered where it wanted to be kept and `commit` says
    /// that it was, else why not.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

/// The closure of a caller, until it is run; then its outcome, until it is answered.
pub(super) struct Boxed<T, E, F> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Boxed<T, E, F> {
    pub(super) fn new(work: F, reply: oneshot::Sender<Result<T, E>>) -> Self {
        Self {
            work: Some(work),
            outcome: None,
            reply,
        }
    }
}

impl<T, E, F> Unit for Boxed<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>> + Send,
{
    fn run(&mut self, connection: &mut Connection, savepoint: Savepoint) -> (bool, Savepoint) {
        let Some(work) = self.work.take() else {
            return (false, savepoint);
        };
        let mut tx = Tx::on_sqlite(connection, savepoint);
        // What a panicking unit leaves behind is rolled back, and nothing else is shared with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let value = now(work(&mut tx))?;
            now(Box::pin(async { tx.finish().await.map_err(E::from) }))?;
            Ok(value)
        }))
        .unwrap_or_else(|_| Err(E::from(StoreError::Panicked)));
        let kept = outcome.is_ok();
        self.outcome = Some(outcome);
        (kept, tx.savepoint().unwrap_or(savepoint))
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let outcome = match (self.outcome, commit) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(E::from(error)),
            (None, Ok(())) => Err(E::from(StoreError::Closed)),
        };
        // A caller that has gone away does not want to know.
        let _ = self.reply.send(outcome);
    }
}

/// The result of a future that never waits: on SQLite a unit of work has nothing to wait for.
fn now<T, E: From<StoreError>>(mut future: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => result,
        Poll::Pending => Err(E::from(StoreError::Waited)),
    }
}
