//! Who did what: append only.

use chatsdk_types::Millis;

use crate::sql::{Row, Sql};
use crate::{AuditEntry, AuditFilter, AuditLine, Store, StoreError, Tx};

const APPEND: Sql = Sql::new(
    "INSERT INTO audit_log
         (at, app_id, action, actor, user_id, session_id, ip, user_agent, request_id, detail)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
);
const PRUNE: Sql = Sql::new("DELETE FROM audit_log WHERE at < $1");
/// In the order of the index by time, so that a look at the newest lines reads few.
const READ: Sql = Sql::new(
    "SELECT seq, at, app_id, action, actor, user_id, session_id, ip, user_agent, request_id, detail
     FROM audit_log
     WHERE at >= $1 AND (at, seq) < ($2, $3)
         AND ($4 = '' OR app_id = $4) AND ($5 = '' OR user_id = $5)
     ORDER BY at DESC, seq DESC LIMIT $6",
);

fn line(row: &mut Row) -> Result<AuditLine, StoreError> {
    Ok(AuditLine {
        seq: row.int()?,
        entry: AuditEntry {
            at: row.int()?,
            app: row.text()?,
            action: row.text()?,
            actor: row.text()?,
            user: row.text()?,
            session: row.text()?,
            ip: row.text()?,
            user_agent: row.text()?,
            request_id: row.text()?,
            detail: row.text()?,
        },
    })
}

impl Store {
    /// The newest lines of the audit log that `filter` lets through, newest first, up to `limit`; only those that
    /// stand behind `after`, the last line of an earlier answer, where one is given.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&AuditLine>,
        limit: u32,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let (at, seq) = after.map_or((Millis::MAX, i64::MAX), |line| (line.entry.at, line.seq));
        let rows = self
            .query(
                READ,
                &[
                    filter.since.unwrap_or(Millis::MIN).into(),
                    at.into(),
                    seq.into(),
                    filter.app.as_ref().map_or("", |app| app.as_str()).into(),
                    filter.user.as_ref().map_or("", |user| user.as_str()).into(),
                    i64::from(limit).into(),
                ],
            )
            .await?;
        rows.into_iter().map(|mut row| line(&mut row)).collect()
    }
}

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
