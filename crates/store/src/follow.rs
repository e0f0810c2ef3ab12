//! Waiting for the control log to grow, whoever wrote to it: this process, a command beside it, another
//! node.

use tokio::sync::watch;

/// Says when the control log may have grown.
#[derive(Debug, Clone)]
pub struct Follow(watch::Receiver<i64>);

impl Follow {
    /// The next call to [`Follow::changed`] answers at once: whatever was appended before anyone
    /// looked is worth a look too.
    pub(crate) fn new(mut head: watch::Receiver<i64>) -> Self {
        head.mark_changed();
        Self(head)
    }

    /// Waits until the log may have grown; the first call answers at once. `false` when the store was
    /// closed.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}
