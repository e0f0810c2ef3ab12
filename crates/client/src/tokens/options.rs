//! What a token manager is made of.

use std::fmt;

use chatsdk_types::Millis;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::pair::Tokens;
use crate::error::{HostError, RefreshError};

type OnTokenRefresh = Box<dyn Fn(Tokens) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
type OnRefreshError = Box<dyn Fn(&RefreshError) + Send + Sync>;
type RefreshTokens =
    Box<dyn Fn(Millis) -> BoxFuture<'static, Result<Value, HostError>> + Send + Sync>;
type InUse = Box<dyn Fn() -> bool + Send + Sync>;

/// What a [`TokenManager`](super::TokenManager) is made of.
pub struct TokenManagerOptions {
    /// Address of the API, without a slash at its end.
    pub(crate) api_url: String,
    pub(crate) user_id: String,
    pub(crate) refresh_buffer: Millis,
    pub(crate) on_token_refresh: Option<OnTokenRefresh>,
    pub(crate) on_refresh_error: Option<OnRefreshError>,
    pub(crate) refresh_tokens: Option<RefreshTokens>,
    pub(crate) in_use: InUse,
}

impl TokenManagerOptions {
    /// The tokens of `user_id` at the server whose API is at `api_url`.
    pub fn new(api_url: &str, user_id: &str) -> Self {
        Self {
            api_url: api_url.trim_end_matches('/').to_owned(),
            user_id: user_id.to_owned(),
            refresh_buffer: 300_000,
            on_token_refresh: None,
            on_refresh_error: None,
            refresh_tokens: None,
            in_use: Box::new(|| true),
        }
    }

    /// How long before its end an access token is refreshed, in ms; five minutes unless this is called.
    #[must_use]
    pub fn refresh_buffer(mut self, ms: Millis) -> Self {
        self.refresh_buffer = ms.max(0);
        self
    }

    /// Told of each new pair before it is used, once and in order; waited for, up to 5 s, and dropped then. An error, a
    /// panic and a lack of time are reported as [`Event::StorageFailed`](crate::Event::StorageFailed). Where nothing
    /// else keeps the pair (see [`Storage::is_volatile`](crate::platform::Storage::is_volatile)) it is then told of
    /// the pair again, ten times at most, before that is used; elsewhere refreshing does not depend on it.
    #[must_use]
    pub fn on_token_refresh<F>(mut self, call: impl Fn(Tokens) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.on_token_refresh = Some(Box::new(move |tokens| Box::pin(call(tokens))));
        self
    }

    /// Told when the session ended, and once in each outage that outlives the access token. The events tell the same.
    /// It may panic: that is its own affair.
    #[must_use]
    pub fn on_refresh_error(
        mut self,
        call: impl Fn(&RefreshError) + Send + Sync + 'static,
    ) -> Self {
        self.on_refresh_error = Some(Box::new(call));
        self
    }

    /// Asks your backend for the next pair, where it keeps the refresh token. Called with `sentAt` of
    /// `POST /auth/refresh`, in ms since the Unix epoch by the server's clock, which goes on to your backend: with it, a
    /// request that was on its way for long is told apart from a stolen token. Answers a token reply, in
    /// which `refreshToken` may be absent, or our server's problem document as it came. Waited for up to 10 s, and
    /// dropped then. [`HostError::SessionEnded`] ends the session; any other error, and a panic, pass.
    #[must_use]
    pub fn refresh_tokens<F>(mut self, call: impl Fn(Millis) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Value, HostError>> + Send + 'static,
    {
        self.refresh_tokens = Some(Box::new(move |sent_at| Box::pin(call(sent_at))));
        self
    }

    /// Whether the token is in use though nobody is looking, by an open socket for instance.
    #[must_use]
    pub fn in_use(mut self, call: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.in_use = Box::new(call);
        self
    }
}

impl TokenManagerOptions {
    /// Whether anything can be got in exchange for these.
    pub(crate) fn can_refresh(&self, tokens: &Tokens) -> bool {
        !tokens.refresh_token.is_empty() || self.refresh_tokens.is_some()
    }
}

impl fmt::Debug for TokenManagerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerOptions")
            .field("api_url", &self.api_url)
            .field("user_id", &self.user_id)
            .field("refresh_buffer", &self.refresh_buffer)
            .finish_non_exhaustive()
    }
}
