//! Ending sessions: a person's own, and a host's.

use chatsdk_store::{Session, StoreError, User};
use chatsdk_types::tokens::SessionView;
use chatsdk_types::{AppId, ErrorCode, Millis, SessionId, UserId};

use crate::access::AccessClaims;
use crate::audit::Audit;
use crate::{Auth, AuthError, Peer};

/// How much a person ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RevokeScope {
    /// This device.
    #[default]
    Session,
    /// Every other device.
    Others,
    /// Every device.
    User,
}

/// Whose sessions, and which of them, [`Auth::end_sessions`] ends.
#[derive(Debug, Clone)]
pub enum Which {
    /// One.
    One(SessionId),
    /// All of a user, but for one.
    OfUser {
        /// The user.
        user: UserId,
        /// The one that stays.
        except: Option<SessionId>,
    },
}

impl Auth {
    /// Ends sessions with a refresh token as the proof. Ending this device works with any authentic token,
    /// however old; what is not authentic ends nothing and is answered the same. Ending other
    /// devices takes a token that would be refreshed now.
    pub async fn revoke_with_refresh_token(
        &self,
        token: &str,
        scope: RevokeScope,
        peer: &Peer,
    ) -> Result<(), AuthError> {
        let inner = &*self.0;
        let Some(claims) = self.refresh_claims(token).await? else {
            return match scope {
                RevokeScope::Session => Ok(()),
                RevokeScope::Others | RevokeScope::User => {
                    Err(self.refuse(ErrorCode::RefreshTokenInvalid, peer))
                }
            };
        };
        let row: Option<(Session, User)> = inner.store.session_for_refresh(&claims.sid).await?;
        let Some((session, user)) = row else {
            return match scope {
                RevokeScope::Session => Ok(()),
                RevokeScope::Others | RevokeScope::User => {
                    Err(ErrorCode::RefreshTokenInvalid.into())
                }
            };
        };
        if scope != RevokeScope::Session {
            // An old counter is no proof, and neither is it evidence: nothing was refreshed.
            if let Some(code) = self.standing(&claims, &session, &user) {
                return Err(code.into());
            }
        }
        let actor = format!("user:{}", session.user);
        self.end_sessions(
            &session.app,
            which(scope, &session.user, session.id),
            "logout",
            &actor,
            peer,
        )
        .await?;
        Ok(())
    }

    /// Ends sessions with an access token as the proof.
    pub async fn revoke_with_access_token(
        &self,
        claims: &AccessClaims,
        scope: RevokeScope,
        peer: &Peer,
    ) -> Result<(), AuthError> {
        let actor = format!("user:{}", claims.sub);
        self.end_sessions(
            &claims.client_id,
            which(scope, &claims.sub, claims.sid.clone()),
            "logout",
            &actor,
            peer,
        )
        .await?;
        Ok(())
    }

    /// Ends sessions of an app, and answers how many were alive. Durable, and known to every open socket
    /// of this process, when it returns.
    pub async fn end_sessions(
        &self,
        app: &AppId,
        which: Which,
        reason: &'static str,
        actor: &str,
        peer: &Peer,
    ) -> Result<usize, AuthError> {
        let now = self.0.clock.now();
        let app = app.clone();
        let audit = Audit::new("session.revoke", actor, now)
            .app(&app)
            .peer(peer)
            .detail(reason);
        let ended = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let mut audit = audit;
                    let ended = match which {
                        Which::One(session) => {
                            audit = audit.session(&session);
                            if tx.revoke_session(&app, &session, reason, now).await? {
                                vec![session]
                            } else {
                                vec![]
                            }
                        }
                        Which::OfUser { user, except } => {
                            audit = audit.user(&user);
                            tx.revoke_sessions_of_user(&app, &user, except.as_ref(), reason, now)
                                .await?
                        }
                    };
                    if !ended.is_empty() {
                        tx.append_control_sessions(&app, &ended, now).await?;
                        tx.append_audit(&audit.entry()).await?;
                    }
                    Ok::<_, StoreError>(ended.len())
                })
            })
            .await?;
        // Also where nothing changed: somebody else may have ended them a moment ago, and what is
        // answered as ended must be ended here as well.
        self.catch_up().await?;
        Ok(ended)
    }

    /// The session `id` of a user of an app, dead or alive.
    pub async fn find_session(
        &self,
        app: &AppId,
        user: &UserId,
        id: &SessionId,
    ) -> Result<Option<Session>, AuthError> {
        let found = self.0.store.session(id).await?;
        Ok(found.filter(|session| session.app == *app && session.user == *user))
    }

    /// The live sessions of a user, newest first.
    pub async fn sessions(
        &self,
        app: &AppId,
        user: &UserId,
        current: Option<&SessionId>,
    ) -> Result<Vec<SessionView>, AuthError> {
        let now = self.0.clock.now();
        let sessions = self.0.store.sessions_of(app, user).await?;
        Ok(sessions
            .into_iter()
            .filter(|session| now <= session.rt_exp.min(session.abs_exp))
            .map(|session| SessionView {
                current: current == Some(&session.id),
                id: session.id.to_string(),
                device_id: session.device_id,
                device_name: session.device_name,
                created_at: session.created_at,
                last_used_at: coarse(session.rotated_at).max(session.created_at),
                expires_at: session.abs_exp,
            })
            .collect())
    }
}

fn which(scope: RevokeScope, user: &UserId, session: SessionId) -> Which {
    match scope {
        RevokeScope::Session => Which::One(session),
        RevokeScope::Others => Which::OfUser {
            user: user.clone(),
            except: Some(session),
        },
        RevokeScope::User => Which::OfUser {
            user: user.clone(),
            except: None,
        },
    }
}

/// The day of a moment.
fn coarse(at: Millis) -> Millis {
    const DAY: Millis = 86_400_000;
    at - at.rem_euclid(DAY)
}
