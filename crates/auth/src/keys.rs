//! API keys: whose backend calls, and what it may do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chatsdk_store::{ApiKey, ControlKind, StoreError};
use chatsdk_types::{AppId, ErrorCode, KeyId, Lifetime, Millis, Scope, Scopes};
use quick_cache::sync::Cache;

use crate::api_key::{self, NewApiKey};
use crate::audit::Audit;
use crate::{Auth, AuthError, Peer};

/// How often a key is tried to be revoked where a mint that hangs holds it. Each try waits for a second, and
/// whoever queues behind it has its turn in between.
const ATTEMPTS: u32 = 5;

/// A backend that proved which key it holds.
#[derive(Debug, Clone)]
pub struct KeyCaller {
    /// The key.
    pub key: KeyId,
    /// The app that it speaks for.
    pub app: AppId,
}

/// Whether a key that was presented works: it is there, was not revoked, and has not expired.
pub(crate) fn still_works(key: Option<&ApiKey>, now: Millis) -> Result<(), ErrorCode> {
    let key = key.ok_or(ErrorCode::ApiKeyInvalid)?;
    if key.revoked_at.is_some() {
        return Err(ErrorCode::ApiKeyRevoked);
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Err(ErrorCode::ApiKeyExpired);
    }
    Ok(())
}

/// What the database says of a key id, for half a minute: the control log says sooner if it changes.
#[derive(Debug)]
pub(crate) struct KeyCache {
    known: Cache<KeyId, Known>,
    used: Mutex<HashMap<KeyId, Millis>>,
    /// Grows with every change: what was read before one is not kept after it.
    changes: AtomicU64,
}

#[derive(Debug, Clone)]
struct Known {
    /// `None` of an id that there is no key of, so that guessing does not reach the database.
    key: Option<ApiKey>,
    read_at: Millis,
}

const KEPT: Millis = 30_000;

impl Default for KeyCache {
    fn default() -> Self {
        Self {
            known: Cache::new(4096),
            used: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }
}

impl KeyCache {
    pub(crate) fn forget(&self, key: &KeyId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.known.remove(key);
    }
}

/// A key that was just made. Its text is shown once and is nowhere kept.
#[derive(Debug)]
pub struct CreatedKey {
    /// The part that names it.
    pub id: KeyId,
    /// The whole key.
    pub text: api_key::KeyText,
}

/// What a new key may do and for how long.
#[derive(Debug, Clone)]
pub struct KeyTerms {
    /// `live` or `test`.
    pub env: api_key::Env,
    /// What to call it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// How long it works; for ever if nothing is said.
    pub expires_in: Option<Lifetime>,
}

/// What revoking a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRevoked {
    /// Whether it worked until now.
    pub revoked: bool,
    /// How many sessions ended.
    pub ended: usize,
}

