//! The refreshes of a session: not too early, one at a time, and what follows from each.

use std::pin::pin;
use std::sync::Arc;

use chatsdk_types::Millis;
use futures_util::future::select;

use super::Session;
use crate::error::{HostError, RefreshErrorKind};
use crate::platform::Platform;
use crate::tokens::attempt::{Outcome, attempt};
use crate::tokens::clocks::Now;
use crate::tokens::manager::TokenState;
use crate::tokens::pair::Pair;
use crate::tokens::request::{Trouble, Verdict, judge_host, request_pair};
use crate::tokens::schedule::floor;
use crate::within::{guarded, hold, within};

/// How long somebody else's refresh is waited for, in ms.
const LOCK_WAIT: Millis = 5_000;
/// How long the host's `refresh_tokens` is waited for, in ms.
const HOST_TIMEOUT: Millis = 10_000;

impl<P: Platform> Session<P> {
    /// Refreshes once for all who ask. Done when there is a pair, a failure or an end.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let Some(old) = self.state().pair.clone() else {
            return;
        };
        if !self.can_refresh(&old) {
            return;
        }
        self.shared.set_state(TokenState::Refreshing);
        let pause = floor(old.ttl) - old.age(self.now());
        if pause > 0 {
            let sleep = pin!(self.platform().sleep(pause));
            let wake = pin!(self.wake.notified());
            select(sleep, wake).await;
        }
        let is_old = |pair: &Arc<Pair>| Arc::ptr_eq(pair, &old);
        if !self.state().pair.as_ref().is_some_and(is_old) {
            return self.settle();
        }
        if !self.may_force(&old) {
            let trouble = Trouble {
                retry_after: 60_000,
                ..Trouble::new(
                    RefreshErrorKind::Protocol,
                    "the token was refused more than ten times in a minute",
                )
            };
            return self.failed(trouble, &old);
        }
        // The lock is released before anything of the host's is called.
        let name = &self.shared.refresh_lock;
        let outcome = hold(self.platform(), name, LOCK_WAIT, attempt(self, &old)).await;
        match outcome {
            Outcome::SignedOut => self.signed_out(0),
            Outcome::Trouble(trouble) => self.failed(trouble, &old),
            Outcome::Fatal { fatal, pair } => {
                self.end(fatal.reason, fatal.status, fatal.request_id);
                // After the session, which ends with what runs here.
                let shared = self.shared.clone();
                self.shared
                    .background
                    .add(async move { shared.vault.discard(&pair).await });
            }
            Outcome::Pair { pair, stored } => {
                let kept = stored && self.vault().is_durable();
                self.accept(pair.clone(), kept).await;
                let is_ours = |current: &Arc<Pair>| Arc::ptr_eq(current, &pair);
                if self.state().pair.as_ref().is_some_and(is_ours) {
                    self.tell_peers(&pair);
                    if !stored {
                        self.save_later(pair);
                    }
                }
            }
        }
        self.settle();
    }

    fn settle(&self) {
        if !self.is_closed() && self.shared.state() == TokenState::Refreshing {
            self.shared.set_state(TokenState::Valid);
        }
    }

    /// Presents the refresh token of `pair`, as something that was begun at `stamp`.
    pub(crate) async fn present(&self, pair: &Pair, stamp: Now) -> Verdict {
        let shared = &self.shared;
        let Some(refresh_tokens) = &shared.options.refresh_tokens else {
            let (url, user) = (&shared.api_url, &shared.options.user_id);
            let token = &pair.tokens.refresh_token;
            return request_pair(self.platform(), &shared.clock, url, user, token, stamp).await;
        };
        // One that takes too long is dropped.
        let call = guarded(|| refresh_tokens(stamp.server));
        let answer = match within(self.platform(), HOST_TIMEOUT, call).await {
            Some(Some(answer)) => answer,
            Some(None) => Err(HostError::from("it panicked")),
            None => Err(format!("no answer within {HOST_TIMEOUT} ms").into()),
        };
        let user = &shared.options.user_id;
        judge_host(self.platform(), &shared.clock, user, stamp, answer)
    }
}
