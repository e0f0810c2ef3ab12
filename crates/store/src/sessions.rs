//! Sessions: one row each, from the mint to the sweep.
//!
//! The hot calls, [`Store::exchange`] and [`Store::raise_proven`], go past the boxed units of work; their
//! statements stand here, their batching in `sqlite/` and `postgres/`.

use chatsdk_types::{AppId, KeyId, Lifetime, Millis, SessionId, UserId};

use crate::sql::{Arg, Row, Sql};
use crate::tx::{Locking, locking};
use crate::{Rotation, Session, Store, StoreError, Tx, User, users};

/// The columns of a session `s`, or of another name, in the order in which [`session`] reads them.
macro_rules! columns {
    () => {
        $crate::sessions::columns!("s")
    };
    ($s:literal) => {
        concat!(
            $s,
            ".id, ",
            $s,
            ".app_id, ",
            $s,
            ".user_id, ",
            $s,
            ".key_id, ",
            $s,
            ".cur, ",
            $s,
            ".prev, ",
            $s,
            ".proven, ",
            $s,
            ".rotated_at, ",
            $s,
            ".rt_exp, ",
            $s,
            ".abs_exp, ",
            $s,
            ".rt_kid, ",
            $s,
            ".access_ttl, ",
            $s,
            ".idle_ttl, ",
            $s,
            ".created_at, ",
            $s,
            ".device_id, ",
            $s,
            ".device_name, ",
            $s,
            ".revoked_at, ",
            $s,
            ".revoke_reason"
        )
    };
}
pub(crate) use columns;

const READ: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM sessions s WHERE s.id = $1"
));
pub(crate) const FOR_REFRESH: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    ", ",
    users::columns!(),
    " FROM sessions s JOIN users ON users.app_id = s.app_id AND users.id = s.user_id WHERE s.id = $1"
));
const OF_USER: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM sessions s WHERE s.app_id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL
      ORDER BY s.created_at DESC, s.id DESC"
));
const OF_DEVICE: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM sessions s
      WHERE s.app_id = $1 AND s.user_id = $2 AND s.device_id = $3 AND s.revoked_at IS NULL
          AND s.rt_exp > $4
      ORDER BY s.created_at DESC, s.id DESC"
));
const INSERT: Sql = Sql::new(
    "INSERT INTO sessions
         (id, app_id, user_id, key_id, cur, prev, proven, rotated_at, rt_exp, abs_exp, rt_kid, access_ttl,
          idle_ttl, created_at, device_id, device_name, revoked_at, revoke_reason)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
);
const COUNT: Sql = Sql::new(
    "SELECT count(*) FROM sessions WHERE app_id = $1 AND user_id = $2 AND revoked_at IS NULL",
);

const COUNT_BY_RT_KID: Sql = Sql::new(
    "SELECT rt_kid, count(*) FROM sessions
     WHERE revoked_at IS NULL AND rt_exp >= $1 AND abs_exp >= $1 GROUP BY rt_kid",
);

/// A rotation: `design.md` §5, line 6. The arguments are those of [`rotation_args`].
pub(crate) const ROTATE: Sql = Sql::new(
    "UPDATE sessions
     SET prev = $1, cur = $2, proven = $1, rotated_at = $3, rt_exp = $4, rt_kid = $5
     WHERE id = $6 AND revoked_at IS NULL AND proven <= $1 AND cur < $2
         AND CAST($7 AS BIGINT) <= CAST($1 AS BIGINT)
         AND NOT (prev = $1 AND rotated_at >= $8)",
);

/// A counter that was seen in use, and the session it belongs to.
pub(crate) const RAISE: Sql =
    Sql::new("UPDATE sessions SET proven = $1 WHERE id = $2 AND proven < $1");

/// The arguments of [`ROTATE`]. `proven` becomes the presented counter, because the row changes only
/// where it is not higher.
pub(crate) fn rotation_args(rotation: &Rotation) -> [Arg<'_>; 8] {
    [
        rotation.presented.into(),
        rotation.next.into(),
        rotation.now.into(),
        rotation.rt_exp.into(),
        rotation.rt_kid.as_str().into(),
        rotation.session.as_str().into(),
        rotation.seen.into(),
        rotation.grace_since.into(),
    ]
}

