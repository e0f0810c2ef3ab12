//! The epochs that streams count in.
//!
//! A stream in which nothing was said is not kept when nobody listens: clients may make up any number of names. But
//! whoever was there, at offset 0, shall be able to go on. Therefore streams do not begin in epochs of their own: all
//! begin in the same one, and an empty one that is made anew is the one from before.
//!
//! That must not be said of a stream that has counted and was forgotten: what it held is lost, be it to somebody who
//! was at its offset 0. Names are spread over a fixed number of places, and a place counts how many such streams were
//! forgotten in it; that number is part of the epochs of those that begin there. A topic thus never has the same epoch
//! again once it has counted in it. Where another topic of the place is forgotten, clients that were at offset 0 are
//! told that they may have missed something, which costs them a question.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use chatsdk_types::{Entropy, entropy};

use crate::broker::TopicName;

/// How many places there are: so many, a MiB, that neighbours are rare. Where fifty thousand topics are forgotten in an
/// hour, one in five of those who were at offset 0 for all of it asks for nothing.
const PLACES: usize = PAGES * PAGE;

/// They are in pages, which are made when something is forgotten in them.
const PAGES: usize = 512;

/// How many places there are in a page.
const PAGE: usize = 512;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Epochs {
    /// Letters that no other process has.
    first: Arc<str>,
    /// How many streams that had counted were forgotten, by place.
    forgotten: Box<[OnceLock<Page>]>,
    hasher: RandomState,
}

type Page = Box<[AtomicU32]>;

/// Where the streams of a topic begin.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    epochs: Arc<Epochs>,
    at: usize,
}

impl Epochs {
    /// Those of this process.
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        let bytes: [u8; 8] = entropy::bytes(entropy);
        let letters = bytes.iter().map(|byte| char::from(b'a' + byte % 26));
        Self::new(letters.collect::<String>())
    }

    pub(crate) fn new(first: impl Into<Arc<str>>) -> Self {
        Self {
            first: first.into(),
            forgotten: (0..PAGES).map(|_| OnceLock::new()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The place of `topic`.
    pub(crate) fn place(self: &Arc<Self>, topic: TopicName<'_>) -> Place {
        Place {
            epochs: Arc::clone(self),
            at: self.hasher.hash_one(topic) as usize % PLACES,
        }
    }
}

impl Place {
    /// The epoch of a stream that begins now.
    pub(crate) fn epoch(&self) -> Arc<str> {
        let first = &self.epochs.first;
        // Whoever has forgotten a stream of the same topic did so before, under the topic's lock.
        let page = self.epochs.forgotten[self.at / PAGE].get();
        match page.map_or(0, |page| page[self.at % PAGE].load(Ordering::Relaxed)) {
            0 => Arc::clone(first),
            forgotten => format!("{first}{forgotten}").into(),
        }
    }

    /// Notes that a stream is forgotten that has counted.
    pub(crate) fn forget(&self) {
        let make = || (0..PAGE).map(|_| AtomicU32::new(0)).collect();
        let page = self.epochs.forgotten[self.at / PAGE].get_or_init(make);
        page[self.at % PAGE].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_has_counted_never_has_its_epoch_again() {
        let epochs = Arc::new(Epochs::new("one"));
        let topic = TopicName {
            app: "app",
            channel: "t",
        };
        let place = epochs.place(topic);
        let first = place.epoch();
        assert_eq!(first, epochs.place(topic).epoch(), "nothing is forgotten");
        let mut known = vec![first];
        for _ in 0..100 {
            place.forget();
            let next = epochs.place(topic).epoch();
            assert!(!known.contains(&next), "{next}");
            known.push(next);
        }
    }

    #[test]
    fn neighbours_are_rare() {
        let epochs = Arc::new(Epochs::new("one"));
        let place = |channel: &str| {
            let app = "app";
            epochs.place(TopicName { app, channel })
        };
        for number in 0..1000 {
            place(&format!("forgotten-{number}")).forget();
        }
        let others = (0..10_000).map(|number| place(&format!("other-{number}")).epoch());
        let changed = others.filter(|epoch| **epoch != *"one").count();
        // 38 on average.
        assert!(changed < 150, "{changed}");
    }
}
