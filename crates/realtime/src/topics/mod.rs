//! All topics: who listens to what, and the way of a publication to them.
//!
//! - [`options`]: how a topic behaves.
//! - `topic`: one topic: its subscribers, its stream, what waits to be delivered.
//! - `subscription`: one client in one topic. `past`: what it is told of the past when it begins.
//! - `event`, `batch`: what is delivered, encoded once for all that are alike.
//! - `sweep`: the delivery.
//! - `janitor`: lets old history go.
//! - `link`, `positions`: the way to other nodes, and whether something got lost on it.
//!
//! A topic exists while somebody listens to it or it remembers something. Its events have one order:
//! they are numbered under its lock, wait in line, and are delivered by one task at a time.

pub(crate) mod batch;
pub(crate) mod event;
pub(crate) mod janitor;
pub(crate) mod link;
pub mod options;
pub(crate) mod past;
pub(crate) mod positions;
pub(crate) mod subscription;
pub(crate) mod sweep;
pub(crate) mod topic;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::lock;
use crate::topics::topic::{Inner, Topic};

/// How many locks the map is spread over.
const SHARDS: usize = 64;

/// The map of topics.
#[derive(Debug)]
pub(crate) struct Topics {
    shards: Vec<Mutex<HashMap<Key, Arc<Topic>>>>,
    hasher: RandomState,
    next_id: AtomicU64,
    count: AtomicUsize,
    /// Whether topics are shared with other nodes.
    is_shared: bool,
}

/// A place in the list of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicCursor {
    shard: usize,
    id: u64,
}

/// How many bits of a place, as a number, are the topic's own number: more topics than that, 10¹², are made
/// in no process's life, and places stay below 10¹⁵.
const ID_BITS: u32 = 40;

impl From<u64> for TopicCursor {
    fn from(place: u64) -> Self {
        Self {
            shard: (place >> ID_BITS) as usize,
            id: place & ((1 << ID_BITS) - 1),
        }
    }
}

impl From<TopicCursor> for u64 {
    fn from(place: TopicCursor) -> Self {
        ((place.shard as Self) << ID_BITS) | place.id
    }
}

/// A topic's name: a channel of an app.
#[derive(Debug)]
struct Key(Arc<Topic>);

/// A name that may be borrowed: asking for a topic copies nothing.
trait Name {
    fn app(&self) -> &str;
    fn channel(&self) -> &str;
}

impl Name for Key {
    fn app(&self) -> &str {
        &self.0.app
    }

    fn channel(&self) -> &str {
        &self.0.channel
    }
}

impl Name for (&str, &str) {
    fn app(&self) -> &str {
        self.0
    }

    fn channel(&self) -> &str {
        self.1
    }
}

impl<'a> Borrow<dyn Name + 'a> for Key {
    fn borrow(&self) -> &(dyn Name + 'a) {
        self
    }
}

impl Hash for dyn Name + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.app().hash(state);
        self.channel().hash(state);
    }
}

impl PartialEq for dyn Name + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.channel() == other.channel() && self.app() == other.app()
    }
}

impl Eq for dyn Name + '_ {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let name: &dyn Name = self;
        name.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let (one, other): (&dyn Name, &dyn Name) = (self, other);
        one == other
    }
}

impl Eq for Key {}

impl Topics {
    /// No topics yet. `is_shared`: there are other nodes that have them, too.
    pub(crate) fn new(is_shared: bool) -> Self {
        Self {
            is_shared,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            // Clients take 0 for "no id".
            next_id: AtomicU64::new(1),
            count: AtomicUsize::new(0),
        }
    }

    /// How many topics there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Does `work` with the topic, if there is one.
    pub(crate) fn find<R>(
        &self,
        app: &str,
        channel: &str,
        work: impl FnOnce(&Arc<Topic>, &mut Inner) -> R,
    ) -> Option<R> {
        let topic = self.get(app, channel)?;
        let mut inner = lock(&topic.inner);
        // One that has just ended remembered nothing.
        (!inner.ended).then(|| work(&topic, &mut inner))
    }

