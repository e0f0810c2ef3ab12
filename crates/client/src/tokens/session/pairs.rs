//! Which pair a session uses, who is told of it, and where it is kept.

use std::sync::Arc;

use chatsdk_types::Millis;

use super::Session;
use crate::platform::Platform;
use crate::tokens::pair::{Origin, Pair, Tokens};
use crate::tokens::schedule::{effective_buffer, jitter};
use crate::tokens::vault::Saved;
use crate::within::within;

/// How long the host's `on_token_refresh` is waited for, in ms.
const CALLBACK_TIMEOUT: Millis = 5_000;
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

    /// Takes up a pair that somebody else got, where it is newer.
    pub(super) async fn adopt(&self, pair: Arc<Pair>) {
        let newer = |current: &Arc<Pair>| pair.rank > current.rank;
        if self.state().pair.as_ref().is_some_and(newer) {
            self.accept(pair).await;
        }
    }

    /// Tells the host of `pair`, and then uses it. It is saved already.
    pub(super) async fn accept(&self, pair: Arc<Pair>) {
        {
            let mut told = self.told.lock().await;
            if let Some(on_token_refresh) = &self.shared.options.on_token_refresh
                && pair.rank > *told
            {
                *told = pair.rank;
                let call = on_token_refresh(pair.tokens.clone());
                let why = match within(self.platform(), CALLBACK_TIMEOUT, call).await {
                    Some(Ok(())) => None,
                    Some(Err(why)) => Some(why),
                    None => Some(format!("no answer within {CALLBACK_TIMEOUT} ms")),
                };
                if let Some(why) = why {
                    self.shared.callback_failed(&why);
                }
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

    /// Uses `pair` from now on.
    pub(super) fn publish(&self, pair: &Arc<Pair>) {
        let usable = pair.is_usable(self.now());
        let mut state = self.state();
        let buffer = effective_buffer(pair.ttl, self.shared.buffer());
        state.jitter = jitter(buffer, self.platform().random());
        state.pair = Some(pair.clone());
        state.failures = 0;
        state.reported = false;
        state.last_error = None;
        state.retry_at = None;
        state.wanted = false;
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
                    Saved::Newer(newer) => return session.adopt(newer).await,
                    Saved::SignedOut => return session.signed_out(),
                    Saved::Kept(_) | Saved::Late => return,
                }
            }
        });
    }
}
