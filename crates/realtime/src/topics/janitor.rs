//! Lets old history go, also in topics that nobody uses any more.
//!
//! A heap of moments, one entry a topic at most; a task sleeps until the first. An entry that comes up
//! too early, because the topic was used since, stands in line again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::Shared;
use crate::lock;
use crate::topics::topic::Topic;

/// How long the task sleeps at least, in milliseconds: memory does not need to go any sooner.
const REST: u64 = 1000;

/// How many topics are looked at before other tasks get their turn.
const BATCH: usize = 256;

/// Below so many entries the heap is not looked through for topics that are gone.
const FEW: usize = 64;

/// See the module's text. Moments are in the wheel's time.
#[derive(Debug, Default)]
pub(crate) struct Janitor {
    heap: Mutex<BinaryHeap<Reverse<Entry>>>,
    earlier: Notify,
}

#[derive(Debug)]
struct Entry {
    due: u64,
    topic: Weak<Topic>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
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
        self.due.cmp(&other.due)
    }
}

impl Janitor {
    /// Has `topic` looked at when `due` comes.
    pub(crate) fn schedule(&self, topic: &Arc<Topic>, due: u64) {
        let mut heap = lock(&self.heap);
        if heap.len() >= FEW && heap.len() == heap.capacity() {
            // Before it grows: entries keep the memory of topics that have ended.
            heap.retain(|Reverse(entry)| entry.topic.strong_count() > 0);
            let room = heap.len();
            heap.reserve(room);
        }
        let first = heap.peek().is_none_or(|Reverse(first)| due < first.due);
        heap.push(Reverse(Entry {
            due,
            topic: Arc::downgrade(topic),
        }));
        drop(heap);
        if first {
            self.earlier.notify_one();
        }
    }

    /// Works until `stop`.
    pub(crate) async fn work(self: Arc<Self>, shared: Weak<Shared>, stop: CancellationToken) {
        loop {
            let next = {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                let now = shared.wheel.now();
                loop {
                    let due = self.due(now);
                    let more = due.len() == BATCH;
                    for topic in due {
                        if let Some(topic) = topic.upgrade() {
                            topic.tidy(&shared, now);
                        }
                    }
                    if !more {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                self.next().map(|due| due.saturating_sub(now).max(REST))
            };
            let wait = async {
                match next {
                    Some(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.earlier.notified() => {}
                () = wait => {}
            }
        }
    }

    fn next(&self) -> Option<u64> {
        lock(&self.heap).peek().map(|Reverse(entry)| entry.due)
    }

    /// The first ones that are due, a batch of them at most: whoever publishes may wait for the heap.
    fn due(&self, now: u64) -> Vec<Weak<Topic>> {
        let mut heap = lock(&self.heap);
        let mut due = Vec::new();
        while due.len() < BATCH && heap.peek().is_some_and(|Reverse(first)| first.due <= now) {
            due.extend(heap.pop().map(|Reverse(entry)| entry.topic));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_have_ended_do_not_pile_up() {
        let janitor = Janitor::default();
        let stays = Arc::new(Topic::new(1, "app", "t", false));
        janitor.schedule(&stays, 5);
        for id in 2..100_000 {
            janitor.schedule(&Arc::new(Topic::new(id, "app", "gone", false)), 9);
        }
        assert!(lock(&janitor.heap).len() <= 2 * FEW);
        assert_eq!(janitor.next(), Some(5));
    }

    #[test]
    fn those_that_are_due_come_in_batches() {
        let janitor = Janitor::default();
        let topic = Arc::new(Topic::new(1, "app", "t", false));
        for due in 0..1000 {
            janitor.schedule(&topic, due);
        }
        let mut batches = Vec::new();
        loop {
            batches.push(janitor.due(699).len());
            if batches.ends_with(&[0]) {
                break;
            }
        }
        assert_eq!(batches, [BATCH, BATCH, 700 - 2 * BATCH, 0]);
        assert_eq!(janitor.next(), Some(700));
    }
}
