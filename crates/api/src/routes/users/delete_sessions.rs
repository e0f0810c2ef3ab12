//! `DELETE /auth/users/{userId}/sessions`.

use axum::Json;
use axum::extract::State;
use chatsdk_auth::{Auth, Which};

use crate::Problem;
use crate::extract::key::SessionsRevoke;
use crate::extract::{Caller, Key, UserPath};
use crate::finish::finish;
use crate::routes::{DONE, Done};

/// End all sessions of a person.
///
/// Of a person who has none, or was never minted for, that is done already.
#[utoipa::path(
    delete,
    path = "/auth/users/{userId}/sessions",
    operation_id = "endUserSessions",
    tag = "Users",
    security(("apiKey" = [])),
    params(("userId" = inline(crate::openapi::schema::UserIdText), Path, description = "Your id of the person, percent-encoded")),
    responses((status = 200, description = "They have ended, for every open connection too", body = Done)),
)]
pub(crate) async fn delete_sessions(
    State(auth): State<Auth>,
    key: Key<SessionsRevoke>,
    UserPath(user): UserPath,
    Caller(peer): Caller,
) -> Result<Json<Done>, Problem> {
    let which = Which::OfUser { user, except: None };
    finish(async move {
        auth.end_sessions(&key.caller.app, which, "host", &key.actor(), &peer)
            .await
    })
    .await?;
    Ok(DONE)
}
