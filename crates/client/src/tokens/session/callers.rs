//! What callers ask of a session.

use std::sync::Arc;

use chatsdk_types::Millis;
use tokio::sync::oneshot;

use super::{Session, State, Waiter};
use crate::error::{EndReason, Error};
use crate::platform::Platform;
use crate::tokens::schedule::effective_buffer;

impl<P: Platform> Session<P> {
    /// A token that works now; waits for a refresh where the one in use has ended.
    pub(crate) async fn token(
        self: Arc<Self>,
        min_ttl: Millis,
        reply: oneshot::Sender<Result<String, Error>>,
    ) {
        let _gone = reply.send(self.token_or_error(min_ttl).await);
    }

    async fn token_or_error(&self, min_ttl: Millis) -> Result<String, Error> {
        let flight = {
            let mut state = self.state();
            let pair = state.pair.clone().ok_or(Error::NotConnected)?;
            if !self.can_refresh(&pair) {
                return Ok(pair.tokens.access_token.clone());
            }
            let left = pair.life_left(self.now());
            if left > 0 {
                let margin = min_ttl.min(effective_buffer(pair.ttl, self.shared.buffer()));
                if left <= margin && state.retry_at.is_none() {
                    self.want(&mut state);
                }
                return Ok(pair.tokens.access_token.clone());
            }
            // Within the pause after a failure nobody gets further than the failure did.
            if let (Some(_), Some(error)) = (state.retry_at, &state.last_error) {
                return Err(error.clone().into());
            }
            let (sender, flight) = oneshot::channel();
            state.flight.push(sender);
            self.want(&mut state);
            flight
        };
        let _settled = flight.await;
        let state = self.state();
        match (&state.pair, &state.last_error) {
            (Some(pair), _) if pair.is_usable(self.now()) => Ok(pair.tokens.access_token.clone()),
            (_, Some(error)) => Err(error.clone().into()),
            _ => Err(Error::Disconnected),
        }
    }

    /// A token that works and is not `refused`, however long that takes. The token of a pair that nothing can replace
    /// will do while it was not refused, whatever this device takes for the time: no clock ends a session. See
    /// `Command::OtherThan` for `ending`.
    pub(crate) fn token_other_than(
        &self,
        refused: Option<String>,
        ending: bool,
        reply: oneshot::Sender<Result<String, Error>>,
    ) {
        let only = self
            .state()
            .pair
            .clone()
            .filter(|pair| !self.can_refresh(pair));
        if let Some(pair) = only {
            let token = &pair.tokens.access_token;
            let answer = if ending || Some(token) != refused.as_ref() {
                Ok(token.clone())
            } else {
                Err(self.end(EndReason::RefreshTokenMissing, None, None).into())
            };
            let _gone = reply.send(answer);
            return;
        }
        let mut state = self.state();
        if let Some(pair) = &state.pair
            && Some(&pair.tokens.access_token) != refused.as_ref()
            && pair.is_usable(self.now())
        {
            let _gone = reply.send(Ok(pair.tokens.access_token.clone()));
            return;
        }
        state.waiters.retain(|waiter| !waiter.reply.is_closed());
        state.waiters.push(Waiter {
            not: refused,
            reply,
        });
        if state.retry_at.is_none() {
            self.want(&mut state);
        }
    }

    fn want(&self, state: &mut State) {
        if !state.running {
            state.wanted = true;
            self.kick.notify_one();
        }
    }
}
