//! The device's two clocks, and the server's as estimated from its replies. The device's own clock is never
//! compared with `exp`.

use std::sync::atomic::{AtomicI64, Ordering};

use chatsdk_types::Millis;

use crate::platform::Platform;

/// One moment, by each clock, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) wall: Millis,
    pub(crate) mono: Millis,
    /// By the estimate of the server's clock.
    pub(crate) server: Millis,
}

/// How far the server's clock is ahead of the device's.
#[derive(Debug, Default)]
pub(crate) struct ServerClock(AtomicI64);

impl ServerClock {
    /// This moment.
    pub(crate) fn now<P: Platform>(&self, platform: &P) -> Now {
        let wall = platform.wall();
        Now {
            wall,
            mono: platform.mono(),
            server: wall.saturating_add(self.offset()),
        }
    }

    /// How far the server is ahead of this device, in ms.
    pub(crate) fn offset(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes up an estimate that an earlier run, or another process, stored.
    pub(crate) fn assume(&self, offset: Millis) {
        self.0.store(offset, Ordering::Relaxed);
    }

    /// Learns from a reply that gave `server_time`. Slow replies are ignored: they could be off by half of
    /// what they took, `took` ms after `sent_wall`.
    pub(crate) fn learn(&self, server_time: Option<Millis>, sent_wall: Millis, took: Millis) {
        if let Some(server_time) = server_time.filter(|time| *time > 0)
            && took <= 10_000
        {
            self.assume(server_time - (sent_wall + took / 2));
        }
    }
}
