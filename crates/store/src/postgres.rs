//! PostgreSQL: pooled connections for reads and units of work, and writers that batch exchanges.
//!
//! - [`url`]: where it is and how it is reached; [`tls`]: what `sslmode` means.
//! - [`migrate`]: the tables.
//! - [`local`]: the connections of one runtime.
//! - [`batches`]: exchanges of many callers in one statement.
//! - [`revive`]: what is tried again when the server had gone away.
//! - [`follow`]: LISTEN, with a poll beside it.

mod batches;
mod follow;
mod local;
mod migrate;
mod revive;
mod tls;
mod url;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chatsdk_types::SessionId;
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
    Transaction,
};
use tokio::runtime::{self, Handle};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sql::{Arg, Row, Sql};
use crate::tx::{BoxFuture, Tx};
use crate::{Exchange, Exchanged, Follow, Schema, StoreError};

use batches::Job;
use local::Local;
use revive::Revival;
use url::Server;

/// How long a caller waits for a connection, new or free, before it is told 503.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many times as long as for one answer a unit of work is waited for: it asks more than once, and may wait for
/// others' locks each time.
const UNIT: u32 = 3;

/// What every connection is told first. A session that would not wait for the disk at commit would make
/// our promise for us; `remote_apply` and its kin promise more and stay.
///
/// Every statement of ours finds its rows by an index, so a plan is made once, and without a scan. Left to
/// itself the server plans a batch anew each time, which takes it longer than carrying it out, or scans
/// tables because they were small when it planned.
const GREETING: &str = "SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off';
     SET default_transaction_isolation = 'read committed';
     SET idle_in_transaction_session_timeout = '60s';
     SET lock_timeout = '10s';
     SET plan_cache_mode = force_generic_plan;
     SET enable_seqscan = off";

/// A database on a server.
pub(crate) struct Postgres {
    server: Arc<Server>,
    /// What each runtime that asks has: the one that this was opened in, and the threads that serve
    /// connections.
    locals: Mutex<HashMap<runtime::Id, Arc<Local>>>,
    /// Units of work and batches that are under way, for [`Postgres::close`] to wait for.
    tasks: TaskTracker,
    stop: CancellationToken,
    head: Mutex<Option<watch::Receiver<i64>>>,
    found: i64,
}

impl Postgres {
    /// Connects, and migrates the database.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let server = Arc::new(Server::parse(url).await?);
        let tasks = TaskTracker::new();
        let here = Local::new(&server, &tasks)?;
        let found = migrate::run(&mut *here.pool.get().await?).await?;
        Ok(Self {
            server,
            locals: Mutex::new(HashMap::from([(Handle::current().id(), Arc::new(here))])),
            tasks,
            stop: CancellationToken::new(),
            head: Mutex::default(),
            found,
        })
    }

    /// Where the database at `url` stands, without changing it.
    pub(crate) async fn inspect(url: &str) -> Result<Schema, StoreError> {
        let server = Server::parse(url).await?;
        let pool = pool(&server, 1)?;
        let version = migrate::version(&**pool.get().await?).await?;
        pool.close();
        Ok(Schema::at(version))
    }

    /// The schema version that the database had before it was opened.
    pub(crate) fn found(&self) -> i64 {
        self.found
    }

    pub(crate) async fn query(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        let local = self.local()?;
        let (pool, answer) = (&local.pool, local.answer);
        let mut revival = Revival::of(pool);
        loop {
            let client = pool.get().await?;
            match timeout(answer, read(&client, sql, args)).await {
                Err(_) => return Err(give_up(client)),
                Ok(Err(error)) if revival.is_due(&error) => {}
                Ok(rows) => return rows?.iter().map(Row::from_postgres).collect(),
            }
        }
    }

    /// The unit runs in a task of its own: a caller that stops waiting does not stop it.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        if self.stop.is_cancelled() {
            return Err(E::from(StoreError::Closed));
        }
        let local = self.local()?;
        let (pool, answer) = (local.pool.clone(), local.answer);
        let unit = self.tasks.spawn(async move {
            let mut revival = Revival::of(&pool);
            let mut work = Some(work);
            loop {
                let mut client = pool.get().await.map_err(StoreError::from)?;
                let unit = timeout(answer * UNIT, unit(&mut client, &mut work, &mut revival)).await;
                match unit {
                    Err(_) => return Err(E::from(give_up(client))),
                    Ok(Some(ended)) => return ended,
                    Ok(None) => {}
                }
            }
        });
        unit.await.unwrap_or_else(|ended| {
            Err(E::from(if ended.is_panic() {
                StoreError::Panicked
            } else {
                StoreError::Closed
            }))
        })
    }

    /// What the runtime that this is called in has.
    fn local(&self) -> Result<Arc<Local>, StoreError> {
        let id = Handle::current().id();
        let mut locals = self.locals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(local) = locals.get(&id) {
            return Ok(Arc::clone(local));
        }
        // Under the lock: whoever closes finds what was made before.
        if self.stop.is_cancelled() {
            return Err(StoreError::Closed);
        }
        let local = Arc::new(Local::new(&self.server, &self.tasks)?);
        locals.insert(id, Arc::clone(&local));
        Ok(local)
    }

    pub(crate) async fn exchange(
        &self,
        exchange: Exchange,
    ) -> Result<Option<Exchanged>, StoreError> {
        let local = self.local()?;
        if !self.stop.is_cancelled()
            && let Some(_counted) = local.under_way.enter_alone()
        {
            let _waited_for = self.tasks.token();
            return batches::read(batches::alone(&local.pool, local.answer, exchange).await?);
        }
        let (reply, answer) = oneshot::channel();
        local.hand_in(Job::Exchange(exchange, reply)).await?;
        batches::read(answer.await.unwrap_or(Err(StoreError::Closed))?)
    }

    pub(crate) async fn raise_proven(&self, seen: Vec<(SessionId, i64)>) -> Result<(), StoreError> {
        let local = self.local()?;
        let (pool, answer) = (local.pool.clone(), local.answer);
        let raise = self
            .tasks
            .spawn(async move { batches::raise(&pool, answer, seen).await });
        raise.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Begins to listen, once; everyone who follows shares the connection.
    pub(crate) fn follow(&self) -> Follow {
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let head = head.get_or_insert_with(|| {
            let (found, head) = watch::channel(0);
            self.tasks.spawn(follow::run(
                Arc::clone(&self.server),
                self.stop.clone(),
                found,
            ));
            head
        });
        Follow::new(head.clone())
    }

    /// Finishes what was handed in, and closes every connection.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let locals =
            std::mem::take(&mut *self.locals.lock().unwrap_or_else(PoisonError::into_inner));
        for local in locals.values() {
            local.stop().await;
        }
        self.tasks.close();
        self.tasks.wait().await;
        for local in locals.values() {
            local.close();
        }
    }
}

