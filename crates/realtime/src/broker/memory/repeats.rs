//! Publications that a caller sends again, because it did not hear that the first one had arrived.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::broker::publication::Position;

/// What a topic remembers of its callers' keys and versions. Empty, and without memory, for topics
/// whose callers use neither.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    by_key: HashMap<Arc<str>, Option<Position>>,
    /// The keys by age, each with the moment it is forgotten.
    by_age: VecDeque<(u64, Arc<str>)>,
    version: Option<u64>,
    version_epoch: Box<str>,
    /// When the version is forgotten.
    version_until: u64,
}

/// A publication that was made lately.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where it stands; `None` in a topic without history.
    pub(crate) position: Option<Position>,
}

impl Repeats {
    /// What came of the publication with `key`, if there was one lately.
    pub(crate) fn seen(&mut self, key: &str, now: u64) -> Option<Seen> {
        self.tidy(now);
        let position = self.by_key.get(key)?.clone();
        Some(Seen { position })
    }

    /// Remembers what came of the publication with `key`.
    pub(crate) fn remember(&mut self, key: &str, position: Option<Position>, until: u64) {
        let key: Arc<str> = key.into();
        self.by_key.insert(Arc::clone(&key), position);
        self.by_age.push_back((until, key));
    }

    /// Whether `version` is newer than all that came before it in its epoch; then it is the newest, and
    /// remembered `until`.
    pub(crate) fn advance(&mut self, version: u64, epoch: &str, until: u64) -> bool {
        self.version_until = until;
        let newer =
            self.version.is_none_or(|known| version > known) || *epoch != *self.version_epoch;
        if newer {
            self.version = Some(version);
            if *epoch != *self.version_epoch {
                self.version_epoch = epoch.into();
            }
        }
        newer
    }

    /// Forgets old keys, and an old version.
    pub(crate) fn tidy(&mut self, now: u64) {
        if self.version_until <= now {
            self.version = None;
        }
        while self.by_age.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.by_age.pop_front() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Whether nothing is remembered that could still matter.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.version.is_none()
    }

    /// When [`Repeats::tidy`] finds something to do next.
    pub(crate) fn next_tidy(&self) -> u64 {
        let key = self.by_age.front().map_or(u64::MAX, |(until, _)| *until);
        if self.version.is_some() {
            key.min(self.version_until)
        } else {
            key
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_for_its_time() {
        let mut repeats = Repeats::default();
        assert!(repeats.is_empty());
        assert_eq!(repeats.seen("a", 0), None);
        repeats.remember("a", None, 100);
        assert_eq!(repeats.seen("a", 99), Some(Seen { position: None }));
        assert_eq!(repeats.next_tidy(), 100);
        assert_eq!(repeats.seen("a", 100), None);
        assert!(repeats.is_empty());
    }

    #[test]
    fn versions_only_rise_within_their_epoch() {
        let mut repeats = Repeats::default();
        let mut advance = |version, epoch| repeats.advance(version, epoch, 100);
        assert!(advance(0, ""), "as good a first version as any");
        assert!(!advance(0, ""));
        assert!(advance(5, ""));
        assert!(!advance(5, ""));
        assert!(!advance(4, ""));
        assert!(advance(1, "b"));
        assert!(!advance(1, "b"));
        assert!(advance(2, "b"));
        assert_eq!(repeats.next_tidy(), 100);
        repeats.tidy(99);
        assert!(!repeats.is_empty());
        repeats.tidy(100);
        assert!(repeats.is_empty());
        assert!(repeats.advance(1, "b", 200));
    }
}
