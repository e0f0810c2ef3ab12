//! People, in the host's words.

use chatsdk_types::{AppId, Millis, UserId};

use crate::sql::{Arg, Row, Sql};
use crate::tx::Locking;
use crate::{Patch, Store, StoreError, Tx, User, UserPatch};

/// The columns of a user, in the order in which [`user`] reads them.
macro_rules! columns {
    () => {
        "users.app_id, users.id, users.name, users.avatar, users.custom, users.created_at, users.updated_at, users.banned_at, \
         users.ban_reason, users.deleted_at"
    };
}
pub(crate) use columns;

const READ: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM users WHERE users.app_id = $1 AND users.id = $2"
));
const READ_LOCKED: Locking = Locking {
    plain: READ,
    locked: Sql::new(concat!(
        "SELECT ",
        columns!(),
        " FROM users WHERE users.app_id = $1 AND users.id = $2 FOR UPDATE"
    )),
};
// Each patched field comes as a flag and a value: 0 keeps what is there.
const UPSERT: Sql = Sql::new(concat!(
    "INSERT INTO users (app_id, id, name, avatar, custom, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $6)
     ON CONFLICT (app_id, id) DO UPDATE SET
         name = CASE WHEN $7 = 1 THEN $8 ELSE users.name END,
         avatar = CASE WHEN $9 = 1 THEN $4 ELSE users.avatar END,
         custom = CASE WHEN $10 = 1 THEN $5 ELSE users.custom END,
         updated_at = $6
     WHERE users.deleted_at IS NULL
     RETURNING ",
    columns!()
));
const BAN: Sql = Sql::new(
    "INSERT INTO users (app_id, id, name, created_at, updated_at, banned_at, ban_reason)
     VALUES ($1, $2, $2, $3, $3, $3, $4)
     ON CONFLICT (app_id, id) DO UPDATE SET
         updated_at = excluded.updated_at,
         banned_at = coalesce(users.banned_at, excluded.banned_at),
         ban_reason = excluded.ban_reason
     WHERE users.banned_at IS NULL OR users.ban_reason IS DISTINCT FROM excluded.ban_reason",
);
const UNBAN: Sql = Sql::new(
    "UPDATE users SET updated_at = $1, banned_at = NULL, ban_reason = NULL
     WHERE app_id = $2 AND id = $3 AND banned_at IS NOT NULL",
);
// The mark is made also for somebody who is not known: an id that was deleted cannot come alive by a mint,
// and a restored backup may not know the person any more.
const DELETE: Sql = Sql::new(
    "INSERT INTO users (app_id, id, created_at, updated_at, deleted_at)
     VALUES ($1, $2, $3, $3, $3)
     ON CONFLICT (app_id, id) DO UPDATE SET
         updated_at = excluded.updated_at,
         deleted_at = excluded.deleted_at,
         name = NULL, avatar = NULL, custom = NULL
     WHERE users.deleted_at IS NULL",
);
const BANNED: Sql =
    Sql::new("SELECT app_id, id FROM users WHERE banned_at IS NOT NULL ORDER BY app_id, id");
const DELETED: Sql =
    Sql::new("SELECT app_id, id FROM users WHERE deleted_at IS NOT NULL ORDER BY app_id, id");

/// A user, from [`columns`].
pub(crate) fn user(row: &mut Row) -> Result<User, StoreError> {
    Ok(User {
        app: row.parsed()?,
        id: row.parsed()?,
        name: row.maybe_text()?,
        avatar: row.maybe_text()?,
        custom: row.maybe_text()?,
        created_at: row.int()?,
        updated_at: row.int()?,
        banned_at: row.maybe_int()?,
        ban_reason: row.maybe_text()?,
        deleted_at: row.maybe_int()?,
    })
}

fn names(mut row: Row) -> Result<(AppId, UserId), StoreError> {
    Ok((row.parsed()?, row.parsed()?))
}

/// The value that a patch writes, `None` for an empty one.
fn value(patch: &Patch<String>) -> Option<&str> {
    match patch {
        Patch::Keep | Patch::Clear => None,
        Patch::Set(text) => Some(text),
    }
}

fn flag(patch: &Patch<String>) -> Arg<'static> {
    Arg::Int(i64::from(*patch != Patch::Keep))
}

