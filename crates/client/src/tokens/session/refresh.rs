//! The refreshes of a session: not too early, one at a time, and what follows from each.

use std::pin::pin;
use std::sync::Arc;

use chatsdk_types::Millis;
use futures_util::future::select;

use super::Session;
use crate::error::{EndReason, RefreshErrorKind};
use crate::platform::Platform;
use crate::tokens::attempt::{Outcome, attempt};
use crate::tokens::clocks::Now;
use crate::tokens::manager::TokenState;
use crate::tokens::pair::Pair;
use crate::tokens::request::{Trouble, Verdict, request_pair};
use crate::tokens::schedule::floor;
use crate::within::{hold, within};

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
            // Nothing can be asked for. A token that still works goes on doing so.
            if !old.is_usable(self.now()) {
                let why =
                    "The access token has expired and there is no refresh token: sign in again.";
                self.end(EndReason::RefreshTokenMissing, why, None, None);
            }
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
            return self.failed(Trouble {
                retry_after: 60_000,
                ..Trouble::new(
                    RefreshErrorKind::Protocol,
                    "the token was refused more than ten times in a minute",
                )
            });
        }
        // The lock is released before anything of the host's is called.
        let name = &self.shared.refresh_lock;
        let outcome = hold(self.platform(), name, LOCK_WAIT, attempt(self, &old)).await;
        match outcome {
            Outcome::SignedOut => self.signed_out(),
            // A pair that was adopted meanwhile needs no second try: it is not due.
            Outcome::Trouble(_) if self.has_newer_than(&old) => {}
            Outcome::Trouble(trouble) => self.failed(trouble),
            Outcome::Fatal { fatal, pair } => {
                let shared = self.shared.clone();
                self.shared
                    .background(async move { shared.vault.discard(&pair).await });
                let reason = EndReason::Refused(fatal.code);
                self.end(
                    reason,
                    fatal.code.title(),
                    Some(fatal.status),
                    fatal.request_id,
                );
            }
            Outcome::Pair { pair, stored } => {
                self.accept(pair.clone()).await;
                self.tell_peers(&pair);
                if !stored {
                    self.save_later(pair);
                }
            }
        }
        self.settle();
    }

    /// Whether a pair that works has taken the place of `old`.
    fn has_newer_than(&self, old: &Pair) -> bool {
        let now = self.now();
        let state = self.state();
        let current = state.pair.as_ref();
        current.is_some_and(|pair| pair.rank > old.rank && pair.is_usable(now))
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
        let trouble = |kind, reason: String| Verdict::Trouble(Trouble::new(kind, reason));
        match within(self.platform(), HOST_TIMEOUT, refresh_tokens()).await {
            Some(Ok(body)) => {
                match Pair::from_reply(&shared.options.user_id, &body, self.now(), true) {
                    Ok(pair) => {
                        // It was made a moment ago, whatever this device takes for the time.
                        let server_time = pair.tokens.expires_at - pair.left;
                        let wall = self.platform().wall();
                        shared.clock.learn(Some(server_time), wall, 0);
                        Verdict::Pair(pair)
                    }
                    Err(why) => {
                        trouble(RefreshErrorKind::Protocol, format!("refresh_tokens: {why}"))
                    }
                }
            }
            Some(Err(why)) => trouble(
                RefreshErrorKind::Network,
                format!("refresh_tokens failed: {why}"),
            ),
            None => trouble(
                RefreshErrorKind::Network,
                format!("refresh_tokens failed: no answer within {HOST_TIMEOUT} ms"),
            ),
        }
    }
}
