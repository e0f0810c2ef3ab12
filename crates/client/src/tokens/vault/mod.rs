//! The storage of one user's pair, shared with other processes: every change is a compare-and-save under
//! one lock, so that an older pair never replaces a newer one and nothing is saved after a logout.

mod logouts;
mod saves;
mod writes;

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use chatsdk_types::Millis;
use tokio::sync::OwnedMutexGuard;

use super::background::Background;
use super::clocks::ServerClock;
use super::lock;
use super::options::TokenManagerOptions;
use super::pair::Pair;
use super::record::Record;
use crate::error::StorageError;
use crate::events::{Emitter, Event};
use crate::platform::{Platform, Storage as _, StorageFault};
use crate::redact::redact;
use crate::within::within;

/// No storage may hold a session up for longer than this, in ms.
const STORAGE_TIMEOUT: Millis = 5_000;

/// For how long, in ms awake, a storage that cannot be read counts as one that soon can. After that it is
/// broken, and a pair that never stood there is presented all the same: without it nobody would be signed in
/// at all.
const UNREADABLE_PATIENCE: Millis = 60_000;

/// For how long, in ms awake, a write that was given up is waited for before another one is tried.
const LATE_PATIENCE: Millis = 60_000;

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
    Failed {
        /// No older pair of the session can be read there by a later start: only then may ours be used unsaved.
        safe: bool,
    },
}

/// What stood in the storage.
#[derive(Debug)]
pub(crate) enum Stored {
    Pair(Option<Arc<Pair>>),
    SignedOut,
    /// It could not be read, and that was reported. Unknown is neither empty nor signed out: see
    /// [`Vault::withholds`].
    Unknown,
}

/// What a logout left to do.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What waits to be revoked: refresh tokens, or `Bearer` and an access token where there is no other.
    pub(crate) revoke: Vec<String>,
    /// How many logouts there have been, this one included.
    pub(crate) generation: i64,
}

/// What a change comes to: what to write, if anything, and what to answer.
type Change<T> = (Option<Record>, T);

/// What this process has seen of the storage.
#[derive(Debug)]
struct Seen {
    /// Whether it could be read since the session began: what is first found there of logouts came before.
    opened: bool,
    /// Since when it cannot be, by the monotonic clock.
    unreadable_since: Option<Millis>,
    /// Whether it held a pair of this user when last seen: it may again, though it fails now.
    holds: bool,
    /// The rank of the newest pair that stood in a storage.
    stood: i64,
    /// Whether the last new pair counts as lost, because it could not be saved.
    wasted: bool,
    /// Until when, by the monotonic clock, a write that was given up counts as one that may happen yet.
    late: Option<Millis>,
    /// The session that goes on here, where the token says which.
    session: Option<String>,
}

/// Why the storage did not do what it was asked.
#[derive(Debug)]
enum Failure {
    Fault(StorageFault),
    /// It gave no answer in time. What it was asked may happen yet.
    Slow,
}

impl From<Failure> for StorageFault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fault(fault) => fault,
            Failure::Slow => Self(format!("no answer within {STORAGE_TIMEOUT} ms")),
        }
    }
}

/// The right to change what stands there. It goes with the write that is made by it, so that nobody comes in between
/// who would not come in between where the session lives on.
struct Turn<P: Platform> {
    _lock: Option<P::Guard>,
    _turn: OwnedMutexGuard<()>,
}

pub(crate) struct Vault<P> {
    platform: Arc<P>,
    clock: Arc<ServerClock>,
    events: Arc<Emitter>,
    background: Arc<Background>,
    user_id: String,
    /// Whether the host's backend keeps the refresh tokens, so that any pair can be replaced.
    hosted: bool,
    lock: String,
    /// The logouts that this manager knows of: a tombstone of a later one ends its session.
    generation: AtomicI64,
    seen: Mutex<Seen>,
    /// What stood there when the session began, of another session and got later than what the app gave: an app may
    /// bring back the copy of a session that is long over.
    spare: Mutex<Option<Arc<Pair>>>,
    /// What was written last; `None` where that was to remove it.
    last: Mutex<Option<Record>>,
    /// Where the platform has no locks, changes at least take turns in here, in the order in which they were asked for.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<P: Platform> Vault<P> {
    pub(crate) fn new(
        platform: Arc<P>,
        clock: Arc<ServerClock>,
        events: Arc<Emitter>,
        background: Arc<Background>,
        options: &TokenManagerOptions,
        lock: String,
    ) -> Self {
        Self {
            platform,
            clock,
            events,
            background,
            user_id: options.user_id.clone(),
            hosted: options.refresh_tokens.is_some(),
            lock,
            generation: AtomicI64::new(0),
            seen: Mutex::new(Seen {
                opened: false,
                unreadable_since: None,
                holds: false,
                stood: i64::MIN,
                wasted: false,
                late: None,
                session: None,
            }),
            spare: Mutex::default(),
            last: Mutex::default(),
            turn: Arc::default(),
        }
    }

