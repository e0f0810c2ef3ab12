//! One timer for all connections.
//!
//! A ring of slots, each a tenth of a second wide; a connection stands in the slot of the next moment
//! at which something may be due for it. When the slot comes up the connection looks for itself what is
//! due, so that nothing is ever taken out of the ring: a deadline that moved later is found not to be
//! due yet and stands in line again. What lies beyond the ring waits at its far end in the same way.
//! An entry is one weak pointer; the task sleeps until the next slot that holds any.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::lock;

/// How wide a slot is, in milliseconds. Nothing here needs to be more punctual.
const TICK: u64 = 100;

/// How many slots there are: 51 seconds, so that an entry rarely waits at the far end.
const SLOTS: u64 = 512;

/// How many connections are looked at before other tasks get their turn.
const BATCH: usize = 256;

#[derive(Debug)]
pub(crate) struct Wheel {
    start: Instant,
    ring: Mutex<Ring>,
    earlier: Notify,
}

#[derive(Debug)]
struct Ring {
    slots: Vec<Vec<Weak<Connection>>>,
    /// The last tick whose slot was emptied.
    cursor: u64,
    entries: usize,
    /// The tick that the task sleeps for; `u64::MAX`: it sleeps until it is called.
    wakes_at: u64,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            ring: Mutex::new(Ring {
                slots: (0..SLOTS).map(|_| Vec::new()).collect(),
                cursor: 0,
                entries: 0,
                wakes_at: u64::MAX,
            }),
            earlier: Notify::new(),
        }
    }

    /// Milliseconds since the wheel was made: the time that all deadlines of connections are in.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Has `connection` looked at when `due` comes, or earlier. Answers when that will be.
    pub(crate) fn schedule(&self, connection: Weak<Connection>, due: u64) -> u64 {
        let mut ring = lock(&self.ring);
        if ring.entries == 0 {
            // An empty ring may not have turned for long; its far end would lie in the past.
            ring.cursor = ring.cursor.max(self.now() / TICK);
        }
        let tick = due
            .div_ceil(TICK)
            .clamp(ring.cursor + 1, ring.cursor + SLOTS - 1);
        ring.slots[(tick % SLOTS) as usize].push(connection);
        ring.entries += 1;
        if tick < ring.wakes_at {
            ring.wakes_at = tick;
            self.earlier.notify_one();
        }
        tick * TICK
    }

    /// Turns the wheel until `stop`.
    pub(crate) async fn turn(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.next();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.earlier.notified() => continue,
                () = self.sleep_until(next) => {}
            }
            let mut looked_at = 0;
            for (tick, slot) in self.due() {
                for connection in slot {
                    if let Some(connection) = connection.upgrade() {
                        connection.look_at_time(tick * TICK);
                    }
                    looked_at += 1;
                    if looked_at % BATCH == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    async fn sleep_until(&self, tick: Option<u64>) {
        match tick {
            Some(tick) => {
                tokio::time::sleep_until(self.start + Duration::from_millis(tick * TICK)).await;
            }
            None => std::future::pending().await,
        }
    }

    /// The first tick whose slot holds an entry.
    fn next(&self) -> Option<u64> {
        let mut ring = lock(&self.ring);
        let next = if ring.entries == 0 {
            None
        } else {
            (ring.cursor + 1..=ring.cursor + SLOTS)
                .find(|tick| !ring.slots[(tick % SLOTS) as usize].is_empty())
        };
        ring.wakes_at = next.unwrap_or(u64::MAX);
        next
    }

    /// Empties every slot up to now.
    fn due(&self) -> Vec<(u64, Vec<Weak<Connection>>)> {
        let now = self.now() / TICK;
        let mut ring = lock(&self.ring);
        let last = now.min(ring.cursor + SLOTS);
        let mut due = Vec::new();
        for tick in ring.cursor + 1..=last {
            let slot = std::mem::take(&mut ring.slots[(tick % SLOTS) as usize]);
            if !slot.is_empty() {
                ring.entries -= slot.len();
                due.push((tick, slot));
            }
        }
        ring.cursor = ring.cursor.max(now);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_come_up_in_their_slot_and_far_ones_at_the_end_of_the_ring() {
        let wheel = Wheel::new();
        assert_eq!(wheel.next(), None);
        assert_eq!(wheel.schedule(Weak::new(), 250), 300);
        assert_eq!(wheel.schedule(Weak::new(), 0), 100, "never in the past");
        assert_eq!(
            wheel.schedule(Weak::new(), 3_600_000),
            (SLOTS - 1) * TICK,
            "an hour waits at the far end"
        );
        assert_eq!(wheel.next(), Some(1));
        tokio::time::advance(Duration::from_millis(299)).await;
        let ticks = |due: Vec<(u64, Vec<Weak<Connection>>)>| -> Vec<u64> {
            due.into_iter().map(|(tick, _)| tick).collect()
        };
        assert_eq!(ticks(wheel.due()), [1]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(ticks(wheel.due()), [3]);
        assert_eq!(wheel.next(), Some(SLOTS - 1));
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(
            ticks(wheel.due()),
            [SLOTS - 1],
            "a machine that slept finds everything once"
        );
        assert_eq!(wheel.next(), None);
        assert_eq!(
            wheel.schedule(Weak::new(), 3_600_300 + 1000),
            3_601_300,
            "an empty ring catches up"
        );
    }
}
