//! What the realtime engine may ask of the token service, and who may do what in which topic.

use std::borrow::Cow;
use std::sync::Arc;

use chatsdk_auth::{AccessClaims, Auth, AuthError, Peer};
use chatsdk_realtime::{
    Admission, Authority, Caller, ConnectRequest, Denial, ErrorCode as ReplyCode, Grant, Identity,
    Inspect, InspectRequest, PublishRequest, Publishing, Refreshed, Refusal, SubscribeRequest,
    TopicOptions,
};
use chatsdk_types::ErrorCode;

use crate::rights::Rights;
use crate::topics::{self, Space};

/// Answers from the token service's memory; nothing here waits for a database.
#[derive(Debug, Clone)]
pub struct TokenAuthority {
    auth: Auth,
    personal: Arc<TopicOptions>,
    custom: Arc<TopicOptions>,
}

impl TokenAuthority {
    pub(crate) fn new(auth: Auth) -> Self {
        Self {
            auth,
            personal: Arc::new(topics::personal()),
            custom: Arc::new(topics::custom()),
        }
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
        let own = topics::personal_of(claims.sub.as_str());
        let grant = Grant::new(Arc::clone(&self.personal));
        Ok(Admission {
            expires_at: Some(claims.exp * 1000),
            subscriptions: vec![(own.into(), grant)],
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

    async fn subscribe(&self, request: SubscribeRequest<'_>) -> Result<Grant, Denial> {
        let identity = request.caller.identity;
        match topics::space(request.channel, &identity.user) {
            Space::Custom if Rights::of(identity).may_read() => Ok(Grant {
                may_recover: true,
                may_hear_joins: true,
                ..Grant::new(Arc::clone(&self.custom))
            }),
            // One's own is there from the start, and others' are nobody's business.
            Space::Custom | Space::Personal | Space::Closed => {
                Err(ReplyCode::PermissionDenied.into())
            }
            Space::Unknown => Err(ReplyCode::UnknownChannel.into()),
        }
    }

    async fn may_stay(&self, caller: Caller<'_>, channel: &str) -> bool {
        match topics::space(channel, &caller.identity.user) {
            Space::Custom => Rights::of(caller.identity).may_read(),
            Space::Personal => true,
            Space::Closed | Space::Unknown => false,
        }
    }

    async fn publish(&self, request: PublishRequest<'_>) -> Result<Publishing, Denial> {
        let identity = request.caller.identity;
        match topics::space(request.channel, &identity.user) {
            Space::Custom if request.subscribed && Rights::of(identity).may_write() => {
                if request.data.is_json() {
                    Ok(Publishing::Topic(Arc::clone(&self.custom)))
                } else {
                    // Most of those who listen speak JSON.
                    Err(ReplyCode::BadRequest.into())
                }
            }
            Space::Custom | Space::Personal | Space::Closed => {
                Err(ReplyCode::PermissionDenied.into())
            }
            Space::Unknown => Err(ReplyCode::UnknownChannel.into()),
        }
    }

    async fn inspect(&self, request: InspectRequest<'_>) -> Result<Arc<TopicOptions>, Denial> {
        let user = &request.caller.identity.user;
        match (topics::space(request.channel, user), request.what) {
            (Space::Custom, _) if request.subscribed => Ok(Arc::clone(&self.custom)),
            (Space::Personal, Inspect::History) => Ok(Arc::clone(&self.personal)),
            (Space::Custom | Space::Personal | Space::Closed, _) => {
                Err(ReplyCode::PermissionDenied.into())
            }
            (Space::Unknown, _) => Err(ReplyCode::UnknownChannel.into()),
        }
    }
}

fn identity(claims: &AccessClaims) -> Identity {
    let rights = Rights::read(claims.custom.as_deref());
    Identity::new(
        claims.client_id.as_str(),
        claims.sub.as_str(),
        claims.sid.as_str(),
    )
    .with_rights(rights.bits())
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
