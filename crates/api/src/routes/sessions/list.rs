//! `GET /auth/sessions`.

use axum::Json;
use axum::extract::State;
use chatsdk_auth::Auth;

use super::SessionList;
use crate::Problem;
use crate::extract::Bearer;

/// List your sessions.
#[utoipa::path(
    get,
    path = "/auth/sessions",
    operation_id = "listSessions",
    tag = "Sessions",
    security(("accessToken" = [])),
    responses((status = 200, description = "The live sessions of the caller", body = SessionList)),
    extensions(("x-error-codes" = json!(["user_banned", "app_disabled"]))),
)]
pub(crate) async fn list(
    State(auth): State<Auth>,
    Bearer(claims): Bearer,
) -> Result<Json<SessionList>, Problem> {
    let sessions = auth
        .sessions(&claims.client_id, &claims.sub, Some(&claims.sid))
        .await?;
    Ok(Json(SessionList { sessions }))
}
