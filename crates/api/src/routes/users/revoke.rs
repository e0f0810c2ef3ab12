//! `POST /auth/users/{userId}/revoke`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::{Auth, Which};
use chatsdk_types::SessionId;

use crate::Problem;
use crate::extract::key::SessionsRevoke;
use crate::extract::{Caller, FromMembers, Key, MaybeJson, Members, UserPath};
use crate::finish::finish;
use crate::routes::{DONE, Done};

/// Which session stays.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase", as = RevokeUserRequest)]
pub(crate) struct Request {
    /// The session that stays: the one that the person is using while they change their password, say.
    #[schema(value_type = Option<String>, required = false, pattern = "^ses_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "ses_01h455vb4pex5vsknk084sn02q")]
    except: Option<SessionId>,
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&["except"])?;
        let except = members
            .optional_text("except")?
            .map(|text| text.parse())
            .transpose()
            .map_err(|bad: chatsdk_types::ids::BadId| {
                Problem::field("except", format!("except is {bad}."))
            })?;
        Ok(Self { except })
    }
}

/// End all sessions of a person, but for one.
#[utoipa::path(
    post,
    path = "/auth/users/{userId}/revoke",
    operation_id = "revokeUser",
    tag = "Users",
    security(("apiKey" = [])),
    params(("userId" = inline(crate::openapi::schema::UserIdText), Path, description = "Your id of the person, percent-encoded")),
    request_body = Option<Request>,
    responses((status = 200, description = "They have ended, for every open connection too", body = Done)),
)]
pub(crate) async fn revoke(
    State(auth): State<Auth>,
    key: Key<SessionsRevoke>,
    UserPath(user): UserPath,
    Caller(peer): Caller,
    MaybeJson(request): MaybeJson<Request>,
) -> Result<Reply<Done>, Problem> {
    let which = Which::OfUser {
        user,
        except: request.except,
    };
    finish(async move {
        auth.end_sessions(&key.caller.app, which, "host", &key.actor(), &peer)
            .await
    })
    .await?;
    Ok(DONE)
}
