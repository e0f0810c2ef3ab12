//! Which pair a session uses, who is told of it, and where it is kept.

use std::sync::Arc;

use chatsdk_types::Millis;

use super::Session;
use crate::error::RefreshErrorKind;
use crate::platform::Platform;
use crate::tokens::pair::{Origin, Pair, Tokens};
use crate::tokens::request::Trouble;
use crate::tokens::schedule::{effective_buffer, jitter};
use crate::tokens::vault::Saved;
use crate::within::{guarded, within};

/// How long the host's `on_token_refresh` is waited for, in ms.
const CALLBACK_TIMEOUT: Millis = 5_000;
/// A token that lives no longer, in ms, is about to end.
const LAST_MINUTE: Millis = 60_000;
/// Pauses before a failed save is tried again, in ms; the last one again and again, because a pair that is in
/// memory alone is lost with the process.
const SAVE_RETRIES: [Millis; 4] = [1_000, 5_000, 30_000, 300_000];

impl<P: Platform> Session<P> {
    /// The pair that these tokens are, or `None` where they are not the user's.
    pub(super) fn read(&self, tokens: Tokens, received_at: Option<Millis>) -> Option<Arc<Pair>> {
        let origin = Origin {
            received_at,
            ..Origin::default()
        };
        Pair::make(&self.shared.options.user_id, tokens, self.now(), origin)
    }

    /// Takes up a pair that somebody else got, where it is newer. See [`Self::accept`].
    pub(super) async fn adopt(&self, pair: Arc<Pair>, kept: bool) {
        if self.is_newer(&pair) {
            self.accept(pair, kept).await;
        }
    }

    /// Tells the host of `pair`, and then uses it. It is saved already. `kept` says whether the next start finds it,
    /// though the host may not have taken note of it.
    pub(super) async fn accept(&self, pair: Arc<Pair>, kept: bool) {
        if let Some(why) = self.tell_host(&pair).await {
            self.shared.callback_failed(&why);
            let old = self.state().pair.clone();
            // As with one that could not be saved: once it was used, the older one of the app would be a thief's.
            if let Some(old) = old.filter(|_| !kept && !pair.tokens.refresh_token.is_empty())
                && self.tells_again(old.life_left(self.now()))
            {
                let trouble = Trouble::new(RefreshErrorKind::Storage, "on_token_refresh failed");
                return self.failed(trouble, &old);
            }
        }
        let newer = self
            .state()
            .pair
            .as_ref()
            .is_none_or(|current| pair.rank > current.rank);
        if newer {
            self.publish(&pair);
        }
    }

    /// Tells the host of `pair`, unless it was told of it, and waits until it has taken note. Answers why it could not.
    /// Other than in the TypeScript core, whose callbacks cannot be stopped, one that takes too long is dropped, so that
    /// nothing can be taken note of late.
    async fn tell_host(&self, pair: &Pair) -> Option<String> {
        let call = self.shared.options.on_token_refresh.as_ref()?;
        let _in_order = self.telling.lock().await;
        {
            let mut state = self.state();
            if state.told.is_some_and(|told| pair.rank <= told) {
                return None;
            }
            state.told = Some(pair.rank);
        }
        let call = guarded(|| call(pair.tokens.clone()));
        let why = match within(self.platform(), CALLBACK_TIMEOUT, call).await {
            Some(Some(Ok(()))) => {
                self.state().misses = 0;
                return None;
            }
            Some(Some(Err(why))) => why,
            Some(None) => "it panicked".to_owned(),
            None => format!("no answer within {CALLBACK_TIMEOUT} ms"),
        };
        self.state().misses += 1;
        Some(why)
    }

    /// Whether a pair that the host could not take note of is told of again before it is used, where the host alone
    /// keeps it. A host that never can shall not lock its users out: there are ten tries, or three where the pair in use
    /// ends, which lives for `left` ms.
    fn tells_again(&self, left: Millis) -> bool {
        let mut state = self.state();
        let again = state.misses < if left > LAST_MINUTE { 10 } else { 3 };
        if again {
            state.told = None;
        } else {
            state.misses = 0;
        }
        again
    }

    /// Uses `pair` from now on.
    pub(super) fn publish(&self, pair: &Arc<Pair>) {
        let usable = pair.is_usable(self.now());
        self.shared.vault.goes_on(pair);
        let mut state = self.state();
        let buffer = effective_buffer(pair.ttl, self.shared.buffer());
        state.jitter = jitter(buffer, self.platform().random());
        state.pair = Some(pair.clone());
        state.failures = 0;
        state.reported = false;
        state.last_error = None;
        state.retry_at = None;
        // Who waits for a refresh that has not begun is answered now, or has one begun: this one need not be due.
        state.wanted = !usable && !state.running && !state.flight.is_empty();
        if usable && !state.running {
            for waiting in std::mem::take(&mut state.flight) {
                let _gone = waiting.send(());
            }
        }
        if usable {
            let token = &pair.tokens.access_token;
            for waiter in std::mem::take(&mut state.waiters) {
                if waiter.not.as_ref() == Some(token) {
                    state.waiters.push(waiter);
                } else {
                    let _gone = waiter.reply.send(Ok(token.clone()));
                }
            }
        }
        drop(state);
        self.wake.notify_waiters();
        self.kick.notify_one();
        self.shared.use_pair(pair, usable);
    }

    /// Tries again to save a pair that is in use though the storage failed.
    pub(super) fn save_later(self: &Arc<Self>, pair: Arc<Pair>) {
        let session = self.clone();
        self.spawn(async move {
            let mut pauses = SAVE_RETRIES.into_iter();
            let mut pause = 0;
            loop {
                pause = pauses.next().unwrap_or(pause);
                session.platform().sleep(pause).await;
                let is_ours = |current: &Arc<Pair>| Arc::ptr_eq(current, &pair);
                if !session.state().pair.as_ref().is_some_and(is_ours) {
                    return;
                }
                match session.vault().save(&pair, || true).await {
                    Saved::Failed { .. } => {}
                    Saved::Newer(newer) => {
                        let kept = session.vault().is_durable();
                        return session.adopt(newer, kept).await;
                    }
                    Saved::SignedOut => return session.signed_out(0),
                    Saved::Kept(_) | Saved::Late => return,
                }
            }
        });
    }
}
