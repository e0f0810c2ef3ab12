//! Ids in the path, percent-decoded as UTF-8.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use chatsdk_types::{ErrorCode, SessionId, UserId};

use crate::Problem;

/// The `{userId}` of a path.
#[derive(Debug)]
pub(crate) struct UserPath(pub(crate) UserId);

/// The `{sessionId}` of a path. What is not written like one names no session.
#[derive(Debug)]
pub(crate) struct SessionPath(pub(crate) SessionId);

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        param(parts, state, "userId")
            .await?
            .parse()
            .map(Self)
            .map_err(|bad: chatsdk_types::ids::BadId| {
                Problem::field("userId", format!("userId is {bad}."))
            })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = param(parts, state, "sessionId").await?;
        text.parse()
            .map(Self)
            .map_err(|_| Problem::new(ErrorCode::SessionNotFound))
    }
}

/// The `{client}` of a path. What is not written like an id of a connection names none.
#[derive(Debug)]
pub(crate) struct ClientPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for ClientPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        param(parts, state, "client").await.map(Self)
    }
}

async fn param<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &'static str,
) -> Result<String, Problem> {
    if !is_escaped_well(parts.uri.path()) {
        return Err(Problem::new(ErrorCode::InvalidRequest)
            .detail("A percent sign in the path is followed by two hexadecimal digits."));
    }
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| {
            Problem::new(ErrorCode::InvalidRequest)
                .detail("The path is not UTF-8 once its percent signs are decoded.")
        })?;
    params
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
        .ok_or_else(|| Problem::internal(format!("the route has no {name}")))
}

/// Whether each percent sign begins an escape. The router takes others as they stand, so that a mistake
/// in a host's encoding would name somebody else.
fn is_escaped_well(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::is_escaped_well;

    #[test]
    fn a_percent_sign_begins_an_escape() {
        for good in ["/a", "/%25", "/%c3%A4/b", ""] {
            assert!(is_escaped_well(good), "{good}");
        }
        for bad in ["/%", "/%2", "/%zz", "/%2/b", "/%%25", "/%é"] {
            assert!(!is_escaped_well(bad), "{bad}");
        }
    }
}
