//! The platform for programs: tokio's timers and sockets, HTTP by hyper, a file or memory as storage.

mod dial;
mod file;
mod http;
mod memory;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatsdk_types::{Clock as _, Millis, SystemClock, SystemEntropy, entropy};

use crate::platform::{HttpReply, Platform, Signal, Signals, Storage, Unreachable};

pub(crate) use dial::{Stream, dial};
pub use file::{FileLock, FileSeen, FileStorage};
pub use memory::MemoryStorage;

/// A storage that programs can use: with locks between those that share it, and a way to notice that
/// another one wrote.
pub trait NativeStorage: Storage {
    /// Holds a lock until it is dropped.
    type Guard: Send + 'static;

    /// Waits for the lock `name`.
    fn lock(&self, name: &str) -> impl Future<Output = Self::Guard> + Send;

    /// What somebody who listens has seen of it.
    type Seen: Default + Send + 'static;

    /// Waits until the text is another one than `seen`; for ever where nobody else can write. Safe to drop.
    fn changed(&self, seen: &mut Self::Seen) -> impl Future<Output = ()> + Send;
}

/// The platform of a program that runs on tokio.
#[derive(Debug)]
pub struct Native<S> {
    storage: Arc<S>,
    began: Instant,
}

impl<S: NativeStorage> Native<S> {
    /// A platform that keeps pairs in `storage`.
    pub fn new(storage: S) -> Self {
        Self {
            storage: Arc::new(storage),
            began: Instant::now(),
        }
    }
}

/// Signals of a program: its storage changes.
pub struct NativeSignals<S: NativeStorage> {
    storage: Arc<S>,
    seen: S::Seen,
}

impl<S: NativeStorage> fmt::Debug for NativeSignals<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeSignals").finish_non_exhaustive()
    }
}

impl<S: NativeStorage> Signals for NativeSignals<S> {
    async fn next(&mut self) -> Signal {
        self.storage.changed(&mut self.seen).await;
        Signal::StorageChanged
    }
}

impl<S: NativeStorage> Platform for Native<S> {
    type Storage = S;
    type Guard = S::Guard;
    type Signals = NativeSignals<S>;

    fn wall(&self) -> Millis {
        SystemClock.now()
    }

    fn mono(&self) -> Millis {
        Millis::try_from(self.began.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn random(&self) -> f64 {
        let bits = u64::from_le_bytes(entropy::bytes::<8>(&SystemEntropy));
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }

    async fn sleep(&self, ms: Millis) {
        tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))).await;
    }

    async fn post(
        &self,
        url: &str,
        authorization: Option<&str>,
        body: String,
    ) -> Result<HttpReply, Unreachable> {
        let reply = http::post(url, authorization, body).await;
        reply.map_err(|error| Unreachable(error.to_string()))
    }

    fn storage(&self) -> &S {
        &self.storage
    }

    async fn lock(&self, name: &str) -> S::Guard {
        self.storage.lock(name).await
    }

    fn signals(&self) -> NativeSignals<S> {
        NativeSignals {
            storage: self.storage.clone(),
            seen: S::Seen::default(),
        }
    }
}
