//! What changed, wherever it was changed: by this process, by a command beside it, on another node.
//!
//! Every change that a serving process must know of is a row of the control log, written in the unit
//! of work that makes it. Each process reads the log behind its last row and applies what it
//! finds, in order: to memory, to open sockets, to the journal. A change of our own takes the same
//! way before it is answered, so there is one way and no order to get wrong.

use std::collections::HashSet;
use std::path::Path;
use std::sync::PoisonError;

use chatsdk_store::{ControlEntry, ControlKind, UserPatch};
use chatsdk_types::{AppId, ErrorCode, KeyId, Millis, SessionId, UserId};
use tokio::sync::Mutex;

use crate::journal::Journal;
use crate::service::{Ended, Opened};
use crate::{Auth, AuthConfig, AuthError};

/// Where this process stands in the control log.
#[derive(Debug)]
pub(crate) struct Tail {
    last: Mutex<i64>,
    journal: Journal,
}

impl Tail {
    pub(crate) fn open(data_dir: &Path) -> Result<(Self, Option<Vec<ControlEntry>>), AuthError> {
        let (journal, entries) = Journal::open(data_dir).map_err(AuthError::Journal)?;
        Ok((
            Self {
                last: Mutex::new(0),
                journal,
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
                return Ok(());
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
        if entries.is_empty() {
            return Ok(());
        }
        let journal = self.0.tail.journal.clone();
        blocking(move || journal.append(&entries)).await
    }

    async fn rewrite_journal(
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
                    inner
                        .apps
                        .write()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&app);
                }
            }
            ControlKind::KeyChanged | ControlKind::KeyRevoked => {
                if let Ok(key) = entry.subject.parse::<KeyId>() {
                    inner.keys.forget(&key);
                }
            }
            ControlKind::SigningKeysChanged => self.reload_signing_keys().await?,
        }
        Ok(())
    }

    /// Loads at the start what every request asks, and reconciles the journal with the database.
    pub(crate) async fn recall(
        &self,
        journal: Option<Vec<ControlEntry>>,
    ) -> Result<Opened, AuthError> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let mut opened = Opened::default();
        let backed_up_at: Option<Millis> = inner
            .store
            .meta("backed_up_at")
            .await?
            .and_then(|text| text.parse().ok());
        let head = inner.store.control_head().await?;

        if let Some(entries) = journal {
            let newest = entries.iter().map(|entry| entry.seq).max().unwrap_or(0);
            if head < newest || backed_up_at.is_some() {
                opened.replayed = self.replay(&entries).await?;
                // The numbers belong to a database that is gone.
                self.rewrite_journal(move |entries| {
                    let renumbered = entries
                        .into_iter()
                        .map(|entry| ControlEntry { seq: 0, ..entry });
                    recent(renumbered, now)
                })
                .await?;
            } else {
                // What commands and other nodes did while this process was away.
                let missed = inner.store.control_since(newest, u32::MAX).await?;
                self.write_journal(missed).await?;
                if entries.iter().any(|entry| expired(entry, now)) {
                    self.rewrite_journal(move |entries| recent(entries, now))
                        .await?;
                }
            }
        } else {
            // From here on everything is known.
            let known = inner.store.control_since(0, u32::MAX).await?;
            opened.unknown_since = backed_up_at;
            opened.journal_missing = known.iter().any(|entry| Journal::keeps(entry.kind));
            self.rewrite_journal(move |mut entries| {
                entries.extend(known.into_iter().filter(|entry| Journal::keeps(entry.kind)));
                recent(entries, now)
            })
            .await?;
        }
        if backed_up_at.is_some() {
            inner
                .store
                .write(move |tx| Box::pin(async move { tx.delete_meta("backed_up_at").await }))
                .await?;
        }

        let mut last = inner.tail.last.lock().await;
        *last = inner.store.control_head().await?;
        let since = now - AuthConfig::MAX_ACCESS_TTL.as_millis() - 60_000;
        for entry in inner.store.control_after_time(since).await? {
            if entry.kind == ControlKind::SessionRevoked
                && let Ok(session) = entry.subject.parse()
            {
                inner.revocations.end_session(session, entry.at);
            }
        }
        for (app, user) in inner.store.banned_users().await? {
            inner.revocations.ban(app, user);
        }
        for (app, user) in inner.store.deleted_users().await? {
            inner.revocations.delete(app, user);
        }
        Ok(opened)
    }

    /// Carries the entries of the journal into the database. Each is a condition on what is there, so
    /// that carrying them twice changes nothing; of bans and their lifting the last word counts.
    async fn replay(&self, entries: &[ControlEntry]) -> Result<usize, AuthError> {
        let now = self.0.clock.now();
        // A data directory that got a new database keeps the journal of the old one; its apps are not ours.
        let apps: HashSet<String> = self
            .0
            .store
            .apps()
            .await?
            .into_iter()
            .map(|app| app.id.to_string())
            .collect();
        let mut last_words: HashSet<(&str, &str)> = HashSet::new();
        let mut settled = Vec::new();
        for entry in entries.iter().rev() {
            let is_ban = matches!(
                entry.kind,
                ControlKind::UserBanned | ControlKind::UserUnbanned
            );
            if !apps.contains(&entry.app) {
                continue;
            }
            if !is_ban || last_words.insert((&entry.app, &entry.subject)) {
                settled.push(entry.clone());
            }
        }
        let mut replayed = 0;
        for chunk in settled.chunks(256) {
            let chunk = chunk.to_vec();
            replayed += self
                .0
                .store
                .write(move |tx| {
                    Box::pin(async move {
                        let mut count = 0;
                        for entry in &chunk {
                            let Ok(app) = entry.app.parse::<AppId>() else {
                                continue;
                            };
                            let changed = match entry.kind {
                                ControlKind::SessionRevoked => match entry.subject.parse() {
                                    Ok(session) => {
                                        tx.revoke_session(&app, &session, "journal", now).await?
                                    }
                                    Err(_) => false,
                                },
                                ControlKind::UserBanned
                                | ControlKind::UserUnbanned
                                | ControlKind::UserDeleted => {
                                    let Ok(user) = entry.subject.parse::<UserId>() else {
                                        continue;
                                    };
                                    match entry.kind {
                                        ControlKind::UserBanned => {
                                            tx.ban_user(&app, &user, None, now).await?
                                        }
                                        ControlKind::UserUnbanned => {
                                            tx.unban_user(&app, &user, now).await?
                                        }
                                        // The mark has to stay, also of one who joined after the backup.
                                        _ => {
                                            tx.upsert_user(&app, &user, &UserPatch::default(), now)
                                                .await?;
                                            tx.delete_user(&app, &user, now).await?
                                        }
                                    }
                                }
                                ControlKind::KeyRevoked => match entry.subject.parse() {
                                    Ok(key) => tx.revoke_api_key(&app, &key, now).await?,
                                    Err(_) => false,
                                },
                                ControlKind::AppChanged
                                | ControlKind::KeyChanged
                                | ControlKind::SigningKeysChanged => false,
                            };
                            if changed {
                                tx.append_control(entry.kind, &entry.app, &entry.subject, now)
                                    .await?;
                                count += 1;
                            }
                        }
                        Ok::<_, chatsdk_store::StoreError>(count)
                    })
                })
                .await?;
        }
        Ok(replayed)
    }
}

fn person(entry: &ControlEntry) -> Option<(AppId, UserId)> {
    Some((entry.app.parse().ok()?, entry.subject.parse().ok()?))
}

fn expired(entry: &ControlEntry, now: Millis) -> bool {
    entry.at < now - AuthConfig::MAX_SESSION_TTL.as_millis()
}

fn recent(entries: impl IntoIterator<Item = ControlEntry>, now: Millis) -> Vec<ControlEntry> {
    entries
        .into_iter()
        .filter(|entry| !expired(entry, now))
        .collect()
}

async fn blocking(
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), AuthError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(AuthError::Journal),
        Err(error) => Err(AuthError::Journal(std::io::Error::other(error))),
    }
}
