//! How much all histories together may hold.
//!
//! Each app has an [`Account`]: the bytes of its publications and of the topics that are there for their streams
//! alone, because nobody listens; and its streams by the age of their oldest publication, or since when there is
//! none. Above the app's share its oldest publications go, and such topics when they have none left; above the
//! engine's, those of the app that has the most, so that one app cannot push out what others keep.
//!
//! A topic stands in its account's heap at most once, with an age that may be too early, because the
//! topic has let go of something since; it is corrected when it comes up, as in the janitor's heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use chatsdk_types::Millis;

use crate::engine::Shared;
use crate::lock;
use crate::topics::topic::Topic;

/// The accounts of all apps.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    accounts: Mutex<HashMap<Box<str>, Arc<Account>>>,
    total: Arc<AtomicUsize>,
}

/// What the histories of one app hold.
#[derive(Debug, Default)]
pub(crate) struct Account {
    bytes: AtomicUsize,
    total: Arc<AtomicUsize>,
    oldest: Mutex<BinaryHeap<Reverse<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    /// See [`Stream::since`](super::stream::Stream::since).
    since: Millis,
    topic: Weak<Topic>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.since == other.since
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.since.cmp(&other.since)
    }
}

/// Below so many entries a heap is not looked through for topics that are gone.
const FEW: usize = 64;

impl Account {
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.total.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that are held here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes that the oldest publication of `topic` is of `since`.
    pub(crate) fn enter(&self, topic: &Arc<Topic>, since: Millis) {
        let mut oldest = lock(&self.oldest);
        if oldest.len() >= FEW && oldest.len() == oldest.capacity() {
            // Before it grows: half of them may be of topics that have ended.
            oldest.retain(|Reverse(entry)| entry.topic.strong_count() > 0);
            let room = oldest.len();
            oldest.reserve(room);
        }
        oldest.push(Reverse(Entry {
            since,
            topic: Arc::downgrade(topic),
        }));
    }

    /// Lets the oldest publications and topics go until no more than `most` bytes are held here, and no more
    /// than `total_most` anywhere.
    fn evict(&self, shared: &Shared, most: usize, total_most: usize) {
        let over = || self.bytes() > most || self.total.load(Ordering::Relaxed) > total_most;
        while over() {
            // In a statement of its own: a topic is locked before its account.
            let entry = lock(&self.oldest).pop();
            let Some(Reverse(entry)) = entry else {
                return;
            };
            if let Some(topic) = entry.topic.upgrade()
                && let Some(since) = topic.evict(shared, entry.since)
            {
                self.enter(&topic, since);
            }
        }
    }
}

impl Budget {
    /// The account of `app`.
    pub(crate) fn account(&self, app: &str) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(app) {
            return Arc::clone(account);
        }
        let account = Arc::new(Account {
            total: Arc::clone(&self.total),
            ..Account::default()
        });
        accounts.insert(app.into(), Arc::clone(&account));
        account
    }

    /// Bytes of all histories.
    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    fn largest(&self) -> Option<Arc<Account>> {
        let accounts = lock(&self.accounts);
        let largest = accounts.values().max_by_key(|account| account.bytes());
        largest.map(Arc::clone)
    }
}

impl Shared {
    /// Keeps the histories within bounds, after something was added to one of `app`. Called without a lock.
    pub(crate) fn keep_budget(&self, app: &str) {
        let bound = |most: usize| if most == 0 { usize::MAX } else { most };
        let total = bound(self.config.max_history_bytes);
        let per_app = bound(self.config.max_history_bytes_per_app);
        self.budget.account(app).evict(self, per_app, usize::MAX);
        if self.budget.total() > total
            && let Some(largest) = self.budget.largest()
        {
            largest.evict(self, usize::MAX, total);
        }
    }
}
