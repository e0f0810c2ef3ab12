//! Who calls with an access token. Asked at every request and every socket; asks no database.

use std::sync::Arc;

use chatsdk_types::{ErrorCode, Millis};

use crate::access::{self, AccessClaims, AccessError, Expect};
use crate::{Auth, AuthConfig, AuthError};

impl Auth {
    /// Verifies an access token and that its session and user are still welcome. A token that verifies
    /// proves, whatever the answer, that its holder received the pair that it came with.
    pub fn bearer(&self, token: &str) -> Result<Arc<AccessClaims>, AuthError> {
        let claims = self.verify(token, true)?;
        self.welcome(claims)
    }

    /// The same without the proof: a logout is the end of a pair, not its use.
    pub fn leaver(&self, token: &str) -> Result<Arc<AccessClaims>, AuthError> {
        let claims = self.verify(token, false)?;
        match self.refusal(&claims) {
            // Whoever wants to leave may, whatever else is shut.
            None | Some(ErrorCode::AppDisabled) => Ok(claims),
            Some(code) => Err(code.into()),
        }
    }

    fn welcome(&self, claims: Arc<AccessClaims>) -> Result<Arc<AccessClaims>, AuthError> {
        match self.refusal(&claims) {
            None => Ok(claims),
            Some(code) => Err(code.into()),
        }
    }

    /// Whether the holder of verified claims has since been revoked, banned or deleted, or their app disabled.
    pub fn refusal(&self, claims: &AccessClaims) -> Option<ErrorCode> {
        self.0
            .revocations
            .refusal(&claims.client_id, &claims.sub, &claims.sid)
    }

    fn verify(&self, token: &str, in_use: bool) -> Result<Arc<AccessClaims>, AuthError> {
        let inner = &*self.0;
        let now: Millis = inner.clock.now();
        let ring = self.ring();
        if let Some(claims) = inner.verified.get(token, &ring, now) {
            return Ok(claims);
        }
        let expect = Expect {
            issuer: &inner.config.issuer,
            audience: &inner.config.audience,
            now,
            max_ttl: AuthConfig::MAX_ACCESS_TTL,
        };
        let claims = match access::verify(token, &ring, &expect) {
            Ok(claims) => Arc::new(claims),
            Err(AccessError::Expired) => return Err(ErrorCode::TokenExpired.into()),
            Err(AccessError::Invalid(_)) => return Err(ErrorCode::TokenInvalid.into()),
        };
        if in_use {
            // Once per token is enough: the counter stands in the token. What is remembered as verified
            // is noted; so what is not to be noted is not remembered either.
            inner.seen.note(&claims.sid, claims.rc);
            inner.verified.insert(token, &ring, &claims);
        }
        Ok(claims)
    }
}
