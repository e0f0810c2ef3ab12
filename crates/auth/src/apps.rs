//! Apps: the tenants of a deployment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use chatsdk_store::{App, AppLifetimes, ControlKind, StoreError};
use chatsdk_types::AppId;
use chatsdk_types::ErrorCode;

use crate::audit::Audit;
use crate::keys::{CreatedKey, KeyTerms};
use crate::lifetimes::{Life, Unfit};
use crate::{Auth, AuthError, Peer};

impl Auth {
    /// Creates an app and its first key in one step, so that there is never an app that nobody can call.
    ///
    /// # Errors
    /// [`AuthError::Field`] where nothing could be minted with these lifetimes: `access_ttl`, `refresh_ttl`, `session_ttl`.
    pub async fn create_app(
        &self,
        name: String,
        lifetimes: AppLifetimes,
        terms: KeyTerms,
        actor: &str,
    ) -> Result<(App, CreatedKey), AuthError> {
        let unfit = |unfit: Unfit| AuthError::Field {
            field: match unfit.life {
                Life::Access => "access_ttl",
                Life::Refresh => "refresh_ttl",
                Life::Session => "session_ttl",
            },
            detail: unfit.detail,
        };
        self.0
            .config
            .lifetimes(&AppLifetimes::default(), &lifetimes)
            .map_err(unfit)?;
        let now = self.0.clock.now();
        let app = App {
            id: AppId::new(now, &*self.0.entropy),
            name,
            created_at: now,
            lifetimes,
            disabled_at: None,
        };
        let (key, created) = self.new_key(&app.id, terms);
        let audit = Audit::new("app.create", actor, now)
            .app(&app.id)
            .peer(&Peer::default());
        let row = app.clone();
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.insert_app(&row).await?;
                    tx.insert_api_key(&key).await?;
                    tx.append_control(
                        ControlKind::AppChanged,
                        row.id.as_str(),
                        row.id.as_str(),
                        now,
                    )
                    .await?;
                    tx.append_control(
                        ControlKind::KeyChanged,
                        row.id.as_str(),
                        key.id.as_str(),
                        now,
                    )
                    .await?;
                    tx.append_audit(&audit.entry()).await
                })
            })
            .await?;
        self.catch_up().await?;
        Ok((app, created))
    }

    /// Refuses what gives access to an app that is disabled: to mint, and to lift a ban. What takes it away goes on,
    /// and so does what looks for what to take.
    pub fn admit(&self, app: &AppId) -> Result<(), AuthError> {
        if self.0.revocations.is_disabled(app) {
            return Err(ErrorCode::AppDisabled.into());
        }
        Ok(())
    }

    /// Has nothing of an app work any more, or all of it again (`disabled` false), and answers whether that changed
    /// anything. Sessions wait: nobody is signed out. Durable, and known to every open socket of this process,
    /// when it returns.
    pub async fn disable_app(
        &self,
        app: &AppId,
        disabled: bool,
        actor: &str,
    ) -> Result<bool, AuthError> {
        let now = self.0.clock.now();
        let (kind, action) = if disabled {
            (ControlKind::AppDisabled, "app.disable")
        } else {
            (ControlKind::AppEnabled, "app.enable")
        };
        let audit = Audit::new(action, actor, now)
            .app(app)
            .peer(&Peer::default());
        let app = app.clone();
        let changed = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let changed = if disabled {
                        tx.disable_app(&app, now).await?
                    } else {
                        tx.enable_app(&app).await?
                    };
                    if changed {
                        tx.append_control(kind, app.as_str(), app.as_str(), now)
                            .await?;
                        tx.append_audit(&audit.entry()).await?;
                    }
                    Ok::<_, StoreError>(changed)
                })
            })
            .await?;
        self.catch_up().await?;
        Ok(changed)
    }

    /// Every app, oldest first.
    pub async fn apps(&self) -> Result<Vec<App>, AuthError> {
        Ok(self.0.store.apps().await?)
    }

    /// An app that a key or token of ours speaks for.
    pub(crate) async fn app(&self, id: &AppId) -> Result<App, AuthError> {
        let apps = &self.0.apps;
        if let Some(app) = apps.get(id) {
            return Ok(app);
        }
        let before = apps.changes();
        let app = self.find_app(id).await?;
        let app = app.ok_or_else(|| AuthError::Internal(format!("there is no app {id}")))?;
        apps.keep(app.clone(), before);
        Ok(app)
    }

    /// The app `id`, if there is one.
    pub async fn find_app(&self, id: &AppId) -> Result<Option<App>, AuthError> {
        Ok(self.0.store.app(id).await?)
    }
}

/// The apps that were asked for, until they change.
#[derive(Debug, Default)]
pub(crate) struct AppCache {
    apps: RwLock<HashMap<AppId, App>>,
    /// Grows with every change: what was read before one is not kept after it.
    changes: AtomicU64,
}

impl AppCache {
    fn get(&self, id: &AppId) -> Option<App> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        apps.get(id).cloned()
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn keep(&self, app: App, read_at_change: u64) {
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        if self.changes() == read_at_change {
            apps.insert(app.id.clone(), app);
        }
    }

    pub(crate) fn forget(&self, id: &AppId) {
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        apps.remove(id);
    }
}
