//! `GET /auth/users/{userId}/sessions`.

use axum::Json;
use axum::extract::State;
use chatsdk_auth::Auth;

use crate::Problem;
use crate::extract::key::SessionsRevoke;
use crate::extract::{Key, UserPath};
use crate::routes::sessions::SessionList;

/// List a person's sessions.
///
/// Of a person who was never minted for, the list is empty.
#[utoipa::path(
    get,
    path = "/auth/users/{userId}/sessions",
    operation_id = "listUserSessions",
    tag = "Users",
    security(("apiKey" = [])),
    params(("userId" = inline(crate::openapi::schema::UserIdText), Path, description = "Your id of the person, percent-encoded")),
    responses((status = 200, description = "The live sessions of the person", body = SessionList)),
)]
pub(crate) async fn list_sessions(
    State(auth): State<Auth>,
    key: Key<SessionsRevoke>,
    UserPath(user): UserPath,
) -> Result<Json<SessionList>, Problem> {
    let sessions = auth.sessions(&key.caller.app, &user, None).await?;
    Ok(Json(SessionList { sessions }))
}
