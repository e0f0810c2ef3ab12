//! What a process has to remember when it starts; and what a database that was restored has to be told
//! again.

use std::collections::HashSet;

use chatsdk_store::{ControlEntry, ControlKind, StoreError, Tx};
use chatsdk_types::{AppId, KeyId, Millis, UserId};

use crate::journal::Journal;
use crate::service::{OpenTo, Opened};
use crate::{Auth, AuthConfig, AuthError};

/// The mark that `chatsdk backup` leaves in the copy.
const BACKED_UP_AT: &str = "backed_up_at";

impl Auth {
    /// Loads at the start what every request asks, and reconciles the journal with the database.
    pub(crate) async fn recall(
        &self,
        journal: Option<Vec<ControlEntry>>,
        to: OpenTo,
    ) -> Result<Opened, AuthError> {
        let store = &self.0.store;
        let mut opened = Opened::default();
        let backed_up_at: Option<Millis> = store
            .meta(BACKED_UP_AT)
            .await?
            .and_then(|text| text.parse().ok());
        let head = store.control_head().await?;
        let begin = if let Some(entries) = &journal {
            let newest = entries.iter().map(|entry| entry.seq).max().unwrap_or(0);
            if head < newest || backed_up_at.is_some() {
                opened.replayed = self.restored(entries).await?;
                head
            } else {
                // Behind it stands what commands and other nodes did while this process was away.
                newest
            }
        } else {
            opened.unknown_since = backed_up_at;
            self.without_journal(&mut opened, to).await?
        };
        // What a restore without a journal leaves unknown is for the server to say. A command that is run
        // before it must not use that up.
        if backed_up_at.is_some() && (journal.is_some() || to == OpenTo::Serve) {
            store
                .write(move |tx| Box::pin(async move { tx.delete_meta(BACKED_UP_AT).await }))
                .await?;
        }
        self.remember(&journal.unwrap_or_default()).await?;
        self.catch_up_from(begin).await?;
        Ok(opened)
    }

    /// Answers how far the database's own log goes; a server writes a first journal from it.
    async fn without_journal(&self, opened: &mut Opened, to: OpenTo) -> Result<i64, AuthError> {
        let now = self.0.clock.now();
        let known = self.0.store.control_since(0, u32::MAX).await?;
        let begin = known.last().map_or(0, |entry| entry.seq);
        opened.journal_missing = known.iter().any(|entry| Journal::keeps(entry.kind));
        if to == OpenTo::Command {
            return Ok(begin);
        }
        self.rewrite_journal(move |mut entries| {
            entries.extend(known.into_iter().filter(|entry| Journal::keeps(entry.kind)));
            recent(entries, now)
        })
        .await?;
        Ok(begin)
    }

    /// Fills the memory of what no longer works: from the database, and from the journal as well, because
    /// a restored database knows nothing of sessions that began after its backup, while their access
    /// tokens are still about.
    async fn remember(&self, journal: &[ControlEntry]) -> Result<(), AuthError> {
        let inner = &*self.0;
        let since = inner.clock.now() - AuthConfig::MAX_ACCESS_TTL.as_millis() - 60_000;
        let logged = inner.store.control_after_time(since).await?;
        let journaled = journal.iter().filter(|entry| entry.at > since);
        for entry in logged.iter().chain(journaled) {
            if entry.kind == ControlKind::SessionRevoked
                && let Ok(session) = entry.subject.parse()
            {
                inner.revocations.end_session(session, entry.at);
            }
        }
        for (app, user) in inner.store.banned_users().await? {
            inner.revocations.ban(app, user);
        }
        for app in inner.store.apps().await? {
            if app.disabled_at.is_some() {
                inner.revocations.disable(app.id);
            }
        }
        for (app, user) in inner.store.deleted_users().await? {
            inner.revocations.delete(app, user);
        }
        Ok(())
    }

    /// Carries the journal into a database that is older than it, and answers how many entries that took.
    pub(crate) async fn restored(&self, entries: &[ControlEntry]) -> Result<usize, AuthError> {
        let replayed = self.replay(entries).await?;
        // The keys that were withdrawn may have been all there were.
        self.ensure_signing_key().await?;
        self.reload_signing_keys().await?;
        let now = self.0.clock.now();
        // The numbers belong to a database that is gone.
        self.rewrite_journal(move |entries| {
            let unnumbered = entries
                .into_iter()
                .map(|entry| ControlEntry { seq: 0, ..entry });
            recent(unnumbered, now)
        })
        .await?;
        Ok(replayed)
    }

