//! When the pair in use is refreshed: its due moment, and the retries after failures.

use std::pin::pin;
use std::sync::Arc;

use chatsdk_types::Millis;
use futures_util::future::select;

use super::{Session, State};
use crate::platform::Platform;
use crate::tokens::pair::Pair;
use crate::tokens::schedule::effective_buffer;

/// So many refreshes in a minute may be forced before they are due.
const EARLY_PER_MINUTE: usize = 10;

/// What the schedule does next.
enum Step {
    Refresh,
    Wait(Millis),
}

impl<P: Platform> Session<P> {
    /// Refreshes whenever it is time. Never sets a long timer: sleep, throttling and jumps show within a
    /// tick.
    pub(super) async fn schedule(self: Arc<Self>) {
        loop {
            let step = self.next_step();
            match step {
                Step::Refresh => {
                    self.refresh().await;
                    let mut state = self.state();
                    state.running = false;
                    for waiting in std::mem::take(&mut state.flight) {
                        let _gone = waiting.send(());
                    }
                }
                Step::Wait(ms) => {
                    let sleep = pin!(self.platform().sleep(ms));
                    let kick = pin!(self.kick.notified());
                    select(sleep, kick).await;
                }
            }
        }
    }

    fn next_step(&self) -> Step {
        let (now, platform) = (self.now(), self.platform());
        let mut state = self.state();
        let Some(pair) = state.pair.clone() else {
            return Step::Wait(platform.tick());
        };
        let wait = if state.wanted {
            0
        } else if let Some(at) = state.retry_at {
            (at - now.mono).min(platform.tick())
        } else {
            let wait = self.due(&state, &pair) - pair.elapsed(now);
            let idle = !platform.visible() && !(self.shared.options.in_use)();
            match wait {
                1.. => wait.min(platform.tick()),
                _ if idle => platform.tick(),
                _ => 0,
            }
        };
        if wait > 0 {
            return Step::Wait(wait);
        }
        state.wanted = false;
        state.retry_at = None;
        state.running = true;
        Step::Refresh
    }

    /// When the pair in use is to be refreshed, in ms since it was taken up.
    pub(super) fn due(&self, state: &State, pair: &Pair) -> Millis {
        if !self.can_refresh(pair) {
            return pair.left;
        }
        pair.left - effective_buffer(pair.ttl, self.shared.buffer()) + state.jitter
    }

    pub(super) fn can_refresh(&self, pair: &Pair) -> bool {
        !pair.tokens.refresh_token.is_empty() || self.shared.options.refresh_tokens.is_some()
    }

    /// It may have slept, or the network is back: what waited for a retry goes `delay` ms from now.
    pub(super) fn resume(&self, delay: Millis) {
        let mono = self.now().mono;
        let mut state = self.state();
        if state.retry_at.is_some() {
            state.retry_at = Some((mono + delay).max(state.retry_not_before));
        }
        drop(state);
        self.kick.notify_one();
    }

    /// Counts refreshes that come before they are due, and stops them when something drives them in a
    /// circle.
    pub(super) fn may_force(&self, old: &Pair) -> bool {
        let now = self.now();
        let mut state = self.state();
        if old.elapsed(now) >= self.due(&state, old) {
            return true;
        }
        state.early.retain(|at| now.mono - at < 60_000);
        if state.early.len() >= EARLY_PER_MINUTE {
            return false;
        }
        state.early.push(now.mono);
        true
    }
}