    /// Does `work` with the topic, which is made if need be.
    pub(crate) fn open<R>(
        &self,
        app: &str,
        channel: &str,
        work: impl FnOnce(&Arc<Topic>, &mut Inner) -> R,
    ) -> R {
        loop {
            let topic = self.get_or_make(app, channel);
            let mut inner = lock(&topic.inner);
            if !inner.ended {
                return work(&topic, &mut inner);
            }
        }
    }

    /// At most `most` topics from `from` on, and where the next ones begin; `None`: there are no more.
    /// Topics stand in the order of their shards, then of their numbers; one shard is locked at a time.
    pub(crate) fn from(
        &self,
        from: TopicCursor,
        most: usize,
    ) -> (Vec<Arc<Topic>>, Option<TopicCursor>) {
        let mut found: Vec<Arc<Topic>> = Vec::new();
        let TopicCursor { mut shard, mut id } = from;
        while let Some(topics) = self.shards.get(shard) {
            let topics = lock(topics);
            let room = most - found.len();
            let mut candidates: Vec<_> = topics.values().filter(|topic| topic.id >= id).collect();
            if candidates.len() > room {
                // The next one after those that there is room for is where the next step begins.
                let next = candidates
                    .select_nth_unstable_by_key(room, |topic| topic.id)
                    .1
                    .id;
                candidates.truncate(room);
                found.extend(candidates.into_iter().map(Arc::clone));
                return (found, Some(TopicCursor { shard, id: next }));
            }
            found.extend(candidates.into_iter().map(Arc::clone));
            (shard, id) = (shard + 1, 0);
        }
        (found, None)
    }

    /// Ends `topic` if nobody listens to it and it remembers nothing.
    pub(crate) fn release_if_idle(&self, topic: &Arc<Topic>) {
        // Mostly it is not, and then the map is left alone.
        if lock(&topic.inner).is_idle() {
            self.release(topic);
        }
    }

    fn release(&self, topic: &Arc<Topic>) {
        let mut shard = self.shard(&topic.app, &topic.channel);
        let mut inner = lock(&topic.inner);
        if !inner.ended && inner.is_idle() {
            inner.ended = true;
            let name: &dyn Name = &(&*topic.app, &*topic.channel);
            shard.remove(name);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn get(&self, app: &str, channel: &str) -> Option<Arc<Topic>> {
        let name: &dyn Name = &(app, channel);
        self.shard(app, channel).get(name).map(Arc::clone)
    }

    fn get_or_make(&self, app: &str, channel: &str) -> Arc<Topic> {
        let mut shard = self.shard(app, channel);
        let name: &dyn Name = &(app, channel);
        if let Some(topic) = shard.get(name) {
            return Arc::clone(topic);
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let topic = Arc::new(Topic::new(id, app, channel, self.is_shared));
        shard.insert(Key(Arc::clone(&topic)), Arc::clone(&topic));
        self.count.fetch_add(1, Ordering::Relaxed);
        topic
    }

    fn shard(&self, app: &str, channel: &str) -> MutexGuard<'_, HashMap<Key, Arc<Topic>>> {
        let name: &dyn Name = &(app, channel);
        let hash = self.hasher.hash_one(name);
        lock(&self.shards[hash as usize % SHARDS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn topics_are_read_in_steps_each_once() {
        let topics = Topics::new(false);
        for number in 0..1000 {
            topics.get_or_make("app", &format!("topic-{number}"));
        }
        for most in [1, 7, 256, 5000] {
            let (mut seen, mut from) = (HashSet::new(), Some(0_u64));
            while let Some(place) = from {
                let (found, next) = topics.from(place.into(), most);
                assert!(found.len() <= most);
                for topic in &found {
                    assert!(seen.insert(Arc::clone(&topic.channel)), "{most}: twice");
                }
                from = next.map(u64::from);
                assert!(from.is_none_or(|place| place < 1_000_000_000_000_000));
            }
            assert_eq!(seen.len(), 1000, "{most}");
        }
        let (beyond, next) = topics.from(u64::MAX.into(), 10);
        assert!(beyond.is_empty() && next.is_none());
    }
}
