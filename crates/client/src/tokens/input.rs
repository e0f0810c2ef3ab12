//! Checks what an app passes before anything is changed or sent.

use std::fmt;

use chatsdk_types::Millis;

use super::jwt::read_claims;
use super::pair::Tokens;
use crate::error::Error;

/// A year, in ms. No access token lives as long.
const YEAR: Millis = 31_536_000_000;

/// Whom to sign in, and what your backend got from `POST /auth/tokens`.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Your id of the user, as your backend sent it.
    pub user_id: String,
    /// `accessToken` of the reply.
    pub token: String,
    /// `refreshToken` of the reply; `None` where your backend keeps it (see `refresh_tokens`).
    pub refresh_token: Option<String>,
    /// `expiresAt` of the reply, in milliseconds; read from the token where absent.
    pub expires_at: Option<Millis>,
}

/// When a token expires, in ms since the Unix epoch: as a host says it, in milliseconds or seconds, or else by the
/// token's own `exp`, in seconds.
pub(crate) fn expiry(said: Option<Millis>, exp: Option<i64>) -> Option<Millis> {
    match said.filter(|time| *time > 0) {
        // That many milliseconds are in 1973: these are seconds.
        Some(time) if time < 100_000_000_000 => Some(time * 1_000),
        Some(time) => Some(time),
        None => exp.map(|exp| exp.saturating_mul(1_000)),
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user_id", &self.user_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The tokens of it. `now` is about now, in ms since the Unix epoch.
    pub fn read(&self, now: Millis) -> Result<Tokens, Error> {
        let invalid = |field, why: &str| {
            Err(Error::InvalidInput {
                field,
                why: why.to_owned(),
            })
        };
        let refresh_token = self.refresh_token.clone().unwrap_or_default();
        for (field, value) in [
            ("user_id", &self.user_id),
            ("token", &self.token),
            ("refresh_token", &refresh_token),
        ] {
            if value.trim_start().starts_with("csk_") {
                return invalid(
                    field,
                    "This is an API key. Keep it on your backend, replace it if it was published, and pass the tokens that your backend got with it.",
                );
            }
        }
        if self.user_id.is_empty() {
            return invalid(
                "user_id",
                "Expected your id of the user, got an empty text.",
            );
        }
        let Some(claims) = read_claims(&self.token) else {
            return invalid(
                "token",
                "The token is not an access token of ChatSDK (a JWT with a subject). Your backend may have forwarded an error: look at what it returned.",
            );
        };
        if claims.sub != self.user_id {
            return Err(Error::UserMismatch);
        }
        let Some(mut expires_at) = expiry(self.expires_at, claims.exp) else {
            return invalid(
                "expires_at",
                "Neither expires_at nor the token says when the token expires.",
            );
        };
        if let Some(exp) = claims.exp
            && expires_at > now.saturating_add(YEAR)
        {
            expires_at = exp.saturating_mul(1_000);
        }
        Ok(Tokens {
            access_token: self.token.clone(),
            refresh_token,
            expires_at,
        })
    }
}
