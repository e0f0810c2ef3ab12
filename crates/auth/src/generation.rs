//! Which secret is in force, and how another one takes its place.
//!
//! A deployment's secrets are counted. The database knows the fingerprint of the one in force and its number, which
//! is the `kid` of the refresh tokens that hang on it. A server that is started with a new secret, and with that one as
//! the previous, puts the signing keys under the new seal in one unit of work; refresh tokens of the previous secret
//! are taken for as long as servers are given it. Whoever still runs with it learns of the change, and answers what
//! it cannot know with `unavailable`, which clients take for weather.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatsdk_store::{ControlKind, Store, Tx};
use chatsdk_types::{Clock, Entropy, ErrorCode};

use crate::audit::Audit;
use crate::refresh_token::RefreshKeys;
use crate::secret::DeploymentSecret;
use crate::service::OpenTo;
use crate::signing::SigningKeyPair;
use crate::{Auth, AuthError};

/// The fact that holds the fingerprint of the secret in force.
const FINGERPRINT: &str = "secret_fingerprint";
/// The fact that holds its number; the first secret has none.
const GENERATION: &str = "secret_generation";
/// The fact that holds the fingerprint of the secret before it.
const PREVIOUS: &str = "secret_previous";

const ANOTHER: &str = "the deployment secret is not the one that this database was made with; give the old one back (CHATSDK_SECRET, or the file `secret` in the data directory), or give it as CHATSDK_SECRET_PREVIOUS to change it";

/// The secrets that a process was given.
#[derive(Debug)]
pub struct Secrets {
    /// The one to be in force.
    pub current: DeploymentSecret,
    /// The one that was in force before, for as long as its refresh tokens shall be taken.
    pub previous: Option<DeploymentSecret>,
}

impl From<DeploymentSecret> for Secrets {
    fn from(current: DeploymentSecret) -> Self {
        Self {
            current,
            previous: None,
        }
    }
}

/// The secret of this process, and whether it is in force still.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    number: u32,
    fingerprint: Arc<str>,
    superseded: Arc<AtomicBool>,
}

impl Generation {
    /// Finds out which secret is in force, and puts the current one in the place of the previous one where it is
    /// not. Any other secret would make every refresh token invalid and every signing key unreadable, all
    /// people signed out at once: it is refused before anything is served.
    pub(crate) async fn settle(
        store: &Store,
        secrets: &Secrets,
        to: OpenTo,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, AuthError> {
        let fingerprint = secrets.current.fingerprint();
        let previous = secrets.previous.as_ref().map(DeploymentSecret::fingerprint);
        let number = match Auth::known_secret(store).await? {
            None => {
                let known = fingerprint.clone();
                store
                    .write(move |tx| {
                        Box::pin(async move { tx.set_meta(FINGERPRINT, &known).await })
                    })
                    .await?;
                1
            }
            Some(known) if known == fingerprint => {
                let before = store.meta(PREVIOUS).await?;
                if previous.is_some() && before.is_some() && before != previous {
                    return Err(AuthError::Internal(
                        "CHATSDK_SECRET_PREVIOUS is not the secret that was in force before CHATSDK_SECRET".into(),
                    ));
                }
                number(store.meta(GENERATION).await?.as_deref())
            }
            Some(known) if Some(&known) == previous.as_ref() => match (to, &secrets.previous) {
                (OpenTo::Serve, Some(previous)) => {
                    replace(store, previous, &secrets.current, clock, entropy).await?
                }
                _ => {
                    return Err(AuthError::Internal(
                        "the deployment secret is to be changed, which `serve` does when it starts: start it first".into(),
                    ));
                }
            },
            Some(_) => return Err(AuthError::Internal(ANOTHER.into())),
        };
        Ok(Self {
            number,
            fingerprint: fingerprint.into(),
            superseded: Arc::default(),
        })
    }

    /// The keys of refresh tokens that hang on the secrets.
    pub(crate) fn refresh_keys(&self, secrets: &Secrets) -> RefreshKeys {
        RefreshKeys::of(&secrets.current, self.number, secrets.previous.as_ref())
    }

    /// [`ErrorCode::Unavailable`] where another secret was put in its place while this process ran.
    pub(crate) fn is_in_force(&self) -> Result<(), AuthError> {
        if self.superseded.load(Ordering::Acquire) {
            return Err(ErrorCode::Unavailable.into());
        }
        Ok(())
    }

    /// The same, as a unit of work sees it.
    pub(crate) async fn holds(&self, tx: &mut Tx<'_>) -> Result<(), AuthError> {
        match tx.meta(FINGERPRINT).await? {
            Some(known) if *known == *self.fingerprint => Ok(()),
            _ => Err(ErrorCode::Unavailable.into()),
        }
    }

    /// Looks which secret is in force, after it was changed.
    pub(crate) async fn look_again(&self, store: &Store) -> Result<(), AuthError> {
        let superseded = store.meta(FINGERPRINT).await?.as_deref() != Some(&*self.fingerprint);
        if superseded && !self.superseded.swap(true, Ordering::AcqRel) {
            tracing::error!(
                "the deployment secret was changed, and this node has the old one: start it again with the new one; until then it cannot answer everybody"
            );
        }
        Ok(())
    }
}

/// Sessions whose newest refresh token hangs on another secret than the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hanging {
    /// On the previous one, which was given.
    pub previous: u64,
    /// On one that was not given: they are signed out at their next refresh.
    pub lost: u64,
}

