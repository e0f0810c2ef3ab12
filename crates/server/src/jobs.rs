//! What is done now and then while the server runs.

use std::future::Future;
use std::time::Duration;

use chatsdk_auth::{Auth, AuthError, Sweep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts every job. Each ends when `stop` is cancelled, after the run that is under way.
pub(crate) fn start(auth: &Auth, stop: &CancellationToken, tasks: &TaskTracker) {
    let auth = auth.clone();
    // What was seen in use is written within five seconds: `design.md` §5.
    every("seen tokens", 2, &auth, stop, tasks, |auth| async move {
        auth.flush_seen().await
    });
    every("key use", 60, &auth, stop, tasks, |auth| async move {
        auth.flush_key_use().await
    });
    every(
        "refused credentials",
        60,
        &auth,
        stop,
        tasks,
        |auth| async move { auth.flush_failures().await },
    );
    every("signing keys", 5, &auth, stop, tasks, |auth| async move {
        auth.tend_signing_keys().await
    });
    every("log pruning", 3600, &auth, stop, tasks, |auth| async move {
        auth.prune_logs().await
    });
    let sweep = std::sync::Arc::new(Sweep::default());
    every("session sweep", 600, &auth, stop, tasks, move |auth| {
        let sweep = std::sync::Arc::clone(&sweep);
        async move {
            while !auth.sweep_sessions(&sweep).await? {}
            Ok(())
        }
    });
    let (following, stop) = (auth, stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = following.follow() => {}
            () = stop.cancelled() => {}
        }
    });
}

fn every<F>(
    name: &'static str,
    seconds: u64,
    auth: &Auth,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    job: impl Fn(Auth) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), AuthError>> + Send,
{
    let (auth, stop) = (auth.clone(), stop.clone());
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(seconds));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = job(auth.clone()).await {
                tracing::warn!(job = name, %error, "a background job failed; it runs again");
            }
        }
    });
}
