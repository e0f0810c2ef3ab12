//! What goes on whatever becomes of a session: writes that were begun, logouts that the server was not told of yet.

use std::future::Future;
use std::sync::Mutex;

use super::lock;
use super::session::Task;

/// Tasks that the driver has not taken up yet.
#[derive(Default)]
pub(crate) struct Background(Mutex<Vec<Task>>);

impl Background {
    /// The driver polls `task` to its end.
    pub(crate) fn add(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0).push(Box::pin(task));
    }

    /// The tasks that were added since this was last asked.
    pub(crate) fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *lock(&self.0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}