    /// Each entry is a condition on what is there, so that carrying it twice changes nothing; of what can be
    /// lifted the last word counts.
    async fn replay(&self, entries: &[ControlEntry]) -> Result<usize, AuthError> {
        let now = self.0.clock.now();
        // A data directory that got a new database keeps the journal of the old one; its apps are not ours.
        let apps = self.0.store.apps().await?;
        let apps: HashSet<&str> = apps.iter().map(|app| app.id.as_str()).collect();
        let mut last_words: HashSet<(&str, &str)> = HashSet::new();
        let mut settled = Vec::new();
        for entry in entries.iter().rev() {
            if !entry.app.is_empty() && !apps.contains(entry.app.as_str()) {
                continue;
            }
            let can_be_lifted = matches!(
                entry.kind,
                ControlKind::UserBanned
                    | ControlKind::UserUnbanned
                    | ControlKind::AppDisabled
                    | ControlKind::AppEnabled
            );
            // A user may have the id of an app as its own.
            let of_app = matches!(
                entry.kind,
                ControlKind::AppDisabled | ControlKind::AppEnabled
            );
            let subject = if of_app { "" } else { entry.subject.as_str() };
            if !can_be_lifted || last_words.insert((&entry.app, subject)) {
                settled.push(entry.clone());
            }
        }
        // They are about different things now, or say the same in any order. Rows are locked in the order in which
        // everybody locks them: users before sessions, and each in the order of their ids.
        settled.sort_by(|a, b| locked(a).cmp(&locked(b)));
        let mut replayed = 0;
        for chunk in settled.chunks(256) {
            let chunk = chunk.to_vec();
            replayed += self
                .0
                .store
                .write(move |tx| {
                    Box::pin(async move {
                        if chunk.iter().any(|entry| changes_a_key(entry.kind)) {
                            tx.hold_all_api_keys().await?;
                        }
                        let mut count = 0;
                        for entry in &chunk {
                            if carry(tx, entry, now).await? {
                                tx.append_control(entry.kind, &entry.app, &entry.subject, now)
                                    .await?;
                                count += 1;
                            }
                        }
                        Ok::<_, StoreError>(count)
                    })
                })
                .await?;
        }
        Ok(replayed)
    }

    /// Forgets what is older than any session lives. Called once an hour.
    pub(crate) async fn prune_journal(&self) -> Result<(), AuthError> {
        let now = self.0.clock.now();
        self.rewrite_journal(move |entries| recent(entries, now))
            .await
    }
}

/// What orders the rows that entries lock.
fn locked(entry: &ControlEntry) -> (u8, &str, &str) {
    let kind = match entry.kind {
        ControlKind::KeyRevoked | ControlKind::KeyExpires => 0,
        ControlKind::UserBanned | ControlKind::UserUnbanned | ControlKind::UserDeleted => 1,
        ControlKind::SessionRevoked => 2,
        _ => 3,
    };
    // A session is found by its id alone.
    let app = if kind == 2 { "" } else { entry.app.as_str() };
    (kind, app, entry.subject.as_str())
}

fn changes_a_key(kind: ControlKind) -> bool {
    matches!(kind, ControlKind::KeyRevoked | ControlKind::KeyExpires)
}

/// Carries one entry into the database, and answers whether that changed anything. What cannot be read is
/// another version's, and is left alone.
async fn carry(tx: &mut Tx<'_>, entry: &ControlEntry, now: Millis) -> Result<bool, StoreError> {
    let app = entry.app.parse::<AppId>();
    let user = entry.subject.parse::<UserId>();
    match (entry.kind, app, user) {
        (ControlKind::SessionRevoked, Ok(app), _) => match entry.subject.parse() {
            Ok(session) => tx.revoke_session(&app, &session, "journal", now).await,
            Err(_) => Ok(false),
        },
        (ControlKind::UserBanned, Ok(app), Ok(user)) => {
            let banned = tx.user(&app, &user).await?;
            if banned.is_some_and(|user| user.banned_at.is_some()) {
                return Ok(false);
            }
            tx.ban_user(&app, &user, None, now).await
        }
        (ControlKind::UserUnbanned, Ok(app), Ok(user)) => tx.unban_user(&app, &user, now).await,
        (ControlKind::UserDeleted, Ok(app), Ok(user)) => tx.delete_user(&app, &user, now).await,
        (ControlKind::AppDisabled, Ok(app), _) => tx.disable_app(&app, now).await,
        (ControlKind::AppEnabled, Ok(app), _) => tx.enable_app(&app).await,
        (ControlKind::KeyRevoked, Ok(app), _) => match entry.subject.parse() {
            Ok(key) => tx.revoke_api_key(&app, &key, now).await,
            Err(_) => Ok(false),
        },
        (ControlKind::KeyExpires, ..) => {
            let (key, at) = entry.subject.split_once(' ').unwrap_or_default();
            match (key.parse::<KeyId>(), at.parse()) {
                (Ok(key), Ok(at)) => tx.expire_api_key(&key, at).await,
                _ => Ok(false),
            }
        }
        (ControlKind::SigningKeyWithdrawn, ..) => {
            tx.retire_signing_key(&entry.subject, now, true).await
        }
        _ => Ok(false),
    }
}

