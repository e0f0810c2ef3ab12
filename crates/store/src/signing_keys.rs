//! The keys that access tokens are signed with, sealed.

use chatsdk_types::Millis;

use crate::sql::{Row, Sql};
use crate::{SigningKey, Store, StoreError, Tx};

const ALL: Sql = Sql::new(
    "SELECT kid, public_key, sealed, created_at, activates_at, retired_at, emergency
     FROM signing_keys ORDER BY created_at, kid",
);
const INSERT: Sql = Sql::new(
    "INSERT INTO signing_keys (kid, public_key, sealed, created_at, activates_at, retired_at, emergency)
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);
// An emergency may be declared of a key that has retired already; its day of retirement stands.
const RETIRE: Sql = Sql::new(
    "UPDATE signing_keys
     SET retired_at = coalesce(retired_at, $1), emergency = CASE WHEN $2 = 1 THEN 1 ELSE emergency END
     WHERE kid = $3 AND (retired_at IS NULL OR (emergency = 0 AND $2 = 1))",
);
const ACTIVATE: Sql = Sql::new(
    "UPDATE signing_keys SET activates_at = $1
     WHERE kid = $2 AND retired_at IS NULL AND activates_at > $1",
);
const RESEAL: Sql = Sql::new("UPDATE signing_keys SET sealed = $1 WHERE kid = $2");
const DELETE: Sql = Sql::new("DELETE FROM signing_keys WHERE kid = $1");

fn signing_key(mut row: Row) -> Result<SigningKey, StoreError> {
    Ok(SigningKey {
        kid: row.text()?,
        public: row.bytes()?,
        sealed: row.bytes()?,
        created_at: row.int()?,
        activates_at: row.int()?,
        retired_at: row.maybe_int()?,
        emergency: row.int()? != 0,
    })
}

impl Store {
    /// Every signing key there is, oldest first.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        let rows = self.query(ALL, &[]).await?;
        rows.into_iter().map(signing_key).collect()
    }
}

impl Tx<'_> {
    /// Every signing key there is, oldest first, as this unit of work sees them.
    pub async fn signing_keys(&mut self) -> Result<Vec<SigningKey>, StoreError> {
        let rows = self.query(ALL, &[]).await?;
        rows.into_iter().map(signing_key).collect()
    }

    /// Adds a signing key; [`StoreError::Duplicate`] where its `kid` is taken.
    pub async fn insert_signing_key(&mut self, key: &SigningKey) -> Result<(), StoreError> {
        self.execute(
            INSERT,
            &[
                key.kid.as_str().into(),
                key.public.as_slice().into(),
                key.sealed.as_slice().into(),
                key.created_at.into(),
                key.activates_at.into(),
                key.retired_at.into(),
                i64::from(key.emergency).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Retires the key `kid` from `at` on; in an `emergency` its tokens count as expired at once. Says
    /// whether anything changed.
    pub async fn retire_signing_key(
        &mut self,
        kid: &str,
        at: Millis,
        emergency: bool,
    ) -> Result<bool, StoreError> {
        let args = [at.into(), i64::from(emergency).into(), kid.into()];
        Ok(self.execute(RETIRE, &args).await? > 0)
    }

    /// Lets the key `kid`, which has not begun to sign, begin at `at`. Says whether that is earlier
    /// than before.
    pub async fn activate_signing_key(
        &mut self,
        kid: &str,
        at: Millis,
    ) -> Result<bool, StoreError> {
        Ok(self.execute(ACTIVATE, &[at.into(), kid.into()]).await? > 0)
    }

    /// Puts another seal around the private half of the key `kid`. Says whether there is such a key.
    pub async fn reseal_signing_key(
        &mut self,
        kid: &str,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        Ok(self.execute(RESEAL, &[sealed.into(), kid.into()]).await? > 0)
    }

    /// Removes the key `kid`. Says whether there was one.
    pub async fn delete_signing_key(&mut self, kid: &str) -> Result<bool, StoreError> {
        Ok(self.execute(DELETE, &[kid.into()]).await? > 0)
    }
}
