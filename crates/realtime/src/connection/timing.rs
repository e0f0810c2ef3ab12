//! What is due and when: pings and their pongs, deadlines of phases, the ends of tokens. The wheel asks; moments are
//! in its time, but for those of tokens, which are in the wall clock's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chatsdk_protocol::push::Refresh;
use chatsdk_protocol::{DisconnectCode, Push};
use chatsdk_types::Millis;

use crate::connection::{Connection, NEVER, Phase, State};
use crate::lock;

/// What the wheel finds to do.
enum Due {
    Nothing,
    Ping,
    Close(DisconnectCode),
    Subscriptions,
    Kill,
}

impl Connection {
    /// Starts pings, the first one after `first_ping` milliseconds (`None`: no pings), and the watch
    /// over the expiry. Called when the connect reply is out, so that no ping overtakes it.
    pub(crate) fn start_timers(self: &Arc<Self>, first_ping: Option<u64>) {
        self.stop_holding();
        let mut state = lock(&self.state);
        if state.phase == Phase::Live {
            state.next_ping = first_ping.map_or(NEVER, |wait| self.shared.wheel.now() + wait);
            self.stand_in_line(&mut state);
        }
    }

    /// Looks after the tokens of subscriptions, one of which is new.
    pub(crate) fn watch_subscriptions(self: &Arc<Self>) {
        let first = self.subscriptions.first_expiry().unwrap_or(Millis::MAX);
        self.subscriptions_until.store(first, Ordering::Relaxed);
        if first != Millis::MAX {
            self.stand_in_line(&mut lock(&self.state));
        }
    }

    /// Has its proof end at another time, and tells the client; `false`: it is not live.
    pub(crate) fn expire_at(self: &Arc<Self>, expires_at: Option<Millis>) -> bool {
        {
            let mut state = lock(&self.state);
            if state.phase != Phase::Live {
                return false;
            }
            state.expires_at = expires_at;
            self.stand_in_line(&mut state);
        }
        let left = expires_at.map(|at| at.saturating_sub(self.shared.clock.now()) / 1000);
        self.push(&Push::of_connection(Refresh {
            expires: left.is_some(),
            ttl: left.map_or(0, |left| left.clamp(1, Millis::from(u32::MAX)) as u32),
        }));
        true
    }

    /// Has the time for a pong stand still: the client is not listened to while its commands are obeyed.
    pub(crate) fn begin_obeying(&self) {
        lock(&self.state).obeying = Some(self.shared.wheel.now());
    }

    /// Listens to the client again; the time it has for a pong goes on where it stood.
    pub(crate) fn end_obeying(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if let Some(since) = state.obeying.take()
            && state.pong_due != NEVER
        {
            let took = self.shared.wheel.now().saturating_sub(since);
            state.pong_due = state.pong_due.saturating_add(took);
            self.stand_in_line(&mut state);
        }
    }

    /// Takes the answer to a ping; `false` when none was awaited.
    pub(crate) fn pong(&self) -> bool {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Closing => true,
            _ if state.pongs_owed == 0 => false,
            _ => {
                state.pongs_owed -= 1;
                if state.pongs_owed == 0 {
                    state.pong_due = NEVER;
                }
                true
            }
        }
    }

    /// What is due now? Called by the wheel, `at` the moment that the entry stood for.
    pub(crate) fn look_at_time(self: &Arc<Self>, at: u64) {
        let due = {
            let mut state = lock(&self.state);
            if state.scheduled > at {
                // A later entry stands for this connection; this one was overtaken by an earlier one.
                return;
            }
            state.scheduled = NEVER;
            self.due(&mut state)
        };
        match due {
            Due::Nothing => {}
            Due::Ping => self.send(self.shape.ping()),
            Due::Close(code) => {
                self.close(&code.into());
            }
            Due::Subscriptions => self.end_expired_subscriptions(),
            Due::Kill => return self.kill(None),
        }
        self.stand_in_line(&mut lock(&self.state));
    }

    /// Looks at the time now, because the wall clock may have jumped.
    pub(crate) fn recheck(self: &Arc<Self>) {
        let due = self.due(&mut lock(&self.state));
        match due {
            Due::Ping => self.send(self.shape.ping()),
            Due::Close(code) => {
                self.close(&code.into());
            }
            Due::Subscriptions => self.end_expired_subscriptions(),
            Due::Nothing | Due::Kill => {}
        }
        self.stand_in_line(&mut lock(&self.state));
    }

    fn end_expired_subscriptions(self: &Arc<Self>) {
        self.end_expired(self.shared.clock.now());
        let first = self.subscriptions.first_expiry().unwrap_or(Millis::MAX);
        self.subscriptions_until.store(first, Ordering::Relaxed);
    }

    fn due(&self, state: &mut State) -> Due {
        let now = self.shared.wheel.now();
        match state.phase {
            Phase::Closing if now >= state.deadline => Due::Kill,
            Phase::Closing => Due::Nothing,
            Phase::Fresh | Phase::Connecting | Phase::Refused => {
                if now >= state.deadline {
                    Due::Close(DisconnectCode::Stale)
                } else {
                    Due::Nothing
                }
            }
            Phase::Live => {
                if self.expires_in(state) == 0 {
                    Due::Close(DisconnectCode::ConnectionExpired)
                } else if self.subscription_expires_in() == 0 {
                    Due::Subscriptions
                } else if now >= state.pong_due && state.obeying.is_none() {
                    Due::Close(DisconnectCode::NoPong)
                } else if now >= state.next_ping {
                    let config = &self.shared.config;
                    state.next_ping = self.shared.after(config.ping_interval);
                    // One moment before the next ping at the latest: two pings do not overlap, unless a
                    // command takes that long.
                    let due = self
                        .shared
                        .after(config.pong_wait)
                        .min(state.next_ping.saturating_sub(1));
                    state.pong_due = state.pong_due.min(due);
                    state.pongs_owed += 1;
                    Due::Ping
                } else {
                    Due::Nothing
                }
            }
        }
    }

    /// Milliseconds until the connection outlives its token too long; `NEVER` without an expiry.
    fn expires_in(&self, state: &State) -> u64 {
        state.expires_at.map_or(NEVER, |expires_at| {
            let delay = self.shared.config.expired_close_delay.as_millis() as Millis;
            let left = expires_at
                .saturating_add(delay)
                .saturating_sub(self.shared.clock.now());
            u64::try_from(left).unwrap_or(0)
        })
    }

    /// Milliseconds until a subscription outlives its token too long; `NEVER` without an expiry.
    fn subscription_expires_in(&self) -> u64 {
        let until = self.subscriptions_until.load(Ordering::Relaxed);
        if until == Millis::MAX {
            return NEVER;
        }
        let delay = self.shared.config.expired_sub_close_delay.as_millis() as Millis;
        let left = until
            .saturating_add(delay)
            .saturating_sub(self.shared.clock.now());
        u64::try_from(left).unwrap_or(0)
    }

    /// Stands in the wheel for the next moment at which something may be due.
    pub(super) fn stand_in_line(self: &Arc<Self>, state: &mut State) {
        let due = match state.phase {
            Phase::Live => {
                let expires = self
                    .shared
                    .wheel
                    .now()
                    .saturating_add(self.expires_in(state).min(self.subscription_expires_in()));
                let pong_due = if state.obeying.is_some() {
                    NEVER
                } else {
                    state.pong_due
                };
                expires.min(state.next_ping).min(pong_due)
            }
            _ => state.deadline,
        };
        if due < state.scheduled {
            state.scheduled = self.shared.wheel.schedule(Arc::downgrade(self), due);
        }
    }
}
