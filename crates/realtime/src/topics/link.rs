//! The way of a topic to other nodes: its broker is asked to bring what is said in it while somebody on this
//! node listens.
//!
//! It goes a moment after the last one has left, because most of those who leave come back: a client that
//! changes networks costs the broker nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::broker::BrokerError;
use crate::engine::Shared;
use crate::lock;
use crate::topics::topic::{Inner, Topic};

/// How long a topic stays linked without listeners.
const REST: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Whether the broker brings what is said; locked while that changes. `Inner::linked` is the same for those
    /// who cannot wait, and is true while it is not known.
    linked: Mutex<bool>,
    /// Until when nobody may have listened before it is unlinked, in the wheel's time.
    rests_until: AtomicU64,
    /// A task waits for that.
    rests: AtomicBool,
}

impl Shared {
    /// Makes sure that what is said in `topic` from now on comes to this node. The caller has a slot in it.
    pub(crate) async fn link(&self, topic: &Arc<Topic>) -> Result<(), BrokerError> {
        let Some(link) = &topic.link else {
            return Ok(());
        };
        let mut linked = link.linked.lock().await;
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
        if let Some(link) = &topic.link
            && inner.listeners() == 0
            && inner.linked
        {
            link.rests_until.store(self.after(REST), Ordering::Relaxed);
            if !link.rests.swap(true, Ordering::Relaxed) {
                self.run_aside(Arc::clone(self).unlink(Arc::clone(topic)));
            }
        }
    }

    async fn unlink(self: Arc<Self>, topic: Arc<Topic>) {
        let Some(link) = &topic.link else {
            return;
        };
        loop {
            let until = link.rests_until.load(Ordering::Relaxed);
            match until.saturating_sub(self.wheel.now()) {
                0 => break,
                rest => tokio::time::sleep(Duration::from_millis(rest)).await,
            }
        }
        let mut linked = link.linked.lock().await;
        {
            let inner = lock(&topic.inner);
            // With the topic locked: whoever leaves from here on starts the next rest.
            link.rests.store(false, Ordering::Relaxed);
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
