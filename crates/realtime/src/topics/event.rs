//! What subscribers of a topic are told.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use crate::broker::publication::{ClientInfo, Publication};
use crate::config::Config;
use crate::topics::batch::MAX_EVENTS;

/// One event of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Its number among all events of the topic, from 1.
    pub(crate) number: u64,
    /// When it came in.
    pub(crate) since: Instant,
    pub(crate) what: What,
}

impl Event {
    /// How much of a backlog it takes up, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.what.size()
    }
}

impl What {
    /// Bytes of payload, or of what the host says of a client.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Publication { publication, .. } => publication.data.bytes().len(),
            Self::Join(info) | Self::Leave(info) => {
                info.conn_info.bytes().len() + info.chan_info.bytes().len()
            }
        }
    }

    /// Whether its absence shows, because it has an offset.
    fn is_counted(&self) -> bool {
        matches!(self, Self::Publication { publication, .. } if publication.offset > 0)
    }
}

/// Events that wait to be delivered, within bounds.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    events: VecDeque<Event>,
    bytes: usize,
}

impl Backlog {
    /// Whether something of `size` bytes more would be too much.
    pub(crate) fn is_full(&self, size: usize, config: &Config) -> bool {
        self.events.len() >= config.max_backlog_events.max(1)
            || (self.bytes > 0 && self.bytes.saturating_add(size) > config.max_backlog_bytes)
    }

    /// Takes `event`, giving old ones up for it if need be; answers how many.
    pub(crate) fn push(&mut self, event: Event, config: &Config) -> usize {
        let before = self.events.len();
        if self.is_full(event.size(), config) {
            if event.what.is_counted() {
                // Whoever counts cannot use what stands before a gap. One does see the gap, because the
                // new event stays.
                self.events.clear();
                self.bytes = 0;
            }
            while self.is_full(event.size(), config) && self.pop().is_some() {}
        }
        let given_up = before - self.events.len();
        self.bytes += event.size();
        self.events.push_back(event);
        given_up
    }

    fn pop(&mut self) -> Option<Event> {
        self.pop_if(|_| true)
    }

    /// Takes the oldest event, if it is `wanted`.
    pub(crate) fn pop_if(&mut self, wanted: impl FnOnce(&Event) -> bool) -> Option<Event> {
        let event = self.events.pop_front_if(|event| wanted(event))?;
        self.bytes -= event.size();
        Some(event)
    }

    /// Bytes of payload that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets memory go that a burst has left.
    pub(crate) fn shrink(&mut self) {
        self.events.shrink_to(MAX_EVENTS);
    }
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Publication {
        publication: Arc<Publication>,
        /// The one before it, when this one may go out as the difference to it.
        before: Option<Arc<Publication>>,
        /// The epoch of its offset; `None` in a topic without history.
        epoch: Option<Arc<str>>,
    },
    Join(Arc<ClientInfo>),
    Leave(Arc<ClientInfo>),
}
