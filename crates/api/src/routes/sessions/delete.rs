//! `DELETE /auth/sessions/{sessionId}`.

use axum::Json;
use axum::extract::State;
use chatsdk_auth::{Auth, Which};
use chatsdk_types::ErrorCode;

use crate::Problem;
use crate::extract::{Bearer, Caller, SessionPath};
use crate::finish::finish;
use crate::routes::{DONE, Done};

/// End one of your sessions.
///
/// One that has ended already is answered the same.
#[utoipa::path(
    delete,
    path = "/auth/sessions/{sessionId}",
    operation_id = "endSession",
    tag = "Sessions",
    security(("accessToken" = [])),
    params(("sessionId" = String, Path, description = "The session", pattern = "^ses_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "ses_01h455vb4pex5vsknk084sn02q")),
    responses((status = 200, description = "It has ended, for every open connection too", body = Done)),
    extensions(("x-error-codes" = json!(["user_banned", "app_disabled", "session_not_found"]))),
)]
pub(crate) async fn delete(
    State(auth): State<Auth>,
    Bearer(claims): Bearer,
    SessionPath(session): SessionPath,
    Caller(peer): Caller,
) -> Result<Json<Done>, Problem> {
    let found = auth
        .find_session(&claims.client_id, &claims.sub, &session)
        .await?
        .ok_or(ErrorCode::SessionNotFound)?;
    let actor = format!("user:{}", claims.sub);
    finish(async move {
        auth.end_sessions(&found.app, Which::One(found.id), "logout", &actor, &peer)
            .await
    })
    .await?;
    Ok(DONE)
}
