//! `DELETE /auth/users/{userId}/sessions/{sessionId}`.

use axum::Json;
use axum::extract::State;
use chatsdk_auth::{Auth, Which};
use chatsdk_types::ErrorCode;

use crate::Problem;
use crate::extract::key::SessionsRevoke;
use crate::extract::{Caller, Key, SessionPath, UserPath};
use crate::finish::finish;
use crate::routes::{DONE, Done};

/// End one session of a person.
///
/// One that has ended already is answered the same.
#[utoipa::path(
    delete,
    path = "/auth/users/{userId}/sessions/{sessionId}",
    operation_id = "endUserSession",
    tag = "Users",
    security(("apiKey" = [])),
    params(
        ("userId" = inline(crate::openapi::schema::UserIdText), Path, description = "Your id of the person, percent-encoded"),
        ("sessionId" = String, Path, description = "The session", pattern = "^ses_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "ses_01h455vb4pex5vsknk084sn02q"),
    ),
    responses((status = 200, description = "It has ended, for every open connection too", body = Done)),
    extensions(("x-error-codes" = json!(["session_not_found"]))),
)]
pub(crate) async fn delete_session(
    State(auth): State<Auth>,
    key: Key<SessionsRevoke>,
    UserPath(user): UserPath,
    SessionPath(session): SessionPath,
    Caller(peer): Caller,
) -> Result<Json<Done>, Problem> {
    let found = auth
        .find_session(&key.caller.app, &user, &session)
        .await?
        .ok_or(ErrorCode::SessionNotFound)?;
    finish(async move {
        auth.end_sessions(
            &found.app,
            Which::One(found.id),
            "host",
            &key.actor(),
            &peer,
        )
        .await
    })
    .await?;
    Ok(DONE)
}
