//! Apps: the tenants of a deployment.

use std::sync::PoisonError;

use chatsdk_store::{App, AppLifetimes, ControlKind};
use chatsdk_types::AppId;

use crate::audit::Audit;
use crate::keys::{CreatedKey, KeyTerms};
use crate::{Auth, AuthError, Peer};

impl Auth {
    /// Creates an app and its first key in one step, so that there is never an app that nobody can call.
    pub async fn create_app(
        &self,
        name: String,
        lifetimes: AppLifetimes,
        terms: KeyTerms,
        actor: &str,
    ) -> Result<(App, CreatedKey), AuthError> {
        let now = self.0.clock.now();
        let app = App {
            id: AppId::new(now, &*self.0.entropy),
            name,
            created_at: now,
            lifetimes,
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

    /// Every app, oldest first.
    pub async fn apps(&self) -> Result<Vec<App>, AuthError> {
        Ok(self.0.store.apps().await?)
    }

    /// An app that a key or token of ours speaks for.
    pub(crate) async fn app(&self, id: &AppId) -> Result<App, AuthError> {
        let cached = self
            .0
            .apps
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned();
        if let Some(app) = cached {
            return Ok(app);
        }
        let app = self
            .0
            .store
            .app(id)
            .await?
            .ok_or_else(|| AuthError::Keys(format!("there is no app {id}")))?;
        self.0
            .apps
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), app.clone());
        Ok(app)
    }
}
