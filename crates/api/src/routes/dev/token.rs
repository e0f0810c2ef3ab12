//! `POST /dev/token`: what the endpoint of a host's own backend would do, without asking who somebody is.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::{Auth, Mint};
use chatsdk_types::tokens::TokenReply;
use chatsdk_types::{Lifetime, UserId};

use super::Local;
use crate::Problem;
use crate::extract::{Caller, FromMembers, Json, Members};

/// Who wants to be signed in.
#[derive(Debug)]
pub(crate) struct Request {
    user_id: UserId,
    access_token_expiry: Option<Lifetime>,
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&["userId", "accessTokenExpiry"])?;
        Ok(Self {
            user_id: members.user_id("userId")?,
            access_token_expiry: members.optional_lifetime("accessTokenExpiry")?,
        })
    }
}

pub(crate) async fn token(
    State(auth): State<Auth>,
    Local(dev): Local,
    Caller(peer): Caller,
    Json(request): Json<Request>,
) -> Result<Reply<TokenReply>, Problem> {
    let mint = Mint {
        user: request.user_id,
        patch: <_>::default(),
        access_ttl: request.access_token_expiry,
        refresh_ttl: None,
        session_ttl: None,
        device_id: None,
        device_name: None,
    };
    Ok(Reply(auth.mint(&dev.caller, mint, &peer).await?))
}
