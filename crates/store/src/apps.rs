//! Apps: the tenants.

use chatsdk_types::{AppId, Lifetime, Millis};

use crate::sql::{Row, Sql};
use crate::{App, AppLifetimes, Store, StoreError, Tx};

const READ: Sql = Sql::new(
    "SELECT id, name, created_at, access_ttl, refresh_ttl, session_ttl, disabled_at FROM apps WHERE id = $1",
);
const ALL: Sql = Sql::new(
    "SELECT id, name, created_at, access_ttl, refresh_ttl, session_ttl, disabled_at FROM apps ORDER BY id",
);
const INSERT: Sql = Sql::new(
    "INSERT INTO apps (id, name, created_at, access_ttl, refresh_ttl, session_ttl)
     VALUES ($1, $2, $3, $4, $5, $6)",
);
const LIFETIMES: Sql =
    Sql::new("UPDATE apps SET access_ttl = $1, refresh_ttl = $2, session_ttl = $3 WHERE id = $4");
const DISABLE: Sql =
    Sql::new("UPDATE apps SET disabled_at = $1 WHERE id = $2 AND disabled_at IS NULL");
const ENABLE: Sql =
    Sql::new("UPDATE apps SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL");

fn app(mut row: Row) -> Result<App, StoreError> {
    Ok(App {
        id: row.parsed()?,
        name: row.text()?,
        created_at: row.int()?,
        lifetimes: AppLifetimes {
            access: row.maybe_int_as(Lifetime::from_millis)?,
            refresh: row.maybe_int_as(Lifetime::from_millis)?,
            session: row.maybe_int_as(Lifetime::from_millis)?,
        },
        disabled_at: row.maybe_int()?,
    })
}

impl Store {
    /// The app `id`.
    pub async fn app(&self, id: &AppId) -> Result<Option<App>, StoreError> {
        self.query_opt(READ, &[id.as_str().into()])
            .await?
            .map(app)
            .transpose()
    }

    /// Every app, oldest first.
    pub async fn apps(&self) -> Result<Vec<App>, StoreError> {
        self.query(ALL, &[]).await?.into_iter().map(app).collect()
    }
}

impl Tx<'_> {
    /// Adds an app; [`StoreError::Duplicate`] where its id is taken.
    pub async fn insert_app(&mut self, app: &App) -> Result<(), StoreError> {
        let lifetimes = &app.lifetimes;
        self.execute(
            INSERT,
            &[
                app.id.as_str().into(),
                app.name.as_str().into(),
                app.created_at.into(),
                lifetimes.access.map(Lifetime::as_millis).into(),
                lifetimes.refresh.map(Lifetime::as_millis).into(),
                lifetimes.session.map(Lifetime::as_millis).into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Has nothing of the app `id` work from `now` on. Says whether that changed anything.
    pub async fn disable_app(&mut self, id: &AppId, now: Millis) -> Result<bool, StoreError> {
        let changed = self
            .execute(DISABLE, &[now.into(), id.as_str().into()])
            .await?;
        Ok(changed > 0)
    }

    /// Has the app `id` work again. Says whether that changed anything.
    pub async fn enable_app(&mut self, id: &AppId) -> Result<bool, StoreError> {
        Ok(self.execute(ENABLE, &[id.as_str().into()]).await? > 0)
    }

    /// Replaces the lifetimes of the app `id`. Says whether there is such an app.
    pub async fn update_app_lifetimes(
        &mut self,
        id: &AppId,
        lifetimes: &AppLifetimes,
    ) -> Result<bool, StoreError> {
        let changed = self
            .execute(
                LIFETIMES,
                &[
                    lifetimes.access.map(Lifetime::as_millis).into(),
                    lifetimes.refresh.map(Lifetime::as_millis).into(),
                    lifetimes.session.map(Lifetime::as_millis).into(),
                    id.as_str().into(),
                ],
            )
            .await?;
        Ok(changed > 0)
    }
}
