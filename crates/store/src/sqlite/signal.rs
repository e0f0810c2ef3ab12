//! How a thread of the database is woken, and told to stop.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Shared between a thread that waits and those who wake it.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    raised: bool,
    stopped: bool,
}

impl Signal {
    /// There is something to do. Costs a lock, and a wake-up only the first time.
    pub(super) fn raise(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.raised {
            state.raised = true;
            self.changed.notify_all();
        }
    }

    /// The thread is to end.
    pub(super) fn stop(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stopped = true;
        self.changed.notify_all();
    }

    /// Waits until there is something to do, and takes it. `false` when the thread is to end.
    pub(super) fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .changed
            .wait_while(state, |state| !state.raised && !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        state.raised = false;
        !state.stopped
    }

    /// Waits for `pause`. `false` when the thread is to end, as soon as it is.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, pause, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }
}