fn changes(patch: &Patch<String>, current: Option<&String>) -> bool {
    *patch != Patch::Keep && value(patch) != current.map(String::as_str)
}

impl Store {
    /// The user `id` of `app`.
    pub async fn user(&self, app: &AppId, id: &UserId) -> Result<Option<User>, StoreError> {
        self.query_opt(READ, &[app.as_str().into(), id.as_str().into()])
            .await?
            .map(|mut row| user(&mut row))
            .transpose()
    }

    /// Everyone who is banned.
    pub async fn banned_users(&self) -> Result<Vec<(AppId, UserId)>, StoreError> {
        self.query(BANNED, &[])
            .await?
            .into_iter()
            .map(names)
            .collect()
    }

    /// Everyone who was deleted.
    pub async fn deleted_users(&self) -> Result<Vec<(AppId, UserId)>, StoreError> {
        self.query(DELETED, &[])
            .await?
            .into_iter()
            .map(names)
            .collect()
    }
}

impl Tx<'_> {
    /// The user `id` of `app`, as this unit of work sees it.
    pub async fn user(&mut self, app: &AppId, id: &UserId) -> Result<Option<User>, StoreError> {
        self.query_opt(READ, &[app.as_str().into(), id.as_str().into()])
            .await?
            .map(|mut row| user(&mut row))
            .transpose()
    }

    /// Adds the user `id`, or patches it, and answers with what is there then. A new user who is given
    /// no name is called by its id. Where nothing changes nothing is written; a user who was deleted
    /// is not changed.
    pub async fn upsert_user(
        &mut self,
        app: &AppId,
        id: &UserId,
        patch: &UserPatch,
        now: Millis,
    ) -> Result<User, StoreError> {
        // Locked, so that a deletion which is under way is waited for, and one that comes later finds what
        // this unit of work adds.
        let current = self
            .query_locked(READ_LOCKED, &[app.as_str().into(), id.as_str().into()])
            .await?;
        let current = crate::sql::first(current)
            .map(|mut row| user(&mut row))
            .transpose()?;
        if let Some(current) = current
            && (current.deleted_at.is_some()
                || !(changes(&patch.name, current.name.as_ref())
                    || changes(&patch.avatar, current.avatar.as_ref())
                    || changes(&patch.custom, current.custom.as_ref())))
        {
            return Ok(current);
        }
        // One statement, because someone else may be adding the same user at this moment.
        let row = self
            .query_opt(
                UPSERT,
                &[
                    app.as_str().into(),
                    id.as_str().into(),
                    value(&patch.name).unwrap_or(id.as_str()).into(),
                    value(&patch.avatar).into(),
                    value(&patch.custom).into(),
                    now.into(),
                    flag(&patch.name),
                    value(&patch.name).into(),
                    flag(&patch.avatar),
                    flag(&patch.custom),
                ],
            )
            .await?;
        match row {
            Some(mut row) => user(&mut row),
            // Deleted by someone else since it was read above.
            None => self.user(app, id).await?.ok_or_else(|| {
                StoreError::InvalidRow("a user is neither there nor absent".to_owned())
            }),
        }
    }

    /// Bans the user `id`, who need not be known yet. Says whether that changed anything: it was not banned
    /// before, or for another reason.
    pub async fn ban_user(
        &mut self,
        app: &AppId,
        id: &UserId,
        reason: Option<&str>,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let args = [
            app.as_str().into(),
            id.as_str().into(),
            now.into(),
            reason.into(),
        ];
        Ok(self.execute(BAN, &args).await? > 0)
    }

    /// Lifts the ban of the user `id`. Says whether there was one.
    pub async fn unban_user(
        &mut self,
        app: &AppId,
        id: &UserId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let args = [now.into(), app.as_str().into(), id.as_str().into()];
        Ok(self.execute(UNBAN, &args).await? > 0)
    }

    /// Deletes the user `id`: what the host said of it is erased, and the row stays so that the id
    /// cannot come alive again by a stray mint. The user need not be known. Says whether the mark is new.
    pub async fn delete_user(
        &mut self,
        app: &AppId,
        id: &UserId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let args = [app.as_str().into(), id.as_str().into(), now.into()];
        Ok(self.execute(DELETE, &args).await? > 0)
    }
}