fn recent(entries: impl IntoIterator<Item = ControlEntry>, now: Millis) -> Vec<ControlEntry> {
    let since = now - AuthConfig::MAX_SESSION_TTL.as_millis();
    let kept = entries.into_iter().filter(|entry| entry.at >= since);
    kept.collect()
}

#[cfg(test)]
mod tests {
    use chatsdk_store::{AppLifetimes, Location, Session, UserPatch};
    use chatsdk_types::{Lifetime, ManualClock, Scopes, SessionId, SystemEntropy};

    use super::*;
    use crate::api_key::Env;
    use crate::{KeyTerms, testing};

    const NOW: Millis = 1_800_000_000_000;

    /// Whoever ends all sessions of a user locks them in the order of their ids. A journal names them in the
    /// order in which they were ended: taken in that order, the two would wait for each other.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_replay_and_another_node_cannot_wait_for_each_other() {
        let url = chatsdk_pgtest::fresh_database().await;
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(NOW);
        let at = Location::Postgres(url.clone());
        let auth = testing::open(at, directory.path(), &clock).await;
        let store = auth.0.store.clone();
        let terms = KeyTerms {
            env: Env::Test,
            name: String::new(),
            scopes: Scopes::all(),
            expires_in: None,
        };
        let (app, _) = auth
            .create_app(String::new(), AppLifetimes::default(), terms, "test")
            .await
            .unwrap();
        // `settled` turns them round: newest first.
        for backwards in [true, false] {
            let mut ids: Vec<_> = (0..2)
                .map(|_| SessionId::new(NOW, &SystemEntropy))
                .collect();
            ids.sort();
            let sessions: Vec<_> = ids.iter().map(|id| live(&app.id, id)).collect();
            store
                .write(move |tx| {
                    Box::pin(async move {
                        let Session { app, user, .. } = &sessions[0];
                        tx.upsert_user(app, user, &UserPatch::default(), NOW)
                            .await?;
                        for session in &sessions {
                            tx.insert_session(session).await?;
                        }
                        Ok::<_, StoreError>(())
                    })
                })
                .await
                .unwrap();

            let entry = |id: &SessionId| ControlEntry {
                seq: 0,
                kind: ControlKind::SessionRevoked,
                app: app.id.to_string(),
                subject: id.to_string(),
                at: NOW,
            };
            let mut entries: Vec<_> = ids.iter().map(entry).collect();
            if backwards {
                entries.reverse();
            }
            let (holds, held) = tokio::sync::oneshot::channel();
            let (go_on, told) = tokio::sync::oneshot::channel();
            let (app, ids, node) = (app.id.clone(), ids.clone(), store.clone());
            let other = tokio::spawn(async move {
                node.write(move |tx| {
                    Box::pin(async move {
                        tx.revoke_session(&app, &ids[0], "other", NOW).await?;
                        let _ = holds.send(());
                        let _ = told.await;
                        tx.revoke_session(&app, &ids[1], "other", NOW).await?;
                        // Undone: the replay is to find them alive.
                        Err::<(), _>(StoreError::Waited)
                    })
                })
                .await
            });
            held.await.unwrap();
            let replay = tokio::spawn({
                let auth = auth.clone();
                async move { auth.replay(&entries).await }
            });
            while chatsdk_pgtest::waiting(&url).await == 0 {
                tokio::task::yield_now().await;
            }
            let _ = go_on.send(());
            assert_eq!(other.await.unwrap(), Err(StoreError::Waited));
            replay.await.unwrap().unwrap();
        }
        store.close().await;
    }

    fn live(app: &AppId, id: &SessionId) -> Session {
        Session {
            id: id.clone(),
            app: app.clone(),
            user: "ann".parse().unwrap(),
            key: None,
            cur: NOW,
            prev: 0,
            proven: 0,
            rotated_at: NOW,
            rt_exp: NOW + 1000,
            abs_exp: NOW + 1000,
            rt_kid: "r1".to_owned(),
            access_ttl: Lifetime::secs(60),
            idle_ttl: Lifetime::secs(60),
            created_at: NOW,
            device_id: None,
            device_name: None,
            revoked_at: None,
            revoke_reason: None,
        }
    }
}
