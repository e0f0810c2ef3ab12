//! Who did what: append only.

use chatsdk_types::Millis;

use crate::sql::Sql;
use crate::{AuditEntry, StoreError, Tx};

const APPEND: Sql = Sql::new(
    "INSERT INTO audit_log
         (at, app_id, action, actor, user_id, session_id, ip, user_agent, request_id, detail)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
);
const PRUNE: Sql = Sql::new("DELETE FROM audit_log WHERE at < $1");

impl Tx<'_> {
    /// Appends a line to the audit log.
    pub async fn append_audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.execute(
            APPEND,
            &[
                entry.at.into(),
                entry.app.as_str().into(),
                entry.action.as_str().into(),
                entry.actor.as_str().into(),
                entry.user.as_str().into(),
                entry.session.as_str().into(),
                entry.ip.as_str().into(),
                entry.user_agent.as_str().into(),
                entry.request_id.as_str().into(),
                entry.detail.as_str().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Drops the lines that are older than `before`. Says how many there were.
    pub async fn prune_audit(&mut self, before: Millis) -> Result<u64, StoreError> {
        self.execute(PRUNE, &[before.into()]).await
    }
}
