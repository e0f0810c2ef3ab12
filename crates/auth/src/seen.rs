//! The counters that were seen in use since they were last written: the highest of each session.
//!
//! Every verified access token notes one, so noting is a hash and a short lock. Every few seconds
//! what has gathered is written to the rows, in two steps: an entry stays in force here until its
//! write is committed. What a crash loses errs towards answering.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chatsdk_types::SessionId;

const SHARDS: usize = 16;

/// How many sessions are held while the database takes nothing. What comes after is not noted, which
/// errs towards answering.
const CAPACITY: usize = 1 << 20;

type Shard = HashMap<SessionId, i64>;

/// The highest counter of each session that was seen in use and is not written yet.
#[derive(Debug)]
pub struct Seen {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    max_per_shard: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Seen {
    /// Room for about so many sessions.
    pub fn with_capacity(sessions: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: Default::default(),
            max_per_shard: sessions.div_ceil(SHARDS),
        }
    }

    /// Notes that `counter` of `session` was seen in use.
    pub fn note(&self, session: &SessionId, counter: i64) {
        let mut shard = self.shard(session);
        if let Some(known) = shard.get_mut(session) {
            *known = counter.max(*known);
        } else if shard.len() < self.max_per_shard {
            shard.insert(session.clone(), counter);
        }
    }

    /// The highest counter of `session` that is noted; 0 where none is.
    pub fn get(&self, session: &SessionId) -> i64 {
        self.shard(session).get(session).copied().unwrap_or(0)
    }

    /// What has to be written. It stays in force until [`Seen::written`] is told that it was.
    pub fn dirty(&self) -> Vec<(SessionId, i64)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(
                shard
                    .iter()
                    .map(|(session, counter)| (session.clone(), *counter)),
            );
        }
        all
    }

    /// Forgets what was committed; a counter that has grown meanwhile stays.
    pub fn written(&self, batch: &[(SessionId, i64)]) {
        for (session, counter) in batch {
            let mut shard = self.shard(session);
            if shard.get(session).is_some_and(|known| known <= counter) {
                shard.remove(session);
            }
        }
    }

    fn shard(&self, session: &SessionId) -> MutexGuard<'_, Shard> {
        let shard = self.hasher.hash_one(session) as usize % SHARDS;
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatsdk_types::SystemEntropy;

    #[test]
    fn the_highest_counter_stays_until_it_is_written() {
        let seen = Seen::default();
        let (one, two) = (
            SessionId::new(1, &SystemEntropy),
            SessionId::new(1, &SystemEntropy),
        );
        seen.note(&one, 5);
        seen.note(&one, 3);
        seen.note(&two, 1);
        assert_eq!((seen.get(&one), seen.get(&two)), (5, 1));

        let batch = seen.dirty();
        assert_eq!(batch.len(), 2);
        assert_eq!(seen.get(&one), 5, "in force while it is being written");
        seen.note(&one, 6);
        seen.written(&batch);
        assert_eq!((seen.get(&one), seen.get(&two)), (6, 0));
        assert_eq!(seen.dirty(), [(one, 6)]);
    }

    #[test]
    fn it_is_bounded() {
        let seen = Seen::with_capacity(64);
        let known = SessionId::new(1, &SystemEntropy);
        seen.note(&known, 1);
        for _ in 0..1000 {
            seen.note(&SessionId::new(1, &SystemEntropy), 1);
        }
        assert_eq!(seen.dirty().len(), 64);
        seen.note(&known, 2);
        assert_eq!(seen.get(&known), 2, "who is noted already still rises");
    }
}
