//! The in-process broker.
//!
//! - [`budget`]: how much all histories together may hold.
//! - [`epochs`]: what streams count in.
//! - [`stream`]: the history of one topic.
//! - [`repeats`]: publications that a caller sends again.
//!
//! [`Memory`] has no state of its own: what it keeps of a topic stands in the topic, beside its subscribers.
//! Its answers are there at once.

pub(crate) mod budget;
pub(crate) mod epochs;
pub(crate) mod repeats;
pub(crate) mod stream;

use std::sync::{Arc, OnceLock};

use crate::broker::answer::Answer;
use crate::broker::inbox::Inbox;
use crate::broker::memory::stream::Range;
use crate::broker::order::Order;
use crate::broker::publication::{ClientInfo, Position};
use crate::broker::{Announcement, Broker, BrokerError, Kept, Outgoing, TopicName};
use crate::engine::Shared;
use crate::topics::options::Keep;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Memory(OnceLock<Inbox>);

impl Memory {
    fn here<T>(&self, work: impl FnOnce(&Arc<Shared>) -> Result<T, BrokerError>) -> Answer<T> {
        let shared = self.0.get().and_then(Inbox::shared);
        Answer::known(shared.map_or(Err(BrokerError::Unavailable), |shared| work(&shared)))
    }
}

impl Broker for Memory {
    fn attach(&self, inbox: Inbox) {
        // An engine attaches once; a second one would find its topics in the first.
        let _ = self.0.set(inbox);
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn publish(&self, publication: Outgoing<'_>) -> Answer<Option<Position>> {
        self.here(|shared| shared.publish_here(publication))
    }

    fn announce(&self, topic: TopicName<'_>, announcement: Announcement) -> Answer<()> {
        if let Some(inbox) = self.0.get() {
            inbox.announce(topic, announcement);
        }
        Answer::from(())
    }

    fn subscribe(&self, _: TopicName<'_>) -> Answer<()> {
        Answer::from(())
    }

    fn unsubscribe(&self, _: TopicName<'_>) -> Answer<()> {
        Answer::from(())
    }

    fn history(&self, topic: TopicName<'_>, keep: Keep, range: Range<'_>) -> Answer<Kept> {
        self.here(|shared| {
            let kept = shared
                .topics
                .find(topic.app, topic.channel, |topic, inner| {
                    let kept = inner.history(topic.name(), keep, shared, range);
                    topic.see_janitor(inner, shared);
                    kept
                });
            // No topic is made for a question: names can be made up.
            Ok(kept.unwrap_or_else(|| shared.stream(topic).kept(range, shared.wheel.now())))
        })
    }

    fn forget(&self, topic: TopicName<'_>) -> Answer<()> {
        self.here(|shared| {
            let forget = |_: &Arc<_>, inner: &mut crate::topics::topic::Inner| inner.forget();
            shared.topics.find(topic.app, topic.channel, forget);
            Ok(())
        })
    }

    fn enter(&self, _: TopicName<'_>, _: Arc<ClientInfo>) -> Answer<()> {
        Answer::from(())
    }

    fn leave(&self, _: TopicName<'_>, _: &str) -> Answer<()> {
        Answer::from(())
    }

    fn present(&self, topic: TopicName<'_>, most: usize) -> Answer<Option<Vec<Arc<ClientInfo>>>> {
        self.here(|shared| {
            let present = shared.topics.find(topic.app, topic.channel, |_, inner| {
                (inner.listeners() <= most).then(|| inner.present())
            });
            Ok(present.unwrap_or_else(|| Some(Vec::new())))
        })
    }

    fn count_present(&self, topic: TopicName<'_>) -> Answer<(usize, usize)> {
        self.here(|shared| {
            let now = shared.wheel.now();
            let count = shared.topics.find(topic.app, topic.channel, |_, inner| {
                inner.count_present(now)
            });
            Ok(count.unwrap_or_default())
        })
    }

    fn send(&self, _: Order) -> Answer<()> {
        Answer::from(())
    }
}
