//! The storage of one user's pair, shared with other processes: every change is a compare-and-save under
//! one lock, so that an older pair never replaces a newer one and nothing is saved after a logout.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chatsdk_types::Millis;

use super::clocks::ServerClock;
use super::pair::Pair;
use super::record::Record;
use crate::error::StorageError;
use crate::events::{Emitter, Event};
use crate::platform::{Platform, Storage as _, StorageFault};
use crate::within::{hold, within};

/// No storage may hold a session up for longer than this, in ms.
const STORAGE_TIMEOUT: Millis = 5_000;

/// What came of a save.
#[derive(Debug)]
pub(crate) enum Saved {
    Kept(Arc<Pair>),
    /// Somebody was there before with a pair that is not older: use it, drop ours.
    Newer(Arc<Pair>),
    /// The user logged out meanwhile.
    SignedOut,
    /// It was no longer fresh when its turn came.
    Late,
    /// The storage failed, and that was reported.
    Failed,
}

/// What stood in the storage.
#[derive(Debug)]
pub(crate) enum Stored {
    Pair(Option<Arc<Pair>>),
    SignedOut,
    /// It could not be read, and that was reported. Unknown is neither empty nor signed out.
    Unknown,
}

/// What a change comes to: what to write, if anything, and what to answer.
type Change<T> = (Option<Record>, T);

pub(crate) struct Vault<P> {
    platform: Arc<P>,
    clock: Arc<ServerClock>,
    events: Arc<Emitter>,
    user_id: String,
    lock: String,
    /// Logouts that this manager knew of when it connected.
    generation: AtomicI64,
    /// Where the platform has no locks, changes at least take turns in here.
    turn: tokio::sync::Mutex<()>,
}

