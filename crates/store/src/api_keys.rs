//! API keys, without their secrets.

use chatsdk_types::{AppId, KeyId, Millis};

use crate::sql::{Row, Sql};
use crate::tx::Locking;
use crate::{ApiKey, Store, StoreError, Tx};

const READ: Sql = Sql::new(
    "SELECT id, app_id, env, hash, last4, name, scopes, created_at, expires_at, revoked_at, last_used_at
     FROM api_keys WHERE id = $1",
);
const READ_SHARED: Locking = Locking {
    plain: READ,
    locked: Sql::new(
        "SELECT id, app_id, env, hash, last4, name, scopes, created_at, expires_at, revoked_at, last_used_at
         FROM api_keys WHERE id = $1 FOR KEY SHARE",
    ),
};
/// Waits for everyone who holds a key, and stands before whoever wants one next. An UPDATE of the row alone
/// would wait for a share lock after the other, for as long as they overlap: a stolen key that is used
/// without pause could not be revoked.
const ALONE: Sql = Sql::new("LOCK TABLE api_keys IN EXCLUSIVE MODE");
/// Everybody queues behind who waits for that lock, which one mint that hangs can hold up: not for long.
const IMPATIENT: Sql = Sql::new("SET LOCAL lock_timeout = '1s'");
const PATIENT: Sql = Sql::new("SET LOCAL lock_timeout = '10s'");
const OF_APP: Sql = Sql::new(
    "SELECT id, app_id, env, hash, last4, name, scopes, created_at, expires_at, revoked_at, last_used_at
     FROM api_keys WHERE app_id = $1 ORDER BY created_at, id",
);
const INSERT: Sql = Sql::new(
    "INSERT INTO api_keys
         (id, app_id, env, hash, last4, name, scopes, created_at, expires_at, revoked_at, last_used_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
);
const REVOKE: Sql = Sql::new(
    "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND app_id = $3 AND revoked_at IS NULL",
);
const EXPIRE: Sql = Sql::new(
    "UPDATE api_keys SET expires_at = $1 WHERE id = $2 AND (expires_at IS NULL OR expires_at > $1)",
);
const TOUCH: Sql = Sql::new(
    "UPDATE api_keys SET last_used_at = $1
     WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
);

fn api_key(mut row: Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.parsed()?,
        app: row.parsed()?,
        env: row.text()?,
        hash: row.bytes()?.try_into().map_err(|_| {
            StoreError::InvalidRow("the hash of an API key has 32 bytes".to_owned())
        })?,
        last4: row.text()?,
        name: row.text()?,
        scopes: row.parsed()?,
        created_at: row.int()?,
        expires_at: row.maybe_int()?,
        revoked_at: row.maybe_int()?,
        last_used_at: row.maybe_int()?,
    })
}

impl Store {
    /// The API key `id`, whatever its state.
    pub async fn api_key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.query_opt(READ, &[id.as_str().into()])
            .await?
            .map(api_key)
            .transpose()
    }

    /// Every API key of `app`, oldest first.
    pub async fn api_keys(&self, app: &AppId) -> Result<Vec<ApiKey>, StoreError> {
        let rows = self.query(OF_APP, &[app.as_str().into()]).await?;
        rows.into_iter().map(api_key).collect()
    }
}

impl Tx<'_> {
    /// The API key `id`, whatever its state, which stays as it is until this unit of work has ended:
    /// what is done with a key is done before it is revoked, or not at all.
    pub async fn held_api_key(&mut self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let rows = self
            .query_locked(READ_SHARED, &[id.as_str().into()])
            .await?;
        crate::sql::first(rows).map(api_key).transpose()
    }

    /// Waits until nobody holds an API key; until this unit of work has ended nobody else will. What
    /// changes what a key may do does this by itself. A unit that locks other rows before, or holds a key
    /// already, does it first, so that no two wait for each other.
    ///
    /// [`StoreError::Unavailable`] after a second, where somebody holds one that long: try again.
    pub async fn hold_all_api_keys(&mut self) -> Result<(), StoreError> {
        if self.has_other_writers() {
            self.execute(IMPATIENT, &[]).await?;
            self.execute(ALONE, &[]).await?;
            self.execute(PATIENT, &[]).await?;
        }
        Ok(())
    }

    /// Adds an API key; [`StoreError::Duplicate`] where its id is taken.
    pub async fn insert_api_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        self.execute(
            INSERT,
            &[
                key.id.as_str().into(),
                key.app.as_str().into(),
                key.env.as_str().into(),
                key.hash.as_slice().into(),
                key.last4.as_str().into(),
                key.name.as_str().into(),
                key.scopes.to_string().as_str().into(),
                key.created_at.into(),
                key.expires_at.into(),
                key.revoked_at.into(),
                key.last_used_at.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Revokes the key `id` of `app`. Says whether it was alive.
    pub async fn revoke_api_key(
        &mut self,
        app: &AppId,
        id: &KeyId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        self.hold_all_api_keys().await?;
        let args = [now.into(), id.as_str().into(), app.as_str().into()];
        Ok(self.execute(REVOKE, &args).await? > 0)
    }

    /// Lets the key `id` work until `at` and no longer; an earlier end stands. Says whether its end
    /// changed.
    pub async fn expire_api_key(&mut self, id: &KeyId, at: Millis) -> Result<bool, StoreError> {
        self.hold_all_api_keys().await?;
        Ok(self
            .execute(EXPIRE, &[at.into(), id.as_str().into()])
            .await?
            > 0)
    }

    /// Notes when keys were last used; a later note stands. Who holds a key is not waited for, nor kept
    /// waiting.
    pub async fn touch_api_keys(
        &mut self,
        mut used: Vec<(KeyId, Millis)>,
    ) -> Result<(), StoreError> {
        // In the order of their ids, as everyone locks them.
        used.sort();
        for (id, at) in used {
            self.execute(TOUCH, &[at.into(), id.as_str().into()])
                .await?;
        }
        Ok(())
    }
}