impl Drop for Postgres {
    /// The batches end when their last sender is gone, the listener now.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Carries `work` out over a connection; `None`, and it is left, where that was dead and another may be
/// alive.
async fn unit<T, E, F>(
    client: &mut Client,
    work: &mut Option<F>,
    revival: &mut Revival,
) -> Option<Result<T, E>>
where
    E: From<StoreError>,
    F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>>,
{
    let transaction = match client.transaction().await {
        Ok(transaction) => transaction,
        Err(error) if revival.is_due(&error) => return None,
        Err(error) => return Some(Err(E::from(error.into()))),
    };
    let work = work.take()?;
    let mut tx = Tx::on_postgres(transaction);
    let ended = async {
        // An error drops the transaction, which rolls it back.
        let value = work(&mut tx).await?;
        tx.finish().await?;
        if let Some(transaction) = tx.into_postgres() {
            transaction.commit().await.map_err(StoreError::from)?;
        }
        Ok(value)
    };
    Some(ended.await)
}

/// Gives a connection up that does not answer: what is asked of it next would wait behind what was. Whether
/// that is carried out once the server goes on is unknown.
fn give_up(client: Client) -> StoreError {
    drop(Client::take(client));
    silent()
}

fn silent() -> StoreError {
    StoreError::Unavailable("the server does not answer".to_owned())
}

async fn read(
    client: &Client,
    sql: Sql,
    args: &[Arg<'_>],
) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    let statement = client.prepare_cached(sql.text()).await?;
    client.query(&statement, &refs(args)).await
}

/// The rows that a statement of a unit of work answers with.
pub(crate) async fn query(
    tx: &Transaction<'_>,
    sql: Sql,
    args: &[Arg<'_>],
) -> Result<Vec<Row>, StoreError> {
    let statement = tx.prepare_cached(sql.text()).await?;
    let rows = tx.query(&statement, &refs(args)).await?;
    rows.iter().map(Row::from_postgres).collect()
}

/// How many rows a statement of a unit of work changed.
pub(crate) async fn execute(
    tx: &Transaction<'_>,
    sql: Sql,
    args: &[Arg<'_>],
) -> Result<u64, StoreError> {
    let statement = tx.prepare_cached(sql.text()).await?;
    Ok(tx.execute(&statement, &refs(args)).await?)
}

fn refs<'a>(args: &'a [Arg<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect()
}

fn pool(server: &Server, size: usize) -> Result<Pool, StoreError> {
    // A connection that the server has closed is noticed before it is handed out, without a question.
    let config = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(server.config.clone(), server.tls.clone(), config);
    Pool::builder(manager)
        .max_size(size)
        .timeouts(Timeouts {
            wait: Some(PATIENCE),
            create: Some(PATIENCE.min(server.answer)),
            recycle: Some(PATIENCE),
        })
        .runtime(Runtime::Tokio1)
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                client
                    .batch_execute(GREETING)
                    .await
                    .map_err(HookError::Backend)
            })
        }))
        .build()
        .map_err(|error| StoreError::Location(error.to_string()))
}