const REVOKE: Sql = Sql::new(
    "UPDATE sessions SET revoked_at = $1, revoke_reason = $2
     WHERE id = $3 AND app_id = $4 AND revoked_at IS NULL",
);
const LIVE_OF_USER: Locking = locking!(
    "SELECT id FROM sessions
     WHERE app_id = $1 AND user_id = $2 AND revoked_at IS NULL AND id <> $3 ORDER BY id"
);
const LIVE_OF_KEY: Locking = locking!(
    "SELECT id FROM sessions
     WHERE key_id = $1 AND app_id = $2 AND revoked_at IS NULL ORDER BY id"
);
const UNUSED_OF_USER: Locking = locking!(
    "SELECT id FROM sessions
     WHERE app_id = $1 AND user_id = $2 AND revoked_at IS NULL AND prev = 0 AND proven = 0
         AND created_at + access_ttl < $3
     ORDER BY id LIMIT $4"
);
const STEP: Sql = Sql::new("SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT $2");
const STALE: Locking = locking!(
    "SELECT id FROM sessions
     WHERE id > $1 AND id <= $2 AND (abs_exp < $3 OR rt_exp < $4) ORDER BY id"
);
const DELETE: Sql =
    Sql::new("DELETE FROM sessions WHERE id > $1 AND id <= $2 AND (abs_exp < $3 OR rt_exp < $4)");

/// A session and whose it is, from [`FOR_REFRESH`].
pub(crate) fn with_user(row: &mut Row) -> Result<(Session, User), StoreError> {
    Ok((session(row)?, users::user(row)?))
}

fn session(row: &mut Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.parsed()?,
        app: row.parsed()?,
        user: row.parsed()?,
        key: row
            .maybe_text()?
            .map(|text| text.parse::<KeyId>())
            .transpose()
            .map_err(|why| StoreError::InvalidRow(why.to_string()))?,
        cur: row.int()?,
        prev: row.int()?,
        proven: row.int()?,
        rotated_at: row.int()?,
        rt_exp: row.int()?,
        abs_exp: row.int()?,
        rt_kid: row.text()?,
        access_ttl: row.int_as(Lifetime::from_millis)?,
        idle_ttl: row.int_as(Lifetime::from_millis)?,
        created_at: row.int()?,
        device_id: row.maybe_text()?,
        device_name: row.maybe_text()?,
        revoked_at: row.maybe_int()?,
        revoke_reason: row.maybe_text()?,
    })
}

fn ids(rows: Vec<Row>) -> Result<Vec<SessionId>, StoreError> {
    rows.into_iter().map(|mut row| row.parsed()).collect()
}

impl Store {
    /// The session `id` and whose it is: one read of the primary rows by their keys, never of a cache.
    /// It sees every commit that was answered before it began.
    pub async fn session_for_refresh(
        &self,
        id: &SessionId,
    ) -> Result<Option<(Session, User)>, StoreError> {
        self.query_opt(FOR_REFRESH, &[id.as_str().into()])
            .await?
            .map(|mut row| with_user(&mut row))
            .transpose()
    }

    /// The session `id`, whatever its state.
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.query_opt(READ, &[id.as_str().into()])
            .await?
            .map(|mut row| session(&mut row))
            .transpose()
    }

    /// How many sessions somebody may come back to, by the name of the key that their newest refresh token was made
    /// with. Looks at every session there is.
    pub async fn count_sessions_by_rt_kid(
        &self,
        now: Millis,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = self.query(COUNT_BY_RT_KID, &[now.into()]).await?;
        let count = |mut row: Row| Ok((row.text()?, u64::try_from(row.int()?).unwrap_or(0)));
        rows.into_iter().map(count).collect()
    }

    /// The sessions of a user that were not ended, newest first.
    pub async fn sessions_of(
        &self,
        app: &AppId,
        user: &UserId,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = self
            .query(OF_USER, &[app.as_str().into(), user.as_str().into()])
            .await?;
        rows.into_iter().map(|mut row| session(&mut row)).collect()
    }
}

