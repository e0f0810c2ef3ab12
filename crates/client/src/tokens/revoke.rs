//! Tells the server of sessions that were logged out here, until it has answered: with growing pauses, at once when the
//! network comes back, and for as long as the driver lives. Whatever is left then waits in the storage for whoever
//! connects next.
//!
//! An access token that has expired ends nothing any more (`token_expired`), which is as final as any other refusal: it
//! stands here only where there is nothing better, and where a backend keeps the refresh token, that backend's own
//! logout is what revokes it.
//!
//! The TypeScript core also notes what was not answered where the next *user* finds it, because browsers keep each user's
//! tokens apart. Here the program says where they are kept.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use chatsdk_types::Millis;
use futures_util::future::select;
use serde_json::json;
use tokio::sync::Notify;

use super::lock;
use super::manager::Shared;
use super::schedule::backoff;
use crate::http::{AnswerKind, post};
use crate::platform::{Platform, Signal, Signals as _};

/// The longest pause between two tries, in ms.
const LONGEST_PAUSE: Millis = 3_600_000;

/// How an access token is told from a refresh token, where it is all that there is.
const BEARER: &str = "Bearer ";

/// What the server has not answered yet, and who asks it.
#[derive(Default)]
pub(crate) struct Revoker {
    waiting: Mutex<BTreeSet<String>>,
    busy: AtomicBool,
    wake: Notify,
}

/// What ends a session at the server, where there is no refresh token.
pub(crate) fn bearer(access_token: &str) -> String {
    format!("{BEARER}{access_token}")
}

impl Revoker {
    /// Presents each of `tokens` once, and ticks off in the storage those that were answered. The others wait.
    pub(crate) async fn present<P: Platform>(&self, shared: &Shared<P>, tokens: Vec<String>) {
        // All of them wait from the start: who is dropped in between has lost none.
        lock(&self.waiting).extend(tokens.iter().cloned());
        let url = format!("{}/auth/revoke", shared.api_url);
        for token in tokens {
            let answer = if token.starts_with(BEARER) {
                post(&*shared.platform, &url, Some(&token), &json!({})).await
            } else {
                let body = json!({ "refreshToken": token });
                post(&*shared.platform, &url, None, &body).await
            };
            // Only our server's own word that it makes no difference to ask again counts as an answer, and it has a body.
            let settled = match answer.kind {
                AnswerKind::Ok(body) => !body.is_null(),
                AnswerKind::Problem(problem) => {
                    problem.status < 500 && !matches!(problem.status, 408 | 429)
                }
                AnswerKind::Foreign { .. } | AnswerKind::Unreachable(_) => false,
            };
            if settled {
                lock(&self.waiting).remove(&token);
                shared.vault.revoked(&token).await;
            }
        }
    }

    /// What was not answered yet, here and in the storage.
    async fn left<P: Platform>(&self, shared: &Shared<P>) -> BTreeSet<String> {
        let mut left: BTreeSet<String> = shared.vault.outbox().await.into_iter().collect();
        left.extend(lock(&self.waiting).iter().cloned());
        left
    }

    /// Goes on with that until everything was answered; at once done where somebody does already.
    pub(crate) async fn go_on<P: Platform>(&self, shared: &Shared<P>) {
        if self.busy.swap(true, Ordering::Relaxed) {
            // They look at what is new as well, and at once.
            return self.wake.notify_waiters();
        }
        let mut attempt = 1;
        loop {
            if self.left(shared).await.is_empty() {
                break;
            }
            let platform = &*shared.platform;
            let pause = platform.sleep(backoff(attempt, platform.random(), LONGEST_PAUSE));
            let mut signals = platform.signals();
            let online =
                pin!(async { while !matches!(signals.next().await, Signal::Online(true)) {} });
            let woken = pin!(self.wake.notified());
            let early = pin!(select(online, woken));
            let pause = pin!(pause);
            select(pause, early).await;
            // Read anew: whoever left it there may have been answered meanwhile.
            let tokens = self.left(shared).await.into_iter().collect();
            self.present(shared, tokens).await;
            attempt += 1;
        }
        self.busy.store(false, Ordering::Relaxed);
    }
}