    /// What stands there now.
    pub(crate) async fn read(&self) -> Stored {
        match self.get().await {
            Ok(record) => self.judge(record.as_ref()),
            Err(failure) => {
                self.fail("it could not be read", failure);
                Stored::Unknown
            }
        }
    }

    /// Whether `pair` is not to be presented while the storage cannot be read. What stood there another process
    /// may have gone on from, and the server would take it for a thief's; what never did waits for as long as the
    /// storage may just be locked.
    pub(crate) fn withholds(&self, pair: &Pair) -> bool {
        let now = self.platform.mono();
        let seen = self.seen();
        let since = seen.unreadable_since.unwrap_or(now);
        // Started in the background, before the phone was unlocked: its keychain opens once somebody looks at it.
        let locked = !seen.opened && !self.platform.visible();
        pair.rank <= seen.stood || now - since < UNREADABLE_PATIENCE || locked
    }

    /// Whether what it keeps outlives the process.
    pub(crate) fn is_durable(&self) -> bool {
        !self.platform.storage().is_volatile()
    }

    /// Begins a session with the pair that the app gave, whatever was logged out before. Where the storage
    /// has a newer pair of the same session, answers that; of another session the app's word stands. Answers
    /// as well whether the pair is in the storage.
    pub(crate) async fn begin(self: &Arc<Self>, given: Arc<Pair>) -> (Arc<Pair>, bool) {
        *lock(&self.spare) = None;
        self.goes_on(&given);
        let otherwise = (given.clone(), false);
        let mut opened = false;
        let begun = self.alone("it could not be opened", otherwise, |record| {
            opened = true;
            let stored = self.enter(record.as_ref());
            match stored.filter(|stored| stored.rank >= given.rank) {
                Some(stored)
                    if stored.sid.is_some()
                        && stored.sid == given.sid
                        && !self.is_worse(&stored, &given) =>
                {
                    (None, (stored, true))
                }
                newer => {
                    *lock(&self.spare) = newer;
                    let next = self.record(Some(&given), record.as_ref());
                    (Some(next), (given, true))
                }
            }
        });
        let begun = begun.await;
        self.seen().opened = opened;
        begun
    }

    /// The session of `pair` is the one that goes on here.
    pub(crate) fn goes_on(&self, pair: &Pair) {
        self.seen().session.clone_from(&pair.sid);
    }

    /// The pair of another session that the app's displaced when this one began, where that was got later.
    pub(crate) fn spare(&self) -> Option<Arc<Pair>> {
        lock(&self.spare).clone()
    }

    /// Begins with the pair that stands there, if one does.
    pub(crate) async fn resume(&self) -> Result<Option<Arc<Pair>>, Arc<StorageError>> {
        *lock(&self.spare) = None;
        match self.get().await {
            Ok(record) => Ok(self.enter(record.as_ref())),
            Err(fault) => Err(self.fail("it could not be read", fault)),
        }
    }

    /// From here on, only later logouts count. Answers the stored pair.
    fn enter(&self, record: Option<&Record>) -> Option<Arc<Pair>> {
        let mine = self.mine(record);
        self.knows(mine);
        if let Some(offset) = mine.and_then(|record| record.offset) {
            self.clock.assume(offset);
        }
        mine?.pair(self.clock.now(&*self.platform))
    }

