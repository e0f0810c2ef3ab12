//! What the SDK needs of the place it runs in.
//!
//! [`crate::native`] gives it for programs on tokio; tests and the population simulator give their own.
//! Nothing else in this crate knows of a clock, a socket, a file or a runtime.

use std::future::Future;

use chatsdk_types::Millis;
use serde::{Deserialize, Serialize};

use crate::tokens::Tokens;

/// The place that the SDK runs in.
pub trait Platform: Send + Sync + 'static {
    /// Where pairs are kept between runs, and shared with other processes.
    type Storage: Storage;
    /// Holds a lock until it is dropped.
    type Guard: Send + 'static;
    /// What happens outside that a session should know of.
    type Signals: Signals;

    /// Milliseconds since the Unix epoch; may jump, goes on during sleep.
    fn wall(&self) -> Millis;

    /// Milliseconds since some moment; never jumps back, may stand still during sleep.
    fn mono(&self) -> Millis;

    /// Uniform in [0, 1). Spreads load; nothing secret hangs on it.
    fn random(&self) -> f64;

    /// Waits for `ms` of the monotonic clock.
    fn sleep(&self, ms: Millis) -> impl Future<Output = ()> + Send;

    /// The longest a schedule sleeps before it looks at the clocks again, in ms: sleep, throttling and
    /// jumping clocks are noticed within it. A platform that is told of them may take longer.
    fn tick(&self) -> Millis {
        30_000
    }

    /// Sends `body`, which is JSON, with POST to `url`, and with the header `Authorization` where one is given.
    /// Dropping it gives it up.
    fn post(
        &self,
        url: &str,
        authorization: Option<&str>,
        body: String,
    ) -> impl Future<Output = Result<HttpReply, Unreachable>> + Send;

    /// Where pairs are kept.
    fn storage(&self) -> &Self::Storage;

    /// Waits, however long that takes, for the lock `name` that is shared with whoever shares the
    /// storage. Those who wait longer than they may go on without: a frozen process must not stop the
    /// others, and the server bears a race.
    fn lock(&self, name: &str) -> impl Future<Output = Self::Guard> + Send;

    /// Listens to what happens outside.
    fn signals(&self) -> Self::Signals;

    /// Whether others who share the storage can be spoken to.
    fn has_peers(&self) -> bool {
        false
    }

    /// Tells those who share the storage.
    fn tell(&self, message: PeerMessage) {
        let _ = message;
    }

    /// False only where the device is sure to be offline; true proves nothing.
    fn online(&self) -> bool {
        true
    }

    /// False while the program is in the background.
    fn visible(&self) -> bool {
        true
    }
}

/// A place for one text, which holds secrets.
///
/// It may fail, hang, or do late what it was given up for. What was asked of it is polled to its end for as long as the
/// [`Driver`](crate::Driver) lives, also where a session was closed meanwhile, so that a write that lands after five
/// seconds, over what was written since, is noticed and undone. A `set` or `remove` that is dropped unfinished, with the
/// driver, has happened or never will.
pub trait Storage: Send + Sync + 'static {
    /// What `set` was last given, or `None` of nothing.
    fn get(&self) -> impl Future<Output = Result<Option<String>, StorageFault>> + Send;

    /// Keeps the text: when this is done, it outlives the process.
    fn set(&self, text: String) -> impl Future<Output = Result<(), StorageFault>> + Send;

    /// Forgets the text. Called where a newer one could not be kept.
    fn remove(&self) -> impl Future<Output = Result<(), StorageFault>> + Send;

    /// Whether what it keeps is gone with the process.
    fn is_volatile(&self) -> bool {
        false
    }

    /// Whether other processes may use it. What nobody else can have read may be taken out of it where a newer pair
    /// cannot be kept, and that used unsaved.
    fn is_shared(&self) -> bool {
        true
    }
}

/// Why a storage did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StorageFault(
    /// For people. Holds no token.
    pub String,
);

/// A reply, whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// The header `Content-Type`, or the empty text.
    pub content_type: String,
    /// The header `Retry-After`, or the empty text.
    pub retry_after: String,
    /// The body.
    pub body: String,
}

/// Nothing answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(
    /// Why, for people. Holds no token.
    pub String,
);

/// What happens outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Somebody who shares the storage said something.
    Peer(PeerMessage),
    /// Somebody changed the storage.
    StorageChanged,
    /// The device's connection came or went.
    Online(bool),
    /// The program may have slept: it was shown, focused, thawed.
    Resumed,
}

/// A stream of [`Signal`]s.
pub trait Signals: Send + 'static {
    /// The next one; never, where nothing can happen.
    fn next(&mut self) -> impl Future<Output = Signal> + Send;
}

/// What those who share a storage say to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum PeerMessage {
    /// Who has a pair?
    Who,
    /// I have this one.
    Tokens {
        /// The pair.
        tokens: Tokens,
        /// The whole life of its access token, in ms.
        ttl: Millis,
        /// When it was received, in ms of the device's wall clock.
        received_at: Millis,
        /// How far the server's clock is ahead of the device's, in ms.
        offset: Millis,
    },
    /// The user logged out. Those who know of as many logouts, and have another session, were not meant.
    SignedOut {
        /// How many logouts there have been, this one included.
        generation: i64,
        /// The session that was ended, where it is known.
        session: Option<String>,
    },
}
