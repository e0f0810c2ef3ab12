//! The life of signing keys: pending, so that verifiers can fetch them; active; retired, while the
//! last tokens they signed run out; removed.

use std::sync::{Arc, PoisonError};

use chatsdk_store::{ControlKind, SigningKey, StoreError};
use chatsdk_types::{Lifetime, Millis};

use crate::audit::Audit;
use crate::service::Ended;
use crate::signing::{BadSigningKey, KeyRing, SigningKeyPair, VERIFIES_FOR};
use crate::{Auth, AuthConfig, AuthError, Peer};

/// How long a new key is published before it signs: verifiers keep our key set for ten minutes, and
/// their clocks may be a minute off.
pub const PUBLISHED_BEFORE: Lifetime = Lifetime::secs(660);

/// How long verifiers may keep our key set, in seconds.
pub const JWKS_MAX_AGE: u32 = 600;

/// How old the active key may grow before a successor is made.
pub const ROTATED_EVERY: Lifetime = Lifetime::days(30);

/// How long the public half of a retired key is kept: as long as a session may live, so that its last
/// tokens are told that they have expired and not that they were never good.
const REMEMBERED_FOR: Millis = AuthConfig::MAX_SESSION_TTL.as_millis();

impl Auth {
    /// Makes the first signing key of a deployment.
    pub(crate) async fn ensure_signing_key(&self) -> Result<(), AuthError> {
        if self
            .0
            .store
            .signing_keys()
            .await?
            .iter()
            .any(|key| key.retired_at.is_none())
        {
            return Ok(());
        }
        let key = self.new_signing_key(self.0.clock.now())?;
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.insert_signing_key(&key).await?;
                    tx.append_control(
                        ControlKind::SigningKeysChanged,
                        "",
                        &key.kid,
                        key.created_at,
                    )
                    .await
                })
            })
            .await?;
        Ok(())
    }

    /// Reads the signing keys and puts them in force. Where another secret was put in place and they can be opened no
    /// more, this node signs nothing from then on, and still learns which of them are good: what is withdrawn is withdrawn
    /// here too.
    pub(crate) async fn reload_signing_keys(&self) -> Result<(), AuthError> {
        let inner = &*self.0;
        let _turn = inner.reloading.lock().await;
        let (rows, now) = (inner.store.signing_keys().await?, inner.clock.now());
        let mut ring = KeyRing::build(&rows, &inner.sealing_key, now);
        if let Err(BadSigningKey::Sealed { .. }) = ring {
            inner.generation.look_again(&inner.store).await?;
            if inner.generation.is_in_force().is_err() {
                ring = KeyRing::verifying(&rows, now);
            }
        }
        let ring = ring.map_err(|error| AuthError::Internal(error.to_string()))?;
        let withdrawn = {
            let mut current = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
            let withdrawn = ring.withdraws_more_than(&current);
            *current = Arc::new(ring);
            withdrawn
        };
        if withdrawn {
            self.announce(Ended::AccessTokens);
        }
        Ok(())
    }

    fn new_signing_key(&self, activates_at: Millis) -> Result<SigningKey, AuthError> {
        // Nobody could open it.
        self.0.generation.is_in_force()?;
        let pair = SigningKeyPair::generate(&*self.0.entropy)
            .map_err(|error| AuthError::Internal(error.to_string()))?;
        let sealed = pair
            .seal(&self.0.sealing_key, &*self.0.entropy)
            .map_err(|error| AuthError::Internal(error.to_string()))?;
        Ok(SigningKey {
            kid: pair.kid().to_owned(),
            public: pair.public().to_vec(),
            sealed,
            created_at: self.0.clock.now(),
            activates_at,
            retired_at: None,
            emergency: false,
        })
    }

    /// Makes a successor of the active signing key. It signs after [`PUBLISHED_BEFORE`]; in an
    /// emergency at once, and every token that an older key signed counts as expired: honest clients
    /// refresh, and nobody is signed out.
    pub async fn rotate_signing_key(
        &self,
        emergency: bool,
        actor: &str,
    ) -> Result<String, AuthError> {
        let now = self.0.clock.now();
        let activates_at = if emergency {
            now
        } else {
            now + PUBLISHED_BEFORE.as_millis()
        };
        let key = self.new_signing_key(activates_at)?;
        let kid = key.kid.clone();
        let action = if emergency {
            "signing_key.rotate_emergency"
        } else {
            "signing_key.rotate"
        };
        let audit = Audit::new(action, actor, now)
            .peer(&Peer::default())
            .detail(kid.clone());
        let generation = self.0.generation.clone();
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if emergency {
                        for old in tx.signing_keys().await? {
                            if !old.emergency {
                                tx.retire_signing_key(&old.kid, now, true).await?;
                                tx.append_control(
                                    ControlKind::SigningKeyWithdrawn,
                                    "",
                                    &old.kid,
                                    now,
                                )
                                .await?;
                            }
                        }
                    }
                    tx.insert_signing_key(&key).await?;
                    generation.holds(tx).await?;
                    tx.append_control(ControlKind::SigningKeysChanged, "", &key.kid, now)
                        .await?;
                    tx.append_audit(&audit.entry()).await?;
                    Ok::<_, AuthError>(())
                })
            })
            .await?;
        self.catch_up().await?;
        Ok(kid)
    }

    /// Moves keys along: lets a pending one take over when its time has come, retires its predecessors,
    /// removes what no token needs any more, and makes a successor of a key that has grown old.
    /// Called every few seconds; writes only where something is due.
    pub async fn tend_signing_keys(&self) -> Result<(), AuthError> {
        let now = self.0.clock.now();
        let rows = self.0.store.signing_keys().await?;
        let active = rows
            .iter()
            .filter(|key| key.retired_at.is_none() && key.activates_at <= now)
            .max_by_key(|key| (key.activates_at, key.kid.clone()));
        let Some(active) = active else {
            return Err(AuthError::Internal("there is no active signing key".into()));
        };
        let superseded: Vec<String> = rows
            .iter()
            .filter(|key| {
                key.retired_at.is_none() && key.activates_at <= now && key.kid != active.kid
            })
            .map(|key| key.kid.clone())
            .collect();
        let done: Vec<String> = rows
            .iter()
            .filter(|key| key.retired_at.is_some_and(|at| at + REMEMBERED_FOR < now))
            .map(|key| key.kid.clone())
            .collect();
        let successor_due = now - active.activates_at >= ROTATED_EVERY.as_millis()
            && !rows
                .iter()
                .any(|key| key.retired_at.is_none() && key.activates_at > now);
        let changed = !superseded.is_empty() || !done.is_empty();
        if changed {
            self.0
                .store
                .write(move |tx| {
                    Box::pin(async move {
                        for kid in &superseded {
                            tx.retire_signing_key(kid, now, false).await?;
                        }
                        for kid in &done {
                            tx.delete_signing_key(kid).await?;
                        }
                        tx.append_control(ControlKind::SigningKeysChanged, "", "", now)
                            .await?;
                        Ok::<_, StoreError>(())
                    })
                })
                .await?;
            self.catch_up().await?;
        } else if self.ring().active_kid() != Some(active.kid.as_str())
            || rows.iter().any(|key| self.publishes_past(key, now))
        {
            self.reload_signing_keys().await?;
        }
        if successor_due {
            self.rotate_signing_key(false, "server").await?;
        }
        Ok(())
    }

    /// Whether a key is still published though none of its tokens can be alive.
    fn publishes_past(&self, key: &SigningKey, now: Millis) -> bool {
        key.retired_at.is_some_and(|at| now > at + VERIFIES_FOR) && self.jwks().contains(&key.kid)
    }

    /// The signing keys, sealed as they are.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, AuthError> {
        Ok(self.0.store.signing_keys().await?)
    }

    /// The public halves of the keys that sign, will sign or signed tokens which may still be alive:
    /// a JSON Web Key Set.
    pub fn jwks(&self) -> String {
        self.ring().jwks()
    }
}
