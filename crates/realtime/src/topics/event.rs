//! What subscribers of a topic are told.

use std::sync::Arc;

use tokio::time::Instant;

use crate::broker::publication::{ClientInfo, Publication};

/// One event of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Its number among all events of the topic, from 1.
    pub(crate) number: u64,
    /// When it came in.
    pub(crate) since: Instant,
    pub(crate) what: What,
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