impl Auth {
    /// Who presents this key, if it is a key of ours that works and has `scope`.
    pub async fn authenticate_key(
        &self,
        presented: &str,
        scope: Scope,
        peer: &Peer,
    ) -> Result<KeyCaller, AuthError> {
        let Ok(parsed) = api_key::parse(presented) else {
            return Err(self.refuse(ErrorCode::ApiKeyInvalid, peer));
        };
        let now = self.0.clock.now();
        let found = self.find_key(&parsed.id, now).await?;
        let Some(key) = found.filter(|key| api_key::matches(&key.hash, &parsed.hash)) else {
            return Err(self.refuse(ErrorCode::ApiKeyInvalid, peer));
        };
        // Whoever has the secret may hear what became of the key.
        still_works(Some(&key), now).map_err(|code| self.refuse(code, peer))?;
        self.0
            .keys
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.id.clone(), now);
        if !key.scopes.contains(scope) {
            return Err(AuthError::Scope(scope));
        }
        Ok(KeyCaller {
            key: key.id,
            app: key.app,
        })
    }

    async fn find_key(&self, id: &KeyId, now: Millis) -> Result<Option<ApiKey>, AuthError> {
        let cache = &self.0.keys.known;
        if let Some(known) = cache.get(id)
            && now.abs_diff(known.read_at) < KEPT as u64
        {
            return Ok(known.key);
        }
        let before = self.0.keys.changes.load(Ordering::Acquire);
        let key = self.0.store.api_key(id).await?;
        let known = Known {
            key: key.clone(),
            read_at: now,
        };
        cache.insert(id.clone(), known);
        if self.0.keys.changes.load(Ordering::Acquire) != before {
            cache.remove(id);
        }
        Ok(key)
    }

    /// Writes when keys were last used. Called once a minute, so that a key is one write a minute.
    pub async fn flush_key_use(&self) -> Result<(), AuthError> {
        let used = std::mem::take(
            &mut *self
                .0
                .keys
                .used
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if !used.is_empty() {
            let used: Vec<_> = used.into_iter().collect();
            let written = used.clone();
            let outcome: Result<(), StoreError> = self
                .0
                .store
                .write(move |tx| Box::pin(async move { tx.touch_api_keys(written).await }))
                .await;
            if let Err(error) = outcome {
                // Kept for the next time, unless a key was used again meanwhile.
                let mut kept = self
                    .0
                    .keys
                    .used
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                for (key, at) in used {
                    kept.entry(key).or_insert(at);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Makes a key for an app; `None` where there is no such app.
    pub async fn create_key(
        &self,
        app: &AppId,
        terms: KeyTerms,
        actor: &str,
        peer: &Peer,
    ) -> Result<Option<CreatedKey>, AuthError> {
        if self.0.store.app(app).await?.is_none() {
            return Ok(None);
        }
        let (row, created) = self.new_key(app, terms);
        let now = row.created_at;
        let audit = Audit::new("key.create", actor, now)
            .app(app)
            .peer(peer)
            .detail(row.id.to_string());
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.insert_api_key(&row).await?;
                    tx.append_control(
                        ControlKind::KeyChanged,
                        row.app.as_str(),
                        row.id.as_str(),
                        now,
                    )
                    .await?;
                    tx.append_audit(&audit.entry()).await
                })
            })
            .await?;
        self.catch_up().await?;
        Ok(Some(created))
    }

    pub(crate) fn new_key(&self, app: &AppId, terms: KeyTerms) -> (ApiKey, CreatedKey) {
        let now = self.0.clock.now();
        let NewApiKey {
            id,
            text,
            hash,
            last4,
        } = api_key::generate(terms.env, &*self.0.entropy);
        let row = ApiKey {
            id: id.clone(),
            app: app.clone(),
            env: terms.env.as_str().into(),
            hash,
            last4,
            name: terms.name,
            scopes: terms.scopes,
            created_at: now,
            expires_at: terms.expires_in.map(|life| now + life.as_millis()),
            revoked_at: None,
            last_used_at: None,
        };
        (row, CreatedKey { id, text })
    }

    /// Makes a successor of a key with the same scopes, and lets the old one work for `overlap` more, so that
    /// backends can be changed over one by one. The successor works for `expires_in`, or for ever: what
    /// is left of the old one's time says nothing of how long it was made for. `None` where there is no
    /// such working key.
    pub async fn rotate_key(
        &self,
        id: &KeyId,
        overlap: Lifetime,
        expires_in: Option<Lifetime>,
        actor: &str,
        peer: &Peer,
    ) -> Result<Option<CreatedKey>, AuthError> {
        let now = self.0.clock.now();
        let Some(old) = self.0.store.api_key(id).await? else {
            return Ok(None);
        };
        let terms = KeyTerms {
            env: old.env.parse().map_err(|_| {
                AuthError::Internal(format!("the key {id} has an unknown environment"))
            })?,
            name: old.name,
            scopes: old.scopes,
            expires_in,
        };
        let (row, created) = self.new_key(&old.app, terms);
        let audit = Audit::new("key.rotate", actor, now)
            .app(&old.app)
            .peer(peer)
            .detail(format!("{id} -> {}", row.id));
        let id = old.id;
        let rotated = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    // Looked at here, so that a key which is being revoked gets no successor.
                    tx.hold_all_api_keys().await?;
                    let held = tx.held_api_key(&id).await?;
                    let Some(held) = held.filter(|key| still_works(Some(key), now).is_ok()) else {
                        return Ok(false);
                    };
                    let ends = held.expires_at.unwrap_or(Millis::MAX);
                    let ends = ends.min(now + overlap.as_millis());
                    tx.insert_api_key(&row).await?;
                    tx.expire_api_key(&id, ends).await?;
                    tx.append_control(
                        ControlKind::KeyChanged,
                        row.app.as_str(),
                        row.id.as_str(),
                        now,
                    )
                    .await?;
                    tx.append_control(
                        ControlKind::KeyExpires,
                        row.app.as_str(),
                        &format!("{id} {ends}"),
                        now,
                    )
                    .await?;
                    tx.append_audit(&audit.entry()).await?;
                    Ok::<_, StoreError>(true)
                })
            })
            .await?;
        self.catch_up().await?;
        Ok(rotated.then_some(created))
    }

    /// Revokes a key; `None` where there is no such key. With `sessions`, every session that was minted
    /// with it ends as well, also where the key was revoked before: the answer to a stolen key.
    pub async fn revoke_key(
        &self,
        id: &KeyId,
        sessions: bool,
        actor: &str,
        peer: &Peer,
    ) -> Result<Option<KeyRevoked>, AuthError> {
        let now = self.0.clock.now();
        let Some(key) = self.0.store.api_key(id).await? else {
            return Ok(None);
        };
        let audit = Audit::new("key.revoke", actor, now)
            .app(&key.app)
            .peer(peer);
        let mut attempt = 1;
        let done = loop {
            let ended = self.end_key(&key, sessions, audit.clone(), now).await;
            match ended {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => attempt += 1,
                ended => break ended?,
            }
        };
        self.catch_up().await?;
        Ok(Some(done))
    }

    async fn end_key(
        &self,
        key: &ApiKey,
        sessions: bool,
        audit: Audit,
        now: Millis,
    ) -> Result<KeyRevoked, StoreError> {
        let (app, id) = (key.app.clone(), key.id.clone());
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    // The key first: a mint that holds it is waited for, and its session is found below.
                    let revoked = tx.revoke_api_key(&app, &id, now).await?;
                    if revoked {
                        tx.append_control(ControlKind::KeyRevoked, app.as_str(), id.as_str(), now)
                            .await?;
                    }
                    let ended = if sessions {
                        tx.revoke_sessions_of_key(&app, &id, "api_key_revoked", now)
                            .await?
                    } else {
                        Vec::new()
                    };
                    tx.append_control_sessions(&app, &ended, now).await?;
                    if revoked || !ended.is_empty() {
                        let detail = format!("{id}, and {} sessions", ended.len());
                        tx.append_audit(&audit.detail(detail).entry()).await?;
                    }
                    let ended = ended.len();
                    Ok(KeyRevoked { revoked, ended })
                })
            })
            .await
    }

    /// The keys of an app, without their secrets.
    pub async fn keys(&self, app: &AppId) -> Result<Vec<ApiKey>, AuthError> {
        Ok(self.0.store.api_keys(app).await?)
    }
}
