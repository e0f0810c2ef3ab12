//! `POST /auth/users/{userId}/ban`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::{Auth, UserChange};

use crate::Problem;
use crate::extract::key::UsersWrite;
use crate::extract::{Caller, FromMembers, Key, MaybeJson, Members, UserPath};
use crate::finish::finish;
use crate::routes::{DONE, Done};

/// The longest reason, in characters.
const MAX_REASON: usize = 256;

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
        let reason = members.optional_text("reason")?;
        let fits = reason.as_deref().is_none_or(|reason| {
            reason.chars().count() <= MAX_REASON && !reason.chars().any(char::is_control)
        });
        if !fits {
            return Err(Problem::field(
                "reason",
                format!(
                    "A reason has at most {MAX_REASON} characters, none of them a control character."
                ),
            ));
        }
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
        reason: request.reason.filter(|reason| !reason.is_empty()),
    };
    finish(async move {
        auth.change_user(&key.caller.app, &user, change, &key.actor(), &peer)
            .await
    })
    .await?;
    Ok(DONE)
}
