//! `POST /auth/introspect`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::Auth;
use chatsdk_types::tokens::Introspection;

use crate::Problem;
use crate::extract::key::TokensIntrospect;
use crate::extract::{FromMembers, Json, Key, Members};

/// A token to ask about.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase", as = IntrospectRequest)]
pub(crate) struct Request {
    /// An access token or a refresh token.
    #[schema(min_length = 1)]
    token: String,
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&["token"])?;
        Ok(Self {
            token: members.required_text("token")?,
        })
    }
}

/// Ask whether a token works.
///
/// After RFC 7662: of a token that does not work now, or is not of your app, it says only that it is not
/// active. An access token that works counts as used.
#[utoipa::path(
    post,
    path = "/auth/introspect",
    operation_id = "introspectToken",
    tag = "Tokens",
    security(("apiKey" = [])),
    request_body = Request,
    responses((status = 200, description = "Whether it works, and what it says", body = Introspection)),
    extensions(("x-error-codes" = json!(["rate_limited"]))),
)]
pub(crate) async fn introspect(
    State(auth): State<Auth>,
    key: Key<TokensIntrospect>,
    Json(request): Json<Request>,
) -> Result<Reply<Introspection>, Problem> {
    Ok(Reply(auth.introspect(&key.caller, &request.token).await?))
}
