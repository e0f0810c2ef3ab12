//! Failures in a row, and the end of a session.

use std::sync::Arc;

use chatsdk_types::Millis;

use super::Session;
use crate::error::{EndReason, Error, RefreshError, RefreshErrorKind};
use crate::events::Event;
use crate::platform::Platform;
use crate::tokens::manager::TokenState;
use crate::tokens::pair::Pair;
use crate::tokens::request::Trouble;
use crate::tokens::schedule::{LONGEST, backoff};

/// The longest that a failure is waited after, in ms.
const LONGEST_PAUSE: Millis = 3_600_000;

impl<P: Platform> Session<P> {
    /// A refresh of `old` came to nothing. The session is kept, and the next try is set.
    pub(super) fn failed(&self, trouble: Trouble, old: &Arc<Pair>) {
        let (now, platform) = (self.now(), self.platform());
        let mut state = self.state();
        let Some(pair) = state.pair.clone() else {
            return;
        };
        let usable = pair.is_usable(now);
        // One that was adopted meanwhile needs no second try: it is not due.
        if usable && !Arc::ptr_eq(&pair, old) {
            return;
        }
        if state.failures == 0 {
            state.failing_since = now.mono;
        }
        state.failures += 1;
        let attempt = state.failures;
        let slow = trouble.kind == RefreshErrorKind::Configuration
            || trouble.status == Some(400)
            || !platform.online();
        let delay = backoff(attempt, platform.random(), LONGEST)
            .max(trouble.retry_after)
            .max(if slow { 60_000 } else { 0 })
            .min(LONGEST_PAUSE);
        state.retry_not_before = now.mono + trouble.retry_after;
        state.retry_at = Some(now.mono + delay);
        let error = Arc::new(RefreshError {
            kind: trouble.kind,
            ended: None,
            message: crate::redact::redact(&format!(
                "Network error: could not refresh the chat session (attempt {attempt}; will keep retrying): {}",
                trouble.reason
            )),
            attempt,
            status: trouble.status,
            request_id: trouble.request_id,
        });
        state.last_error = Some(error.clone());
        // While the token works, nobody is told: it may be over before anybody would notice. An address that
        // is wrong does not get right by itself, so that is told as soon as it matters.
        let patient = attempt >= 5 && now.mono - state.failing_since >= 30_000;
        let tell = !usable
            && !state.reported
            && (patient || trouble.kind == RefreshErrorKind::Configuration);
        state.reported |= tell;
        drop(state);
        self.kick.notify_one();
        self.shared.set_state(if usable {
            TokenState::Stale
        } else {
            TokenState::Expired
        });
        if tell {
            self.shared.report(&error);
            self.shared.events.emit(&Event::RefreshFailed(error));
        }
    }

    pub(super) fn end(
        &self,
        reason: EndReason,
        status: Option<u16>,
        request_id: Option<String>,
    ) -> Arc<RefreshError> {
        let error = Arc::new(RefreshError {
            kind: RefreshErrorKind::Fatal,
            ended: Some(reason),
            message: reason.sentence().to_owned(),
            attempt: self.state().failures + 1,
            status,
            request_id,
        });
        self.state().last_error = Some(error.clone());
        self.close(&error.clone().into());
        self.shared.over(TokenState::Ended, Some(error.clone()));
        // In this order: the app may sign the user in anew out of its callback.
        self.shared.events.emit(&Event::Ended {
            reason,
            error: Some(error.clone()),
        });
        self.shared.report(&error);
        error
    }

    /// The user logged out in another process, which told of `generation` logouts, or of none.
    pub(super) fn signed_out(&self, generation: i64) {
        let shared = self.shared.clone();
        self.shared
            .background
            .add(async move { shared.vault.heed(generation).await });
        if self.is_closed() {
            return;
        }
        self.close(&Error::Disconnected);
        self.shared.over(TokenState::Ended, None);
        self.shared.events.emit(&Event::Ended {
            reason: EndReason::LoggedOut,
            error: None,
        });
    }
}
