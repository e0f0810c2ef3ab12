//! The tables on PostgreSQL: each missing step, once, whichever of several nodes comes first.

use tokio_postgres::Client;

use crate::{StoreError, migrations};

/// Held while migrating; released with the transaction.
const LOCK: &str = "SELECT pg_advisory_xact_lock(4849382)";

const LEDGER_EXISTS: &str = "SELECT to_regclass('schema_migrations') IS NOT NULL";

/// The schema version of the database; 0 for an empty one.
pub(super) async fn version(client: &Client) -> Result<i64, StoreError> {
    if !client
        .query_one(LEDGER_EXISTS, &[])
        .await?
        .get::<_, bool>(0)
    {
        return Ok(0);
    }
    Ok(client.query_one(migrations::VERSION, &[]).await?.get(0))
}

/// Brings the database to this program's version. Answers with the version that was found.
pub(super) async fn run(client: &mut Client) -> Result<i64, StoreError> {
    let found = version(client).await?;
    if migrations::missing(found)?.is_empty() {
        return Ok(found);
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    // Someone else may have migrated while this process waited for the lock.
    transaction
        .batch_execute(&migrations::translate(
            migrations::LEDGER,
            migrations::POSTGRES,
        ))
        .await?;
    let found = transaction
        .query_one(migrations::VERSION, &[])
        .await?
        .get(0);
    for step in migrations::missing(found)? {
        transaction
            .batch_execute(&migrations::script(step, migrations::POSTGRES))
            .await?;
    }
    transaction.commit().await?;
    Ok(found)
}
