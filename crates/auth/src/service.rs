//! The service that the use cases are methods of.

use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use chatsdk_store::Store;
use chatsdk_types::{AppId, Clock, Entropy, ErrorCode, Millis, SessionId, UserId};

use crate::apps::AppCache;
use crate::control::Tail;
use crate::flights::Flights;
use crate::generation::{Generation, Secrets};
use crate::keys::KeyCache;
use crate::limits::Limits;
use crate::refresh_token::{self, RefreshClaims, RefreshKeys};
use crate::revocations::Revocations;
use crate::secret::SealingKey;
use crate::seen::Seen;
use crate::signing::KeyRing;
use crate::verified::VerifiedTokens;
use crate::{AuthConfig, AuthError};

/// Something that open sockets must hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// One session.
    Session {
        /// The app that it belongs to.
        app: AppId,
        /// Its id.
        session: SessionId,
        /// Why: `session_revoked` unless the caller knows better.
        code: ErrorCode,
    },
    /// Everything of one person.
    User {
        /// The person's app.
        app: AppId,
        /// The person.
        user: UserId,
        /// Why: `user_banned` or `session_revoked`.
        code: ErrorCode,
    },
    /// Everything of one app, until it is enabled again: nobody is signed out.
    App {
        /// The app.
        app: AppId,
    },
    /// Every access token of the deployment counts as expired: sockets must come back with fresh
    /// ones, nobody is signed out.
    AccessTokens,
}

type Listener = Box<dyn Fn(Ended) + Send + Sync>;

/// Tokens, sessions and keys of a deployment. Clones are handles of the same service.
#[derive(Debug, Clone)]
pub struct Auth(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) config: AuthConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) refresh_keys: RefreshKeys,
    pub(crate) sealing_key: SealingKey,
    pub(crate) generation: Generation,
    pub(crate) ring: RwLock<Arc<KeyRing>>,
    /// One reload of the ring at a time, so that no older one is put over a newer one.
    pub(crate) reloading: tokio::sync::Mutex<()>,
    pub(crate) seen: Seen,
    pub(crate) verified: VerifiedTokens,
    pub(crate) revocations: Revocations,
    pub(crate) keys: KeyCache,
    pub(crate) apps: AppCache,
    pub(crate) flights: Flights,
    pub(crate) limits: Limits,
    pub(crate) tail: Tail,
    pub(crate) failures: crate::audit::Failures,
    listener: OnceLock<Listener>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What the service is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTo {
    /// To serve: this process begins a journal where there is none, and says what a restore without one
    /// leaves unknown.
    Serve,
    /// For a command beside a server, or before there is one: it begins no journal and leaves the mark of a
    /// restore to the server. What it changes stands in the database's own log, from which every server
    /// carries it into its journal.
    Command,
}

/// What opening the service found out, for the log of the process that opened it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// How many revocations were carried into a database that is older than the journal.
    pub replayed: usize,
    /// The database was restored and there is no journal: revocations made from this moment on,
    /// until now, are unknown.
    pub unknown_since: Option<Millis>,
    /// There is no journal beside a database that has a past. On a node that is new this is as it
    /// should be; if the database was restored, what was revoked since is unknown.
    pub journal_missing: bool,
}

impl Auth {
    /// Opens the service on a migrated store: checks that the secret is the one that its keys are
    /// sealed with, or follows it ([`Secrets`]), makes the first signing key, carries revocations over from the journal in
    /// `data_dir`, and loads what every request asks. `to` says who takes note of what is unknown.
    pub async fn open(
        store: Store,
        config: AuthConfig,
        secrets: &Secrets,
        data_dir: &Path,
        to: OpenTo,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<(Self, Opened), AuthError> {
        let generation = Generation::settle(&store, secrets, to, &*clock, &*entropy).await?;
        let (tail, journal) = Tail::open(data_dir, to)?;
        let limits = Limits::new(config.rate_limits);
        let auth = Self(Arc::new(Inner {
            store,
            config,
            clock,
            entropy,
            refresh_keys: generation.refresh_keys(secrets),
            sealing_key: secrets.current.sealing_key(),
            generation,
            ring: RwLock::new(Arc::new(KeyRing::empty())),
            reloading: tokio::sync::Mutex::default(),
            seen: Seen::default(),
            verified: VerifiedTokens::default(),
            revocations: Revocations::default(),
            keys: KeyCache::default(),
            apps: AppCache::default(),
            flights: Flights::default(),
            limits,
            tail,
            failures: crate::audit::Failures::default(),
            listener: OnceLock::new(),
        }));
        auth.ensure_signing_key().await?;
        auth.reload_signing_keys().await?;
        let opened = auth.recall(journal, to).await?;
        Ok((auth, opened))
    }

    /// What a refresh token says; `None` of what is forged, and [`ErrorCode::Unavailable`] where this node cannot
    /// tell, because the deployment's secret was changed.
    pub(crate) async fn refresh_claims(
        &self,
        token: &str,
    ) -> Result<Option<RefreshClaims>, AuthError> {
        let inner = &*self.0;
        if let Ok(claims) = refresh_token::decode(token, &inner.refresh_keys) {
            return Ok(Some(claims));
        }
        // The token of a change can be here before the word of it.
        if refresh_token::is_of_later_key(token, &inner.refresh_keys) {
            inner.generation.look_again(&inner.store).await?;
        }
        inner.generation.is_in_force().map(|()| None)
    }

    /// Writes what is only in memory and closes the store.
    pub async fn close(&self) -> Result<(), AuthError> {
        let flushed = self
            .flush_seen()
            .await
            .and(self.flush_key_use().await)
            .and(self.flush_failures().await);
        self.0.store.close().await;
        flushed
    }

    /// Who is told of endings. The first listener stays.
    pub fn on_ended(&self, listener: impl Fn(Ended) + Send + Sync + 'static) {
        if self.0.listener.set(Box::new(listener)).is_err() {
            tracing::warn!("endings already have a listener; the second one is not called");
        }
    }

    pub(crate) fn announce(&self, ended: Ended) {
        if let Some(listener) = self.0.listener.get() {
            listener(ended);
        }
    }

    /// What the operator decided.
    pub fn config(&self) -> &AuthConfig {
        &self.0.config
    }

    /// The store that the service stands on.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The current moment, by the service's clock.
    pub fn now(&self) -> Millis {
        self.0.clock.now()
    }

    /// A session or request id and the like are made with this.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.0.entropy
    }

    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}
