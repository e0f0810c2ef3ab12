//! The delivery: a task that goes through the subscribers of one topic until nothing waits.
//!
//! There is at most one at a time for a topic, which keeps its order; no lock is held for longer than
//! it takes to look at one chunk of subscribers; and what is published while it goes on is delivered
//! together in the next round, in one frame.

use std::sync::Arc;

use crate::engine::Shared;
use crate::topics::batch::Batch;
use crate::topics::topic::Topic;

/// How many subscribers are looked up at once.
const CHUNK: usize = 64;

/// How many are served before other tasks get their turn: about a millisecond.
const TURN: usize = 256;

pub(crate) async fn sweep(shared: Arc<Shared>, topic: Arc<Topic>) {
    let mut chunk = Vec::new();
    while let Some(events) = topic.take(&shared.stats) {
        let since: Vec<_> = events.iter().map(|event| event.since).collect();
        let mut batch = Batch::new(events, Arc::clone(&topic));
        let mut at = 0;
        loop {
            let more = topic.chunk(at, CHUNK, &mut chunk);
            for subscription in chunk.drain(..) {
                if subscription.deliver(&mut batch).is_err() {
                    subscription.connection.lost_track(&subscription);
                }
            }
            at += CHUNK;
            if !more {
                break;
            }
            if at % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        for since in since {
            shared.stats.fan_out.record(since.elapsed());
        }
        tokio::task::yield_now().await;
    }
    shared.topics.release_if_idle(&topic);
}
