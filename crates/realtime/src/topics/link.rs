//! The way of a topic to other nodes: its broker is asked to bring what is said in it while somebody on this
//! node listens.
//!
//! It goes a moment after the last one has left, because most of those who leave come back: a client that
//! changes networks costs the broker nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::broker::BrokerError;
use crate::engine::Shared;
use crate::lock;
use crate::topics::topic::{Inner, Topic};

/// How long a topic stays linked without listeners.
const REST: Duration = Duration::from_secs(1);

/// Whether the broker brings what is said; locked while that changes. `Inner::linked` is the same for those who
/// cannot wait, and is true while it is not known.
#[derive(Debug, Default)]
pub(crate) struct Link(Mutex<bool>);

impl Shared {
    /// Makes sure that what is said in `topic` from now on comes to this node. The caller has a slot in it.
    pub(crate) async fn link(&self, topic: &Arc<Topic>) -> Result<(), BrokerError> {
        let Some(link) = &topic.link else {
            return Ok(());
        };
        let mut linked = link.0.lock().await;
        if !*linked {
            // Before the question: if the caller goes away meanwhile, somebody still has to take it back.
            lock(&topic.inner).linked = true;
            self.broker.subscribe(topic.name()).await?;
            *linked = true;
        }
        Ok(())
    }

    /// Has `topic` unlinked, if nobody listens any more. Called with the topic locked.
    pub(crate) fn unlink_when_idle(self: &Arc<Self>, topic: &Arc<Topic>, inner: &Inner) {
        if topic.link.is_some() && inner.listeners() == 0 && inner.linked {
            self.run_aside(Arc::clone(self).unlink(Arc::clone(topic)));
        }
    }

    async fn unlink(self: Arc<Self>, topic: Arc<Topic>) {
        tokio::time::sleep(REST).await;
        let Some(link) = &topic.link else {
            return;
        };
        let mut linked = link.0.lock().await;
        {
            let inner = lock(&topic.inner);
            if inner.listeners() > 0 || !inner.linked {
                return;
            }
        }
        // Whoever comes now waits for the lock, and links it anew.
        if let Err(error) = self.broker.unsubscribe(topic.name()).await {
            // What still comes finds no listener.
            tracing::debug!(%error, "a topic was not unsubscribed from");
        }
        *linked = false;
        lock(&topic.inner).linked = false;
        drop(linked);
        self.topics.release_if_idle(&topic);
    }
}
