//! Putting people out, and letting them in again.

use chatsdk_store::{ControlKind, StoreError};
use chatsdk_types::{AppId, UserId};

use crate::audit::Audit;
use crate::{Auth, AuthError, Peer};

/// What can be done to a person.
#[derive(Debug, Clone)]
pub enum UserChange {
    /// Nothing of theirs works until it is lifted; their sessions wait. Also of one who was never
    /// minted for.
    Ban {
        /// The operator's word on it, for lists and the audit log.
        reason: Option<String>,
    },
    /// Lifts a ban.
    Unban,
    /// Ends every session for good; the id cannot be minted for again.
    Delete,
}

impl Auth {
    /// Changes a person's standing, and answers whether that changed anything. Durable, and known
    /// to every open socket of this process, when it returns.
    pub async fn change_user(
        &self,
        app: &AppId,
        user: &UserId,
        change: UserChange,
        actor: &str,
        peer: &Peer,
    ) -> Result<bool, AuthError> {
        let now = self.0.clock.now();
        let (kind, action) = match change {
            UserChange::Ban { .. } => (ControlKind::UserBanned, "user.ban"),
            UserChange::Unban => (ControlKind::UserUnbanned, "user.unban"),
            UserChange::Delete => (ControlKind::UserDeleted, "user.delete"),
        };
        let audit = Audit::new(action, actor, now)
            .app(app)
            .user(user)
            .peer(peer);
        let (app, user) = (app.clone(), user.clone());
        let changed = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let mut audit = audit;
                    let changed = match change {
                        UserChange::Ban { reason } => {
                            audit = audit.detail(reason.clone().unwrap_or_default());
                            tx.ban_user(&app, &user, reason.as_deref(), now).await?
                        }
                        UserChange::Unban => tx.unban_user(&app, &user, now).await?,
                        UserChange::Delete => {
                            // The user first: a mint that holds the row is waited for, and its session is
                            // found below.
                            let deleted = tx.delete_user(&app, &user, now).await?;
                            let ended = tx
                                .revoke_sessions_of_user(&app, &user, None, "user_deleted", now)
                                .await?;
                            tx.append_control_sessions(&app, &ended, now).await?;
                            deleted
                        }
                    };
                    if changed {
                        tx.append_control(kind, app.as_str(), user.as_str(), now)
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

    /// A person of an app, if it was ever minted for or banned.
    pub async fn user(
        &self,
        app: &AppId,
        user: &UserId,
    ) -> Result<Option<chatsdk_store::User>, AuthError> {
        Ok(self.0.store.user(app, user).await?)
    }
}
