//! What the realtime engine may ask of the token service.

use std::borrow::Cow;

use chatsdk_auth::{AccessClaims, Auth, AuthError};
use chatsdk_realtime::{Admission, Authority, ConnectRequest, Identity, Refreshed, Refusal};
use chatsdk_types::ErrorCode;

/// Answers from the token service's memory; nothing here waits for a database.
#[derive(Debug, Clone)]
pub struct TokenAuthority {
    auth: Auth,
}

impl TokenAuthority {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth }
    }

    fn examine(&self, token: &str) -> Result<std::sync::Arc<AccessClaims>, Refusal> {
        if token.is_empty() {
            return Err(Refusal::Missing);
        }
        self.auth.bearer(token).map_err(|error| refusal(&error))
    }
}

impl Authority for TokenAuthority {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        let claims = self.examine(request.token)?;
        Ok(Admission {
            identity: identity(&claims),
            expires_at: Some(claims.exp * 1000),
            data: None,
        })
    }

    async fn refresh(&self, _connection: &Identity, token: &str) -> Result<Refreshed, Refusal> {
        let claims = self.examine(token)?;
        Ok(Refreshed {
            identity: identity(&claims),
            expires_at: Some(claims.exp * 1000),
        })
    }
}

fn identity(claims: &AccessClaims) -> Identity {
    Identity::new(
        claims.client_id.as_str(),
        claims.sub.as_str(),
        claims.sid.as_str(),
    )
}

fn refusal(error: &AuthError) -> Refusal {
    match error.code() {
        ErrorCode::TokenExpired => Refusal::Expired,
        code @ (ErrorCode::TokenRevoked | ErrorCode::UserBanned) => {
            Refusal::Revoked(Cow::Borrowed(code.as_str()))
        }
        ErrorCode::TokenInvalid => Refusal::Invalid,
        // A fault of ours never ends a session.
        _ => Refusal::Unavailable,
    }
}
