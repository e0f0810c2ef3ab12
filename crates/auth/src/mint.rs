//! Minting: a host that knows who somebody is asks for tokens for them.

use chatsdk_store::{AppLifetimes, Session, UserPatch};
use chatsdk_types::tokens::TokenReply;
use chatsdk_types::{ErrorCode, Lifetime, Millis, SessionId, UserId};

use crate::audit::Audit;
use crate::keys::KeyCaller;
use crate::lifetimes::{Life, Lifetimes, Unfit};
use crate::{Auth, AuthError, Peer};

/// What a host asks for.
#[derive(Debug, Clone)]
pub struct Mint {
    /// The host's id of the person.
    pub user: UserId,
    /// What it says of them.
    pub patch: UserPatch,
    /// How long the access tokens of the session live.
    pub access_ttl: Option<Lifetime>,
    /// How long its refresh tokens live unless they are exchanged.
    pub refresh_ttl: Option<Lifetime>,
    /// How long the session lives whatever happens.
    pub session_ttl: Option<Lifetime>,
    /// The device that the session is on: a later mint for the same device, with the same lifetimes, finds it
    /// again.
    pub device_id: Option<String>,
    /// What to call the device in lists.
    pub device_name: Option<String>,
}

impl Auth {
    /// Creates or updates the user and answers tokens for a session of theirs: the live one of the
    /// given device, where there is one and it has the lifetimes asked for, or else a new one. The
    /// counter of a live session is never touched.
    pub async fn mint(
        &self,
        caller: &KeyCaller,
        mint: Mint,
        peer: &Peer,
    ) -> Result<TokenReply, AuthError> {
        let inner = &*self.0;
        self.admit(&caller.app)?;
        let now = inner.clock.now();
        inner.limits.mint_by_key(caller.key.as_str(), now)?;
        inner
            .limits
            .mint_by_user(caller.app.as_str(), mint.user.as_str(), now)?;
        let lifetimes = self.lifetimes(caller, &mint).await?;

        let session = Session {
            id: SessionId::new(now, &*inner.entropy),
            app: caller.app.clone(),
            user: mint.user,
            key: Some(caller.key.clone()),
            cur: now,
            prev: 0,
            proven: 0,
            rotated_at: now,
            rt_exp: now
                + lifetimes
                    .refresh
                    .as_millis()
                    .min(lifetimes.session.as_millis()),
            abs_exp: now + lifetimes.session.as_millis(),
            rt_kid: inner.refresh_keys.current().to_owned(),
            access_ttl: lifetimes.access,
            idle_ttl: lifetimes.refresh,
            created_at: now,
            device_id: mint.device_id,
            device_name: mint.device_name,
            revoked_at: None,
            revoke_reason: None,
        };
        let audit = Audit::new("token.mint", format!("key:{}", caller.key), now).peer(peer);
        let keep = inner.config.sessions_per_user;
        let keys = inner.refresh_keys.clone();
        let patch = mint.patch;
        let (user, session, evicted) = inner
            .store
            .write(move |tx| {
                Box::pin(async move {
                    // The key may have been revoked since it was checked: then nothing is minted that
                    // its revocation would not find.
                    let key = match &session.key {
                        Some(key) => tx.held_api_key(key).await?,
                        None => None,
                    };
                    crate::keys::still_works(key.as_ref(), now)?;
                    let user = tx
                        .upsert_user(&session.app, &session.user, &patch, now)
                        .await?;
                    if user.banned_at.is_some() || user.deleted_at.is_some() {
                        return Err(AuthError::from(ErrorCode::UserBanned));
                    }
                    let found = match &session.device_id {
                        Some(device) => {
                            tx.live_sessions_of_device(&session.app, &session.user, device, now)
                                .await?
                        }
                        None => Vec::new(),
                    };
                    let audit = audit.app(&session.app).user(&session.user);
                    if let Some(found) = found.into_iter().find(|found| {
                        keys.get(&found.rt_kid).is_some()
                            && can_be_found_again(found, &session, now)
                    }) {
                        tx.append_audit(&audit.session(&found.id).detail("again").entry())
                            .await?;
                        return Ok((user, found, false));
                    }
                    let evicted = tx
                        .evict_unused_sessions(
                            &session.app,
                            &session.user,
                            keep.saturating_sub(1),
                            now,
                        )
                        .await?;
                    tx.append_control_sessions(&session.app, &evicted, now)
                        .await?;
                    for id in &evicted {
                        let row = Audit::new("session.evict", "server", now)
                            .app(&session.app)
                            .user(&session.user)
                            .session(id);
                        tx.append_audit(&row.entry()).await?;
                    }
                    tx.insert_session(&session).await?;
                    tx.append_audit(&audit.session(&session.id).entry()).await?;
                    Ok((user, session, !evicted.is_empty()))
                })
            })
            .await?;
        if evicted {
            self.catch_up().await?;
        }
        self.reply(&session, session.cur, session.rt_exp, &user)
    }

    async fn lifetimes(&self, caller: &KeyCaller, mint: &Mint) -> Result<Lifetimes, AuthError> {
        let app = self.app(&caller.app).await?.lifetimes;
        let asked = AppLifetimes {
            access: mint.access_ttl,
            refresh: mint.refresh_ttl,
            session: mint.session_ttl,
        };
        let unfit = |unfit: Unfit| AuthError::Field {
            field: match unfit.life {
                Life::Access => "accessTokenExpiry",
                Life::Refresh => "refreshTokenExpiry",
                Life::Session => "sessionExpiry",
            },
            detail: unfit.detail,
        };
        self.0.config.lifetimes(&app, &asked).map_err(unfit)
    }
}

/// Whether a mint for a device may answer a session that is there: it has the lifetimes that were asked
/// for, and its refresh token has at least half of its life left, so that the host's user does not
/// meet its end right after signing in. Sessions of the device that may not are left alone: something on it
/// may still live by them, and would be signed out.
fn can_be_found_again(found: &Session, asked: &Session, now: Millis) -> bool {
    found.access_ttl == asked.access_ttl
        && found.idle_ttl == asked.idle_ttl
        && found.abs_exp - found.created_at == asked.abs_exp - asked.created_at
        && found.rt_exp.min(found.abs_exp) - now >= found.idle_ttl.as_millis() / 2
}
