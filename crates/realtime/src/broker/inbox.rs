//! How what was said elsewhere comes to this node.

use std::sync::{Arc, Weak};

use crate::broker::order::Order;
use crate::broker::publication::Publication;
use crate::broker::{Announcement, TopicName};
use crate::engine::Shared;
use crate::handle::Handle;
use crate::topics::event::What;

/// A node's end of its broker. It does not keep the engine: once that is gone, what comes is dropped.
#[derive(Debug, Clone)]
pub struct Inbox(Weak<Shared>);

/// A publication that a broker brings.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// What was said, with its offset; 0 in a topic without history.
    pub publication: Publication,
    /// The epoch that the offset counts in; `None` in a topic without history.
    pub epoch: Option<Arc<str>>,
    /// Fit for differences.
    pub delta: bool,
}

impl Inbox {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.0.upgrade()
    }

    /// Delivers a publication to this node's subscribers, in the order of the calls. Whether it is the next one
    /// is looked at there.
    pub fn deliver(&self, topic: TopicName<'_>, incoming: Incoming) {
        let Some(shared) = self.shared() else {
            return;
        };
        let Incoming {
            publication,
            epoch,
            delta,
        } = incoming;
        shared
            .topics
            .find(topic.app, topic.channel, |topic, inner| {
                topic.arrive(inner, &shared, Arc::new(publication), epoch, delta);
            });
    }

    /// Tells this node's subscribers that a client has come or gone.
    pub fn announce(&self, topic: TopicName<'_>, announcement: Announcement) {
        let Some(shared) = self.shared() else {
            return;
        };
        let what = match announcement {
            Announcement::Join(info) => What::Join(info),
            Announcement::Leave(info) => What::Leave(info),
        };
        shared
            .topics
            .find(topic.app, topic.channel, |topic, inner| {
                topic.tell(inner, &shared, what);
            });
    }

    /// Obeys what another node has ordered.
    pub fn obey(&self, order: &Order) {
        if let Some(shared) = self.shared() {
            order.obey(&Handle::of(shared));
        }
    }

    /// Has the positions of all topics compared now: the link to the broker was down, and what was said
    /// meanwhile did not come.
    pub fn check_positions(&self) {
        if let Some(shared) = self.shared() {
            shared.positions.check_now();
        }
    }
}
