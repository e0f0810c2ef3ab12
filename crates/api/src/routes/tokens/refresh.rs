//! `POST /auth/refresh`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::Auth;
use chatsdk_types::Millis;
use chatsdk_types::tokens::TokenReply;

use crate::Problem;
use crate::extract::{Caller, FromMembers, Json, Members};

/// A refresh token to exchange.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase", as = RefreshRequest)]
pub(crate) struct Request {
    /// The newest refresh token of the session, unchanged.
    #[schema(
        min_length = 1,
        example = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJydCtqd3QifQ.e30.c2ln"
    )]
    refresh_token: String,
    /// When the request was sent, in milliseconds since the Unix epoch by the server's clock as the
    /// sender estimates it. A request that arrives more than 15 s later is not answered, so that a
    /// late one cannot use up a token; 408 `request_stale` tells the server's time.
    #[schema(value_type = Option<i64>, required = false, minimum = -9_007_199_254_740_992_i64, maximum = 9_007_199_254_740_992_i64)]
    sent_at: Option<Millis>,
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&["refreshToken", "sentAt"])?;
        Ok(Self {
            refresh_token: members.required_text("refreshToken")?,
            sent_at: members.optional_integer("sentAt")?,
        })
    }
}

/// Exchange a refresh token for the next pair.
///
/// The SDKs do so by themselves, five minutes before the access token expires. The same token may be
/// presented again for a minute and is answered with the same successor; an older one that comes back
/// after a later one was in use ends the session. The old access token goes on working until it expires.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    operation_id = "refreshTokens",
    tag = "Tokens",
    request_body = Request,
    responses((status = 200, description = "The next pair of tokens", body = TokenReply)),
    extensions(("x-error-codes" = json!([
        "request_stale", "refresh_token_invalid", "refresh_token_expired", "refresh_token_reused",
        "session_revoked", "user_banned", "app_disabled", "rate_limited",
    ]))),
)]
pub(crate) async fn refresh(
    State(auth): State<Auth>,
    Caller(peer): Caller,
    Json(request): Json<Request>,
) -> Result<Reply<TokenReply>, Problem> {
    let reply = auth
        .refresh(&request.refresh_token, request.sent_at, &peer)
        .await?;
    Ok(Reply(reply))
}
