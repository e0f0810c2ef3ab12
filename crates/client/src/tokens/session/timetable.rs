//! When the pair in use is refreshed: its due moment, and the retries after failures.

use std::pin::pin;
use std::sync::Arc;

use chatsdk_types::Millis;
use futures_util::future::select;

use super::{Session, State};
use crate::platform::Platform;
use crate::tokens::manager::TokenState;
use crate::tokens::pair::Pair;
use crate::tokens::schedule::{effective_buffer, patience};

/// So many refreshes in a minute may be forced before they are due.
const EARLY_PER_MINUTE: usize = 10;

/// So long after a retry was brought forward no other one is, in ms: focus and networks flap.
const CALM: Millis = 5_000;

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
                    // What came of it may be the very token that somebody was refused with while it ran.
                    state.waiters.retain(|waiter| !waiter.reply.is_closed());
                    state.wanted |= !state.waiters.is_empty() && state.retry_at.is_none();
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
        if !self.can_refresh(&pair) {
            state.wanted = false;
            drop(state);
            let left = pair.life_left(now);
            if left <= 0 {
                // By this device's clock, which may be wrong: the server's refusal is what ends it.
                self.shared.set_state(TokenState::Expired);
                return Step::Wait(platform.tick());
            }
            return Step::Wait(left.min(platform.tick()));
        }
        let wait = if state.wanted {
            0
        } else if let Some(at) = state.retry_at {
            (at - now.mono).min(platform.tick())
        } else {
            let hidden = !platform.visible();
            let idle = hidden && !(self.shared.options.in_use)();
            // Who is looked at goes first; what they get is everybody's.
            let courtesy = if hidden {
                patience(effective_buffer(pair.ttl, self.shared.buffer()))
            } else {
                0
            };
            let wait = self.due(&state, &pair) + courtesy - pair.elapsed(now);
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
        pair.left - effective_buffer(pair.ttl, self.shared.buffer()) + state.jitter
    }

    pub(crate) fn can_refresh(&self, pair: &Pair) -> bool {
        self.shared.options.can_refresh(&pair.tokens)
    }

    /// It may have slept, or the network is back: what waited for a retry goes `delay` ms from now, unless it goes sooner.
    pub(super) fn resume(&self, delay: Millis) {
        let mono = self.now().mono;
        let mut state = self.state();
        if let Some(retry_at) = state.retry_at {
            let sooner = (mono + delay)
                .max(state.retry_not_before)
                .max(state.calm_until);
            if sooner < retry_at {
                state.calm_until = sooner + CALM;
                state.retry_at = Some(sooner);
            }
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
