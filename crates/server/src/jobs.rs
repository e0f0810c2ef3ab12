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
    tasks.spawn(sweep(auth.clone(), stop.clone()));
    let (following, stop) = (auth, stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = following.follow() => {}
            () = stop.cancelled() => {}
        }
    });
}

/// How long after the start the first sweep begins: a server that restarts often sweeps as well.
const BEFORE_SWEEPS: Duration = Duration::from_secs(30);
/// How long the sweep rests between two steps, so that it never is more than one write among many: a
/// million sessions take two minutes.
const BETWEEN_STEPS: Duration = Duration::from_millis(10);
/// How long after the end of one sweep the next begins.
const BETWEEN_SWEEPS: Duration = Duration::from_mins(10);

/// Walks the table of sessions over and over, and deletes what nobody can use any more.
async fn sweep(auth: Auth, stop: CancellationToken) {
    let sweep = Sweep::default();
    let mut rest = BEFORE_SWEEPS;
    loop {
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stop.cancelled() => return,
        }
        rest = match auth.sweep_sessions(&sweep).await {
            Ok(true) => BETWEEN_SWEEPS,
            Ok(false) => BETWEEN_STEPS,
            Err(error) => {
                tracing::warn!(job = "session sweep", %error, "a background job failed; it runs again");
                BEFORE_SWEEPS
            }
        };
    }
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
