//! `POST /auth/users/{userId}/ban`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::{Auth, UserChange, profile};

use crate::Problem;
use crate::extract::key::UsersWrite;
use crate::extract::{Caller, FromMembers, Key, MaybeJson, Members, UserPath};
use crate::finish::finish;
use crate::routes::{DONE, Done};

/// Why.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase", as = BanRequest)]
pub(crate) struct Request {
    /// Your word on it, for lists and the audit log. The person does not see it.
    #[schema(value_type = Option<String>, required = false, max_length = 256, pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$", example = "spam")]
    reason: Option<String>,
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&["reason"])?;
        let reason = profile::reason(members.optional_text("reason")?)?;
        Ok(Self { reason })
    }
}

/// Ban a person.
///
/// Nothing of theirs works until the ban is lifted; their sessions wait. A person who was never minted
/// for can be banned beforehand.
#[utoipa::path(
    post,
    path = "/auth/users/{userId}/ban",
    operation_id = "banUser",
    tag = "Users",
    security(("apiKey" = [])),
    params(("userId" = inline(crate::openapi::schema::UserIdText), Path, description = "Your id of the person, percent-encoded")),
    request_body = Option<Request>,
    responses((status = 200, description = "The person is banned; their connections are closed", body = Done)),
)]
pub(crate) async fn ban(
    State(auth): State<Auth>,
    key: Key<UsersWrite>,
    UserPath(user): UserPath,
    Caller(peer): Caller,
    MaybeJson(request): MaybeJson<Request>,
) -> Result<Reply<Done>, Problem> {
    let change = UserChange::Ban {
        reason: request.reason,
    };
    finish(async move {
        auth.change_user(&key.caller.app, &user, change, &key.actor(), &peer)
            .await
    })
    .await?;
    Ok(DONE)
}
