//! `POST /auth/revoke`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::RevokeScope;
use chatsdk_types::ErrorCode;

use crate::Problem;
use crate::extract::bearer::MaybeBearer;
use crate::extract::{Caller, FromMembers, MaybeJson, Members};
use crate::finish::finish;
use crate::routes::{DONE, Done};
use crate::state::ApiState;

/// What to end, and a proof.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase", as = RevokeRequest)]
pub(crate) struct Request {
    /// Any refresh token of the session, however old. Left out: the access token in `Authorization` is the proof.
    #[schema(value_type = Option<String>, required = false, min_length = 1)]
    refresh_token: Option<String>,
    /// How much to end: this device, every other device, or every device of the person.
    #[schema(schema_with = scopes, required = false)]
    scope: RevokeScope,
}

fn scopes() -> utoipa::openapi::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .enum_values(Some(["session", "others", "user"]))
        .default(Some("session".into()))
        .build()
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&["refreshToken", "scope"])?;
        let refresh_token = match members.raw("refreshToken") {
            None | Some(None) => None,
            Some(Some(_)) => Some(members.required_text("refreshToken")?),
        };
        let scope = match members.text("scope")? {
            None => RevokeScope::Session,
            Some(scope) => match scope.as_deref() {
                Some("session") => RevokeScope::Session,
                Some("others") => RevokeScope::Others,
                Some("user") => RevokeScope::User,
                _ => {
                    return Err(Problem::field(
                        "scope",
                        "scope is `session`, `others` or `user`.",
                    ));
                }
            },
        };
        Ok(Self {
            refresh_token,
            scope,
        })
    }
}

/// Sign out.
///
/// Ends this device's session, or others. After RFC 7009, a refresh token that is unknown, expired or
/// already ended is answered like any other, so that a logout can be sent until it is answered. To end
/// other devices takes a refresh token that would be exchanged now, or an access token.
#[utoipa::path(
    post,
    path = "/auth/revoke",
    operation_id = "revokeTokens",
    tag = "Tokens",
    security((), ("accessToken" = [])),
    request_body = Option<Request>,
    responses((status = 200, description = "It has ended, for every open connection too", body = Done)),
    extensions(("x-error-codes" = json!([
        "token_expired", "token_invalid", "token_revoked", "refresh_token_invalid", "refresh_token_expired",
        "session_revoked", "user_banned", "app_disabled", "rate_limited",
    ]))),
)]
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Caller(peer): Caller,
    bearer: MaybeBearer,
    MaybeJson(request): MaybeJson<Request>,
) -> Result<Reply<Done>, Problem> {
    let (auth, scope) = (state.auth().clone(), request.scope);
    if let Some(token) = request.refresh_token {
        finish(async move { auth.revoke_with_refresh_token(&token, scope, &peer).await }).await?;
    } else if let Some(leaver) = bearer.leaver(&state).transpose() {
        let claims = match leaver {
            // A logout whose reply was lost is sent again, and finds its session ended.
            Err(problem) if ended_already(&problem, scope) => return Ok(DONE),
            leaver => leaver?,
        };
        finish(async move { auth.revoke_with_access_token(&claims, scope, &peer).await }).await?;
    } else {
        return Err(Problem::new(ErrorCode::InvalidRequest).detail(
            "Send a refreshToken in the body, or an access token as `Authorization: Bearer <accessToken>`.",
        ));
    }
    Ok(DONE)
}

fn ended_already(problem: &Problem, scope: RevokeScope) -> bool {
    scope == RevokeScope::Session && problem.code() == ErrorCode::TokenRevoked
}
