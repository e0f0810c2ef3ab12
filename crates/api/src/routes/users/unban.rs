//! `DELETE /auth/users/{userId}/ban`.

use axum::Json;
use axum::extract::State;
use chatsdk_auth::{Auth, UserChange};

use crate::Problem;
use crate::extract::key::UsersWrite;
use crate::extract::{Caller, Key, UserPath};
use crate::finish::finish;
use crate::routes::{DONE, Done};

/// Lift a ban.
///
/// The sessions that waited go on. Where there is no ban, that is done already.
#[utoipa::path(
    delete,
    path = "/auth/users/{userId}/ban",
    operation_id = "unbanUser",
    tag = "Users",
    security(("apiKey" = [])),
    params(("userId" = inline(crate::openapi::schema::UserIdText), Path, description = "Your id of the person, percent-encoded")),
    responses((status = 200, description = "There is no ban", body = Done)),
    extensions(("x-error-codes" = json!(["app_disabled"]))),
)]
pub(crate) async fn unban(
    State(auth): State<Auth>,
    key: Key<UsersWrite>,
    UserPath(user): UserPath,
    Caller(peer): Caller,
) -> Result<Json<Done>, Problem> {
    auth.admit(&key.caller.app)?;
    finish(async move {
        auth.change_user(
            &key.caller.app,
            &user,
            UserChange::Unban,
            &key.actor(),
            &peer,
        )
        .await
    })
    .await?;
    Ok(DONE)
}
