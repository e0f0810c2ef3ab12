//! What the realtime engine may ask of the token service.

use std::borrow::Cow;
use std::sync::Arc;

use chatsdk_auth::{AccessClaims, Auth, AuthError, Peer};
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

    fn examine(&self, token: &str, peer: &Peer) -> Result<Arc<AccessClaims>, Refusal> {
        if token.is_empty() {
            return Err(Refusal::Missing);
        }
        self.auth.bearer(token).map_err(|error| {
            if error.code() == ErrorCode::TokenInvalid {
                // Counted as a try to guess one, against the same limit as over HTTP. It stays what it
                // is: a client that is told to come again would come for ever.
                let counted = self.auth.refuse(ErrorCode::TokenInvalid, peer);
                tracing::debug!(error = %counted, "a socket presented what is no token of ours");
            }
            refusal(&error)
        })
    }
}

impl Authority for TokenAuthority {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        let peer = Peer {
            ip: Some(request.remote_addr.ip()),
            ..Peer::default()
        };
        let claims = self.examine(request.token, &peer)?;
        Ok(Admission {
            expires_at: Some(claims.exp * 1000),
            ..Admission::new(identity(&claims))
        })
    }

    async fn refresh(&self, _connection: &Identity, token: &str) -> Result<Refreshed, Refusal> {
        let claims = self.examine(token, &Peer::default())?;
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
