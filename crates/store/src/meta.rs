//! Single facts about the deployment, by name: when it was backed up, which process is which.

use crate::sql::Sql;
use crate::{Store, StoreError, Tx};

const READ: Sql = Sql::new("SELECT value FROM meta WHERE name = $1");
const WRITE: Sql = Sql::new(
    "INSERT INTO meta (name, value) VALUES ($1, $2)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
);
const DELETE: Sql = Sql::new("DELETE FROM meta WHERE name = $1");

impl Store {
    /// The value of the fact `name`.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.query_opt(READ, &[name.into()])
            .await?
            .map(|mut row| row.text())
            .transpose()
    }
}

impl Tx<'_> {
    /// The value of the fact `name`, as this unit of work sees it.
    pub async fn meta(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.query_opt(READ, &[name.into()])
            .await?
            .map(|mut row| row.text())
            .transpose()
    }

    /// Writes the fact `name`, over what was there.
    pub async fn set_meta(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        self.execute(WRITE, &[name.into(), value.into()]).await?;
        Ok(())
    }

    /// Forgets the fact `name`. Says whether there was one.
    pub async fn delete_meta(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.execute(DELETE, &[name.into()]).await? > 0)
    }
}
