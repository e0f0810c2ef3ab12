//! The control log: what every serving process has to know within a second, in the order of commits.

use std::fmt::Write;
use std::sync::LazyLock;

use chatsdk_types::{AppId, Millis, SessionId};

use crate::sql::{Arg, Row, Sql};
use crate::tx::Announcement;
use crate::{ControlEntry, ControlKind, Store, StoreError, Tx};

const SINCE: Sql = Sql::new(
    "SELECT seq, kind, app_id, subject, at FROM control_log WHERE seq > $1 ORDER BY seq LIMIT $2",
);
const AFTER_TIME: Sql =
    Sql::new("SELECT seq, kind, app_id, subject, at FROM control_log WHERE at > $1 ORDER BY seq");
const HEAD: Sql = Sql::new("SELECT coalesce(max(seq), 0) FROM control_log");
// The newest row stays: it says how far the log ever got.
const PRUNE: Sql =
    Sql::new("DELETE FROM control_log WHERE at < $1 AND seq < (SELECT max(seq) FROM control_log)");
const APPEND: Sql =
    Sql::new("INSERT INTO control_log (kind, app_id, subject, at) VALUES ($1, $2, $3, $4)");

/// One lock of the whole deployment, held until the commit: without it a process could read entry 8,
/// move on, and never see entry 7, whose unit of work began earlier and committed later.
const SERIALISE: Sql = Sql::new("SELECT pg_advisory_xact_lock(4849383)");
const NOTIFY: Sql = Sql::new("SELECT pg_notify('chatsdk_control', '')");

/// The channel that [`NOTIFY`] speaks on.
pub(crate) const CHANNEL: &str = "chatsdk_control";

/// How many entries go into one statement where there are many: the end of all sessions of a user.
const MANY: usize = 32;
static APPEND_MANY: LazyLock<String> = LazyLock::new(|| {
    let mut text = "INSERT INTO control_log (kind, app_id, subject, at) VALUES ".to_owned();
    for row in 0..MANY {
        let (comma, n) = (if row == 0 { "" } else { ", " }, row * 4);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{comma}(${}, ${}, ${}, ${})",
            n + 1,
            n + 2,
            n + 3,
            n + 4
        );
    }
    text
});

fn entry(mut row: Row) -> Result<ControlEntry, StoreError> {
    Ok(ControlEntry {
        seq: row.int()?,
        // A newer node may write what this version does not know; the rest has to be read all the same.
        kind: row.text()?.parse().unwrap_or(ControlKind::Unknown),
        app: row.text()?,
        subject: row.text()?,
        at: row.int()?,
    })
}

impl Store {
    /// The entries after `seq`, oldest first, at most `limit` of them.
    pub async fn control_since(
        &self,
        seq: i64,
        limit: u32,
    ) -> Result<Vec<ControlEntry>, StoreError> {
        let rows = self
            .query(SINCE, &[seq.into(), i64::from(limit).into()])
            .await?;
        rows.into_iter().map(entry).collect()
    }

    /// The entries of the time after `at`, in the order of their numbers.
    pub async fn control_after_time(&self, at: Millis) -> Result<Vec<ControlEntry>, StoreError> {
        let rows = self.query(AFTER_TIME, &[at.into()]).await?;
        rows.into_iter().map(entry).collect()
    }

    /// The number of the newest entry; 0 where the log is empty.
    pub async fn control_head(&self) -> Result<i64, StoreError> {
        head(self.query_opt(HEAD, &[]).await?)
    }

    /// The statement behind [`Store::control_head`], for those who look on a connection of their own.
    pub(crate) const CONTROL_HEAD: Sql = HEAD;
}

/// The number in the one row of [`HEAD`].
pub(crate) fn head(row: Option<Row>) -> Result<i64, StoreError> {
    row.map_or(Ok(0), |mut row| row.int())
}

impl Tx<'_> {
    /// Announces a change to every serving process. The entry is numbered and written when the unit of
    /// work ends, after everything else in it.
    ///
    /// `app` is the id of the app, or empty for the whole deployment; `subject` as [`ControlKind`] says.
    #[expect(
        clippy::unused_async,
        reason = "like every other write of a unit of work"
    )]
    pub async fn append_control(
        &mut self,
        kind: ControlKind,
        app: &str,
        subject: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.announced.push(Announcement {
            kind,
            app: app.to_owned(),
            subject: subject.to_owned(),
            at: now,
        });
        Ok(())
    }

    /// Announces the end of `sessions`, all of `app`.
    #[expect(
        clippy::unused_async,
        reason = "like every other write of a unit of work"
    )]
    pub async fn append_control_sessions(
        &mut self,
        app: &AppId,
        sessions: &[SessionId],
        now: Millis,
    ) -> Result<(), StoreError> {
        self.announced
            .extend(sessions.iter().map(|session| Announcement {
                kind: ControlKind::SessionRevoked,
                app: app.as_str().to_owned(),
                subject: session.as_str().to_owned(),
                at: now,
            }));
        Ok(())
    }

    /// Drops the entries that are older than `before`. Says how many there were.
    pub async fn prune_control(&mut self, before: Millis) -> Result<u64, StoreError> {
        self.execute(PRUNE, &[before.into()]).await
    }

    /// Writes what was announced: the last thing that a unit of work does.
    pub(crate) async fn write_announcements(&mut self) -> Result<(), StoreError> {
        let announced = std::mem::take(&mut self.announced);
        if announced.is_empty() {
            return Ok(());
        }
        if self.has_other_writers() {
            self.execute(SERIALISE, &[]).await?;
        }
        let (many, few) = announced.as_chunks::<MANY>();
        for chunk in many {
            let args: Vec<Arg<'_>> = chunk.iter().flat_map(args).collect();
            self.execute(Sql::new(APPEND_MANY.as_str()), &args).await?;
        }
        for one in few {
            self.execute(APPEND, &args(one)).await?;
        }
        if self.has_other_writers() {
            self.execute(NOTIFY, &[]).await?;
        }
        Ok(())
    }
}

fn args(one: &Announcement) -> [Arg<'_>; 4] {
    [
        one.kind.as_str().into(),
        one.app.as_str().into(),
        one.subject.as_str().into(),
        one.at.into(),
    ]
}