impl Auth {
    /// Which sessions, of those that somebody may come back to, hang on another secret than the current one. Looks at
    /// every session there is.
    pub async fn hanging(&self) -> Result<Hanging, AuthError> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let mut hanging = Hanging::default();
        for (kid, count) in inner.store.count_sessions_by_rt_kid(now).await? {
            if kid == inner.refresh_keys.current() {
                continue;
            }
            match inner.refresh_keys.get(&kid) {
                Some(_) => hanging.previous += count,
                None => hanging.lost += count,
            }
        }
        Ok(hanging)
    }

    /// The fingerprint of the secret in force, if the database was opened before.
    pub async fn known_secret(store: &Store) -> Result<Option<String>, AuthError> {
        Ok(store.meta(FINGERPRINT).await?)
    }
}

/// The number of a secret, as the database has it.
fn number(text: Option<&str>) -> u32 {
    text.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Puts everything that `old` seals under the seal of `new`, and answers the number of `new`.
async fn replace(
    store: &Store,
    old: &DeploymentSecret,
    new: &DeploymentSecret,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<u32, AuthError> {
    let now = clock.now();
    let unfit = |error: crate::signing::BadSigningKey| AuthError::Internal(error.to_string());
    let (opens, seals) = (old.sealing_key(), new.sealing_key());
    let mut resealed = Vec::new();
    for key in store.signing_keys().await? {
        let pair =
            SigningKeyPair::unseal(&key.kid, &key.public, &key.sealed, &opens).map_err(unfit)?;
        let sealed = pair.seal(&seals, entropy).map_err(unfit)?;
        resealed.push((key.kid, sealed));
    }
    let (before, after) = (old.fingerprint(), new.fingerprint());
    let number = store
        .write(move |tx| {
            Box::pin(async move {
                let keys = tx.signing_keys().await?;
                let kids = keys.iter().map(|key| &key.kid);
                let same = kids.eq(resealed.iter().map(|(kid, _)| kid));
                if !same || tx.meta(FINGERPRINT).await?.as_deref() != Some(&*before) {
                    // Another node was faster, or made a key: the next start finds out.
                    return Err(AuthError::from(ErrorCode::Unavailable));
                }
                for (kid, sealed) in &resealed {
                    tx.reseal_signing_key(kid, sealed).await?;
                }
                let number = number(tx.meta(GENERATION).await?.as_deref()) + 1;
                tx.set_meta(FINGERPRINT, &after).await?;
                tx.set_meta(PREVIOUS, &before).await?;
                tx.set_meta(GENERATION, &number.to_string()).await?;
                tx.append_control(ControlKind::SecretChanged, "", "", now)
                    .await?;
                let audit = Audit::new("secret.change", "operator", now);
                tx.append_audit(&audit.detail(format!("number {number}")).entry())
                    .await?;
                Ok(number)
            })
        })
        .await?;
    tracing::warn!(
        "the deployment secret was changed; refresh tokens of the previous one are taken while CHATSDK_SECRET_PREVIOUS is given"
    );
    Ok(number)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chatsdk_store::Location;
    use chatsdk_types::tokens::TokenReply;
    use chatsdk_types::{ErrorCode, ManualClock};

    use super::Secrets;
    use crate::testing::{open_with, secret, sign_in};
    use crate::{Auth, Peer, RevokeScope};

    const FIRST: &str = "the first secret of the tests, of more than 32 bytes";
    const SECOND: &str = "the second secret of the tests, of more than 32 bytes";

    /// A node with the first secret, on which ann signed in, and one beside it that changed the secret.
    async fn changed(
        directory: &Path,
        elsewhere: &Path,
        clock: &ManualClock,
    ) -> (Auth, TokenReply, Auth) {
        let at = || Location::Sqlite(directory.join("chatsdk.db"));
        let old = open_with(&secret(FIRST).into(), at(), directory, clock).await;
        let (_, ann) = sign_in(&old, "app").await;
        let secrets = Secrets {
            current: secret(SECOND),
            previous: Some(secret(FIRST)),
        };
        let new = open_with(&secrets, at(), elsewhere, clock).await;
        (old, ann, new)
    }

    /// A token can be faster than the word of the change: the old node here follows nobody.
    #[tokio::test]
    async fn a_token_of_a_secret_that_nobody_told_of_is_not_refused() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clock = ManualClock::at(1_800_000_000_000);
        let (old, ann, new) = changed(here.path(), there.path(), &clock).await;
        let peer = Peer::default();
        let before = ann.refresh_token;
        let after = new.refresh(&before, None, &peer).await.unwrap();
        let after = after.refresh_token;

        // Until the old node looks, because of a token that calls itself a later one, it knows what it refuses.
        let forged = before.replace('.', ".A");
        let refused = old.refresh(&forged, None, &peer).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::RefreshTokenInvalid);
        let refused = old
            .revoke_with_refresh_token(&after, RevokeScope::Session, &peer)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        let refused = old.refresh(&after, None, &peer).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        old.0.store.close().await;
        new.0.store.close().await;
    }

    /// Whoever changes the secret because it was stolen withdraws the signing key too, while old nodes still run.
    #[tokio::test]
    async fn an_old_node_learns_what_was_withdrawn_under_the_new_seal() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clock = ManualClock::at(1_800_000_000_000);
        let (old, ann, new) = changed(here.path(), there.path(), &clock).await;
        let peer = Peer::default();
        old.catch_up().await.unwrap();
        assert!(old.bearer(&ann.access_token).is_ok());
        new.rotate_signing_key(true, "test").await.unwrap();
        old.catch_up().await.unwrap();
        let refused = old.bearer(&ann.access_token).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::TokenExpired);

        // It makes no tokens with a key that it cannot open, and takes those that others make.
        let refused = old
            .refresh(&ann.refresh_token, None, &peer)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        let anew = new.refresh(&ann.refresh_token, None, &peer).await.unwrap();
        assert!(old.bearer(&anew.access_token).is_ok());
        // What comes after is heard too.
        new.revoke_with_refresh_token(&anew.refresh_token, RevokeScope::Session, &peer)
            .await
            .unwrap();
        old.catch_up().await.unwrap();
        let refused = old.bearer(&anew.access_token).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::TokenRevoked);
        old.0.store.close().await;
        new.0.store.close().await;
    }
}
