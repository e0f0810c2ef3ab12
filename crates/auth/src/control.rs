//! What changed, wherever it was changed: by this process, by a command beside it, on another node.
//!
//! Every change that a serving process must know of is a row of the control log, written in the unit
//! of work that makes it. Each process reads the log behind its last row and applies what it
//! finds, in order: to memory, to open sockets, to the journal. A change of our own takes the same
//! way before it is answered, so there is one way and no order to get wrong.

use std::path::Path;

use chatsdk_store::{ControlEntry, ControlKind};
use chatsdk_types::{AppId, ErrorCode, KeyId, SessionId, UserId};
use tokio::sync::Mutex;

use crate::journal::Journal;
use crate::service::{Ended, OpenTo};
use crate::{Auth, AuthError};

/// Where this process stands in the control log.
#[derive(Debug)]
pub(crate) struct Tail {
    last: Mutex<i64>,
    journal: Journal,
    /// Whether changes are written to the journal: not by a command that found none.
    writes_journal: bool,
}

impl Tail {
    pub(crate) fn open(
        data_dir: &Path,
        to: OpenTo,
    ) -> Result<(Self, Option<Vec<ControlEntry>>), AuthError> {
        let (journal, entries) = Journal::open(data_dir).map_err(AuthError::Journal)?;
        let writes_journal = to == OpenTo::Serve || entries.is_some();
        Ok((
            Self {
                last: Mutex::new(0),
                journal,
                writes_journal,
            },
            entries,
        ))
    }
}

/// Entries are read in steps of this many, so that an app-wide revocation does not fill memory.
const STEP: u32 = 1000;

impl Auth {
    /// Reads the control log to its end and applies it. Called after each change of our own and
    /// whenever the store says that there may be more.
    pub async fn catch_up(&self) -> Result<(), AuthError> {
        let inner = &*self.0;
        let mut last = inner.tail.last.lock().await;
        loop {
            let entries = inner.store.control_since(*last, STEP).await?;
            let Some(newest) = entries.last().map(|entry| entry.seq) else {
                let head = inner.store.control_head().await?;
                if head >= *last {
                    return Ok(());
                }
                tracing::warn!("the database was replaced by an older one while it was in use");
                let journal = inner.tail.journal.clone();
                let entries = blocking(move || journal.entries()).await?;
                self.restored(&entries).await?;
                *last = head;
                continue;
            };
            for entry in &entries {
                self.apply(entry).await?;
            }
            self.write_journal(entries).await?;
            *last = newest;
        }
    }

    /// Waits for changes and applies them, until the store is closed.
    pub async fn follow(&self) {
        let mut changes = self.0.store.follow();
        while changes.changed().await {
            if let Err(error) = self.catch_up().await {
                // The next look, a moment from now, begins at the same row.
                tracing::warn!(%error, "the control log cannot be read");
            }
        }
    }

    async fn write_journal(&self, mut entries: Vec<ControlEntry>) -> Result<(), AuthError> {
        entries.retain(|entry| Journal::keeps(entry.kind));
        if entries.is_empty() || !self.0.tail.writes_journal {
            return Ok(());
        }
        let journal = self.0.tail.journal.clone();
        blocking(move || journal.append(&entries)).await
    }

    /// Begins the tail behind row `seq`, and reads it to its end.
    pub(crate) async fn catch_up_from(&self, seq: i64) -> Result<(), AuthError> {
        *self.0.tail.last.lock().await = seq;
        self.catch_up().await
    }

    pub(crate) async fn rewrite_journal(
        &self,
        change: impl FnOnce(Vec<ControlEntry>) -> Vec<ControlEntry> + Send + 'static,
    ) -> Result<(), AuthError> {
        let journal = self.0.tail.journal.clone();
        blocking(move || journal.rewrite(change)).await
    }

    async fn apply(&self, entry: &ControlEntry) -> Result<(), AuthError> {
        let inner = &*self.0;
        match entry.kind {
            ControlKind::SessionRevoked => {
                if let (Ok(app), Ok(session)) =
                    (entry.app.parse(), entry.subject.parse::<SessionId>())
                {
                    inner
                        .revocations
                        .end_session(session.clone(), inner.clock.now());
                    self.announce(Ended::Session {
                        app,
                        session,
                        code: ErrorCode::SessionRevoked,
                    });
                }
            }
            ControlKind::UserBanned => {
                if let Some((app, user)) = person(entry) {
                    inner.revocations.ban(app.clone(), user.clone());
                    self.announce(Ended::User {
                        app,
                        user,
                        code: ErrorCode::UserBanned,
                    });
                }
            }
            ControlKind::UserUnbanned => {
                if let Some((app, user)) = person(entry) {
                    inner.revocations.unban(&app, &user);
                }
            }
            ControlKind::UserDeleted => {
                if let Some((app, user)) = person(entry) {
                    inner.revocations.delete(app.clone(), user.clone());
                    self.announce(Ended::User {
                        app,
                        user,
                        code: ErrorCode::SessionRevoked,
                    });
                }
            }
            ControlKind::AppChanged => {
                if let Ok(app) = entry.subject.parse::<AppId>() {
                    inner.apps.forget(&app);
                }
            }
            ControlKind::AppDisabled => {
                if let Ok(app) = entry.subject.parse::<AppId>() {
                    inner.apps.forget(&app);
                    inner.revocations.disable(app.clone());
                    self.announce(Ended::App { app });
                }
            }
            ControlKind::AppEnabled => {
                if let Ok(app) = entry.subject.parse::<AppId>() {
                    inner.apps.forget(&app);
                    inner.revocations.enable(&app);
                }
            }
            ControlKind::KeyChanged | ControlKind::KeyRevoked | ControlKind::KeyExpires => {
                let key = entry.subject.split(' ').next().unwrap_or_default();
                if let Ok(key) = key.parse::<KeyId>() {
                    inner.keys.forget(&key);
                }
            }
            ControlKind::SigningKeysChanged | ControlKind::SigningKeyWithdrawn => {
                self.reload_signing_keys().await?;
            }
            ControlKind::SecretChanged => {
                inner.generation.look_again(&inner.store).await?;
            }
            ControlKind::Unknown => {
                tracing::warn!(
                    seq = entry.seq,
                    "a newer node announced something that this version does not know"
                );
            }
        }
        Ok(())
    }
}

fn person(entry: &ControlEntry) -> Option<(AppId, UserId)> {
    Some((entry.app.parse().ok()?, entry.subject.parse().ok()?))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, AuthError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(AuthError::Journal),
        Err(error) => Err(AuthError::Journal(std::io::Error::other(error))),
    }
}