impl Tx<'_> {
    /// The session `id`, whatever its state, as this unit of work sees it.
    pub async fn session(&mut self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.query_opt(READ, &[id.as_str().into()])
            .await?
            .map(|mut row| session(&mut row))
            .transpose()
    }

    /// Rotates a session that was read before. `true`: the row changed. `false`: one of the conditions of
    /// [`Rotation`] did not hold, or there is no such session; the caller reads the row again.
    pub async fn rotate(&mut self, rotation: &Rotation) -> Result<bool, StoreError> {
        Ok(self.execute(ROTATE, &rotation_args(rotation)).await? > 0)
    }

    /// Adds a session; [`StoreError::Duplicate`] where its id is taken.
    pub async fn insert_session(&mut self, session: &Session) -> Result<(), StoreError> {
        self.execute(
            INSERT,
            &[
                session.id.as_str().into(),
                session.app.as_str().into(),
                session.user.as_str().into(),
                session.key.as_ref().map(KeyId::as_str).into(),
                session.cur.into(),
                session.prev.into(),
                session.proven.into(),
                session.rotated_at.into(),
                session.rt_exp.into(),
                session.abs_exp.into(),
                session.rt_kid.as_str().into(),
                session.access_ttl.as_millis().into(),
                session.idle_ttl.as_millis().into(),
                session.created_at.into(),
                session.device_id.as_deref().into(),
                session.device_name.as_deref().into(),
                session.revoked_at.into(),
                session.revoke_reason.as_deref().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// The sessions of a user on the device `device` that were not ended and have not expired, newest first.
    pub async fn live_sessions_of_device(
        &mut self,
        app: &AppId,
        user: &UserId,
        device: &str,
        now: Millis,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = self
            .query(
                OF_DEVICE,
                &[
                    app.as_str().into(),
                    user.as_str().into(),
                    device.into(),
                    now.into(),
                ],
            )
            .await?;
        rows.into_iter().map(|mut row| session(&mut row)).collect()
    }

    /// How many sessions of a user were not ended.
    pub async fn count_sessions(&mut self, app: &AppId, user: &UserId) -> Result<u64, StoreError> {
        let row = self
            .query_opt(COUNT, &[app.as_str().into(), user.as_str().into()])
            .await?;
        let count = row.map_or(Ok(0), |mut row| row.int())?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Ends the session `id` of `app`. Says whether it was alive.
    pub async fn revoke_session(
        &mut self,
        app: &AppId,
        id: &SessionId,
        reason: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let args = [
            now.into(),
            reason.into(),
            id.as_str().into(),
            app.as_str().into(),
        ];
        Ok(self.execute(REVOKE, &args).await? > 0)
    }

    /// Ends the sessions of a user, all but `except`. Answers with those that were alive, oldest first.
    pub async fn revoke_sessions_of_user(
        &mut self,
        app: &AppId,
        user: &UserId,
        except: Option<&SessionId>,
        reason: &str,
        now: Millis,
    ) -> Result<Vec<SessionId>, StoreError> {
        let except = except.map_or("", SessionId::as_str);
        let args = [app.as_str().into(), user.as_str().into(), except.into()];
        let live = ids(self.query_locked(LIVE_OF_USER, &args).await?)?;
        self.revoke_each(app, live, reason, now).await
    }

    /// Ends the sessions that the key `key` of `app` minted. Answers with those that were alive, oldest
    /// first.
    pub async fn revoke_sessions_of_key(
        &mut self,
        app: &AppId,
        key: &KeyId,
        reason: &str,
        now: Millis,
    ) -> Result<Vec<SessionId>, StoreError> {
        let args = [key.as_str().into(), app.as_str().into()];
        let live = ids(self.query_locked(LIVE_OF_KEY, &args).await?)?;
        self.revoke_each(app, live, reason, now).await
    }

    /// Makes room for a new session where a user has more than `keep`: ends, oldest first, sessions that
    /// were never refreshed nor seen in use and whose first access token has expired, until at most
    /// `keep` live ones remain or no such session does. Answers with those it ended.
    pub async fn evict_unused_sessions(
        &mut self,
        app: &AppId,
        user: &UserId,
        keep: usize,
        now: Millis,
    ) -> Result<Vec<SessionId>, StoreError> {
        let count = self.count_sessions(app, user).await?;
        let excess = count.saturating_sub(keep as u64);
        if excess == 0 {
            return Ok(Vec::new());
        }
        let args = [
            app.as_str().into(),
            user.as_str().into(),
            now.into(),
            Arg::Int(i64::try_from(excess).unwrap_or(i64::MAX)),
        ];
        let unused = ids(self.query_locked(UNUSED_OF_USER, &args).await?)?;
        self.revoke_each(app, unused, "evicted", now).await
    }

    /// Removes the sessions that nobody can come back to, one step along the primary key: those past
    /// their absolute end, and those whose refresh token expired more than `idle_grace` ago. Looks at up
    /// to `limit` sessions after `after`; answers with how many it removed, and where to go on, or
    /// `None` at the end of the table.
    pub async fn sweep_sessions(
        &mut self,
        after: Option<&SessionId>,
        limit: u32,
        now: Millis,
        idle_grace: Millis,
    ) -> Result<(u64, Option<SessionId>), StoreError> {
        let after = after.map_or("", SessionId::as_str);
        let step = ids(self
            .query(STEP, &[after.into(), i64::from(limit).into()])
            .await?)?;
        let Some(last) = step.last() else {
            return Ok((0, None));
        };
        let args = [
            after.into(),
            last.as_str().into(),
            now.into(),
            now.saturating_sub(idle_grace).into(),
        ];
        let stale = self.query_locked(STALE, &args).await?;
        let deleted = if stale.is_empty() {
            0
        } else {
            self.execute(DELETE, &args).await?
        };
        let more = step.len() == limit as usize;
        Ok((deleted, more.then(|| last.clone())))
    }

    /// Ends `sessions`, whose rows are locked in this order.
    async fn revoke_each(
        &mut self,
        app: &AppId,
        sessions: Vec<SessionId>,
        reason: &str,
        now: Millis,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut ended = Vec::with_capacity(sessions.len());
        for id in sessions {
            if self.revoke_session(app, &id, reason, now).await? {
                ended.push(id);
            }
        }
        Ok(ended)
    }
}