    fn judge(&self, record: Option<&Record>) -> Stored {
        let Some(record) = record.filter(|record| record.user_id == self.user_id) else {
            return Stored::Pair(None);
        };
        let pair = record.pair(self.clock.now(&*self.platform));
        let sid = pair.as_ref().and_then(|pair| pair.sid.as_ref());
        // Where the storage was emptied, processes count differently; none goes on with a session that was logged out.
        if sid.is_some() && sid == self.seen().session.as_ref() {
            self.knows(Some(record));
        }
        if record.generation > self.generation.load(Ordering::Relaxed) {
            return Stored::SignedOut;
        }
        Stored::Pair(pair)
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

    /// Whether nothing can replace `stored`, while `pair` can be refreshed: that stays, however new the other one is.
    fn is_worse(&self, stored: &Pair, pair: &Pair) -> bool {
        !self.hosted
            && stored.tokens.refresh_token.is_empty()
            && !pair.tokens.refresh_token.is_empty()
    }

    fn mine<'r>(&self, record: Option<&'r Record>) -> Option<&'r Record> {
        record.filter(|record| record.user_id == self.user_id)
    }

    /// There were so many logouts.
    fn knows(&self, mine: Option<&Record>) {
        let generation = mine.map_or(0, |record| record.generation);
        self.generation.fetch_max(generation, Ordering::Relaxed);
    }

    /// Runs `change` on what stands there, under the lock. Answers `otherwise` where the storage fails.
    async fn alone<T>(
        self: &Arc<Self>,
        what: &'static str,
        otherwise: T,
        change: impl FnOnce(Option<Record>) -> Change<T>,
    ) -> T {
        let turn = self.turn().await;
        let work = async {
            let (write, answer) = change(self.get().await?);
            if let Some(record) = write {
                let rank = self.rank(&record);
                self.write(turn, Some(record), rank).await.0?;
            }
            Ok::<T, Failure>(answer)
        };
        match work.await {
            Ok(answer) => answer,
            Err(failure) => {
                self.fail(what, failure);
                otherwise
            }
        }
    }

    async fn turn(&self) -> Turn<P> {
        let turn = self.turn.clone().lock_owned().await;
        // Without the lock where it cannot be had in time: a frozen process must not stop the others.
        let lock = within(
            &*self.platform,
            STORAGE_TIMEOUT,
            self.platform.lock(&self.lock),
        );
        Turn {
            _lock: lock.await,
            _turn: turn,
        }
    }

    /// The rank of the pair of this user in `record`; the lowest where there is none.
    fn rank(&self, record: &Record) -> i64 {
        let mine = Some(record).filter(|record| record.user_id == self.user_id);
        mine.and_then(|record| record.pair(self.clock.now(&*self.platform)))
            .map_or(i64::MIN, |pair| pair.rank)
    }

    async fn get(&self) -> Result<Option<Record>, Failure> {
        let text = match self.answer(self.platform.storage().get()).await {
            Ok(text) => text,
            Err(failure) => {
                let now = self.platform.mono();
                self.seen().unreadable_since.get_or_insert(now);
                return Err(failure);
            }
        };
        let record = text.and_then(|text| Record::parse(&text));
        {
            // Another process went on: what it wrote is not to be taken back when a write of ours lands late.
            let mut last = lock(&self.last);
            if self.overtakes(record.as_ref(), last.as_ref()) {
                last.clone_from(&record);
            }
        }
        let rank = record.as_ref().map_or(i64::MIN, |record| self.rank(record));
        let mut seen = self.seen();
        if !std::mem::replace(&mut seen.opened, true) {
            self.knows(self.mine(record.as_ref()));
        }
        seen.unreadable_since = None;
        seen.holds = rank > i64::MIN;
        if rank > seen.stood {
            seen.stood = rank;
            // This device's clock may have been set since ours; whoever got it has looked.
            if let Some(offset) = record.as_ref().and_then(|record| record.offset) {
                self.clock.assume(offset);
            }
        }
        drop(seen);
        Ok(record)
    }

    async fn answer<T>(
        &self,
        work: impl Future<Output = Result<T, StorageFault>>,
    ) -> Result<T, Failure> {
        match within(&*self.platform, STORAGE_TIMEOUT, work).await {
            Some(answer) => answer.map_err(Failure::Fault),
            None => Err(Failure::Slow),
        }
    }

    /// A pair of `rank` stands in a storage, or may.
    fn note(&self, rank: i64) {
        let mut seen = self.seen();
        seen.stood = seen.stood.max(rank);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    fn fail(&self, what: &'static str, cause: impl Into<StorageFault>) -> Arc<StorageError> {
        let cause = StorageFault(redact(&cause.into().0));
        let error = Arc::new(StorageError { what, cause });
        self.events.emit(&Event::StorageFailed(error.clone()));
        error
    }
}
