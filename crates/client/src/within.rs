//! Bounds for what others promise.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use chatsdk_types::Millis;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};

use crate::platform::Platform;

/// What came of `work`, or `None` where it was not done after `ms`. What is late is dropped.
pub(crate) async fn within<P: Platform, T>(
    platform: &P,
    ms: Millis,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), pin!(platform.sleep(ms))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// What came of what the app gave, or `None` where it panicked: that is its own affair, and must end no session.
pub(crate) async fn guarded<T, F: Future<Output = T>>(call: impl FnOnce() -> F) -> Option<T> {
    let work = async { call().await };
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// Runs `work` while holding the lock `name`, or without it where it cannot be had within `wait` ms.
pub(crate) async fn hold<P: Platform, T>(
    platform: &P,
    name: &str,
    wait: Millis,
    work: impl Future<Output = T>,
) -> T {
    let _guard = within(platform, wait, platform.lock(name)).await;
    work.await
}