impl<P: Platform> Vault<P> {
    pub(crate) fn new(
        platform: Arc<P>,
        clock: Arc<ServerClock>,
        events: Arc<Emitter>,
        user_id: &str,
        lock: String,
    ) -> Self {
        Self {
            platform,
            clock,
            events,
            user_id: user_id.to_owned(),
            lock,
            generation: AtomicI64::new(0),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// What stands there now. With a pair newer than rank `known` comes the estimate of the server's clock of
    /// whoever got it: this device's clock may have been set since ours.
    pub(crate) async fn read(&self, known: i64) -> Stored {
        match self.get().await {
            Ok(record) => match self.judge(record.as_ref()) {
                Stored::Pair(Some(pair)) if pair.rank > known => {
                    if let Some(offset) = record.as_ref().and_then(|record| record.offset) {
                        self.clock.assume(offset);
                    }
                    self.judge(record.as_ref())
                }
                judged => judged,
            },
            Err(fault) => {
                self.fail("it could not be read", fault);
                Stored::Unknown
            }
        }
    }

    /// Begins a session with the pair that the app gave, whatever was logged out before. Where the storage
    /// has a newer pair of the same session, answers that; of another session the app's word stands. Answers
    /// as well whether the pair is in the storage.
    pub(crate) async fn begin(&self, given: Arc<Pair>) -> (Arc<Pair>, bool) {
        let otherwise = (given.clone(), false);
        self.alone("it could not be opened", otherwise, |record| {
            let stored = self.enter(record.as_ref());
            match stored {
                Some(stored)
                    if stored.sid.is_some()
                        && stored.sid == given.sid
                        && stored.rank >= given.rank =>
                {
                    (None, (stored, true))
                }
                _ => (
                    Some(self.record(Some(&given), record.as_ref())),
                    (given, true),
                ),
            }
        })
        .await
    }

    /// Begins with the pair that stands there, if one does.
    pub(crate) async fn resume(&self) -> Result<Option<Arc<Pair>>, Arc<StorageError>> {
        match self.get().await {
            Ok(record) => Ok(self.enter(record.as_ref())),
            Err(fault) => Err(self.fail("it could not be read", fault)),
        }
    }

    /// From here on, only later logouts count. Answers the stored pair.
    fn enter(&self, record: Option<&Record>) -> Option<Arc<Pair>> {
        let mine = record.filter(|record| record.user_id == self.user_id);
        let generation = mine.map_or(0, |record| record.generation);
        self.generation.store(generation, Ordering::Relaxed);
        if let Some(offset) = mine.and_then(|record| record.offset) {
            self.clock.assume(offset);
        }
        mine?.pair(self.clock.now(&*self.platform))
    }

    /// Saves a pair that the server has just given, unless somebody was faster or it is not `fresh` any
    /// more when the lock is ours. From the moment of saving on, nobody asks for the next pair for a while.
    pub(crate) async fn save(&self, given: &Arc<Pair>, fresh: impl FnOnce() -> bool) -> Saved {
        self.alone(
            "a refreshed pair could not be saved",
            Saved::Failed,
            |record| {
                if !fresh() {
                    return (None, Saved::Late);
                }
                let pair = given.received(given.received_at.max(self.platform.wall()));
                // Another user signed in here since, into a storage with room for one: theirs stays.
                if record
                    .as_ref()
                    .is_some_and(|record| record.user_id != self.user_id)
                {
                    return (None, Saved::Kept(pair));
                }
                match self.judge(record.as_ref()) {
                    Stored::SignedOut => (None, Saved::SignedOut),
                    Stored::Unknown => (None, Saved::Failed),
                    Stored::Pair(Some(stored)) if stored.rank >= pair.rank => {
                        if stored.tokens.access_token == pair.tokens.access_token {
                            (None, Saved::Kept(pair))
                        } else {
                            (None, Saved::Newer(stored))
                        }
                    }
                    Stored::Pair(_) => (
                        Some(self.record(Some(&pair), record.as_ref())),
                        Saved::Kept(pair),
                    ),
                }
            },
        )
        .await
    }

    /// Forgets `dead`, which the server refused for good, unless a newer pair has taken its place.
    pub(crate) async fn discard(&self, dead: &Pair) {
        self.alone("a dead pair could not be removed", (), |record| {
            let Some(record) = record.filter(|record| record.user_id == self.user_id) else {
                return (None, ());
            };
            match self.judge(Some(&record)) {
                Stored::Pair(Some(stored)) if stored.rank <= dead.rank => {
                    (Some(self.record(None, Some(&record))), ())
                }
                _ => (None, ()),
            }
        })
        .await;
    }

    /// Logs out: leaves a tombstone that stops every later save of those who do not know of it yet, and
    /// puts the newest refresh token into the outbox of sessions to revoke. Answers the outbox.
    pub(crate) async fn end(&self, current: Option<&Pair>) -> Vec<String> {
        let token = current
            .map(|pair| pair.tokens.refresh_token.clone())
            .filter(|token| !token.is_empty());
        let otherwise: Vec<String> = token.iter().cloned().collect();
        self.alone("a logout could not be noted", otherwise, |record| {
            let mine = record
                .as_ref()
                .filter(|record| record.user_id == self.user_id);
            let stored = mine.and_then(|record| record.pair(self.clock.now(&*self.platform)));
            let newest = match (&stored, current) {
                (Some(stored), Some(current)) if stored.sid == current.sid => {
                    Some(stored.tokens.refresh_token.clone())
                }
                _ => token,
            };
            let mut revoke = record
                .as_ref()
                .map(|record| record.revoke.clone())
                .unwrap_or_default();
            if let Some(newest) =
                newest.filter(|token| !token.is_empty() && !revoke.contains(token))
            {
                revoke.push(newest);
            }
            let known = mine.map_or(0, |record| record.generation);
            let generation = self.generation.load(Ordering::Relaxed).max(known) + 1;
            self.generation.store(generation, Ordering::Relaxed);
            // In a storage with room for one, another user's pair is not ours to remove.
            let mut kept = match &record {
                Some(record) if mine.is_none() => record.clone(),
                _ => self.record(None, record.as_ref()),
            };
            kept.revoke.clone_from(&revoke);
            (Some(kept), revoke)
        })
        .await
    }

    /// The refresh tokens that wait to be revoked.
    pub(crate) async fn outbox(&self) -> Vec<String> {
        match self.get().await {
            Ok(Some(record)) => record.revoke,
            _ => Vec::new(),
        }
    }

    /// The server has answered the revocation of `refresh_token`.
    pub(crate) async fn revoked(&self, refresh_token: &str) {
        self.alone("a logout could not be ticked off", (), |record| {
            let Some(mut record) = record else {
                return (None, ());
            };
            let before = record.revoke.len();
            record.revoke.retain(|token| token != refresh_token);
            ((record.revoke.len() < before).then_some(record), ())
        })
        .await;
    }

    fn judge(&self, record: Option<&Record>) -> Stored {
        let Some(record) = record.filter(|record| record.user_id == self.user_id) else {
            return Stored::Pair(None);
        };
        if record.generation > self.generation.load(Ordering::Relaxed) {
            return Stored::SignedOut;
        }
        Stored::Pair(record.pair(self.clock.now(&*self.platform)))
    }

    fn record(&self, pair: Option<&Pair>, before: Option<&Record>) -> Record {
        Record {
            tokens: pair.map(|pair| pair.tokens.clone()),
            received_at: pair.map(|pair| pair.received_at),
            offset: Some(self.clock.offset()),
            revoke: before
                .map(|record| record.revoke.clone())
                .unwrap_or_default(),
            ..Record::new(&self.user_id, self.generation.load(Ordering::Relaxed))
        }
    }

    /// Runs `change` on what stands there, under the lock. Answers `otherwise` where the storage fails.
    async fn alone<T>(
        &self,
        what: &'static str,
        otherwise: T,
        change: impl FnOnce(Option<Record>) -> Change<T>,
    ) -> T {
        let _turn = self.turn.lock().await;
        let work = async {
            let (write, answer) = change(self.get().await?);
            if let Some(record) = write {
                self.set(&record).await?;
            }
            Ok(answer)
        };
        match hold(&*self.platform, &self.lock, STORAGE_TIMEOUT, work).await {
            Ok(answer) => answer,
            Err(fault) => {
                self.fail(what, fault);
                otherwise
            }
        }
    }

    async fn get(&self) -> Result<Option<Record>, StorageFault> {
        let text = within(
            &*self.platform,
            STORAGE_TIMEOUT,
            self.platform.storage().get(),
        )
        .await;
        Ok(text
            .unwrap_or_else(|| Err(too_slow()))?
            .and_then(|text| Record::parse(&text)))
    }

    async fn set(&self, record: &Record) -> Result<(), StorageFault> {
        let set = self.platform.storage().set(record.text());
        within(&*self.platform, STORAGE_TIMEOUT, set)
            .await
            .unwrap_or_else(|| Err(too_slow()))
    }

    fn fail(&self, what: &'static str, cause: StorageFault) -> Arc<StorageError> {
        let error = Arc::new(StorageError { what, cause });
        self.events.emit(&Event::StorageFailed(error.clone()));
        error
    }
}

fn too_slow() -> StorageFault {
    StorageFault(format!("no answer within {STORAGE_TIMEOUT} ms"))
}
