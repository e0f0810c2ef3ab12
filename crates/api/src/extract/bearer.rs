//! A person with an access token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chatsdk_auth::{AccessClaims, AuthError};
use chatsdk_types::ErrorCode;

use crate::Problem;
use crate::extract::peer::peer;
use crate::state::ApiState;

/// The verified claims of the caller's access token.
#[derive(Debug)]
pub(crate) struct Bearer(pub(crate) Arc<AccessClaims>);

impl FromRequestParts<ApiState> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let token = token(&parts.headers)?.ok_or(ErrorCode::TokenMissing)?;
        let examined = state.auth().bearer(token);
        verified(token, examined, parts, state).map(Self)
    }
}

/// An access token that is only looked at if it is asked for: for the route that takes another proof
/// as well, where a stray header does no harm.
#[derive(Debug)]
pub(crate) struct MaybeBearer(Parts);

impl MaybeBearer {
    /// The verified claims of somebody who is leaving, or `None` where there is no token.
    pub(crate) fn leaver(&self, state: &ApiState) -> Result<Option<Arc<AccessClaims>>, Problem> {
        token(&self.0.headers)?
            .map(|token| verified(token, state.auth().leaver(token), &self.0, state))
            .transpose()
    }
}

impl<S: Sync> FromRequestParts<S> for MaybeBearer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.clone()))
    }
}

fn verified(
    token: &str,
    examined: Result<Arc<AccessClaims>, AuthError>,
    parts: &Parts,
    state: &ApiState,
) -> Result<Arc<AccessClaims>, Problem> {
    let auth = state.auth();
    examined.map_err(|error| match error {
        // A token that was never ours counts as a try to guess one; one that has run out does not.
        AuthError::Refused(ErrorCode::TokenInvalid) => {
            let problem: Problem = auth.refuse(ErrorCode::TokenInvalid, &peer(parts)).into();
            if token.starts_with("csk_") && problem.code() == ErrorCode::TokenInvalid {
                return problem.detail(
                    "An API key is no access token. Keep it in your backend, and send the accessToken of a token reply.",
                );
            }
            problem
        }
        error => error.into(),
    })
}

/// The token of the one `Authorization: Bearer` header.
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Ok(None),
        (Some(line), None) => line,
        (Some(_), Some(_)) => return Err(ambiguous()),
    };
    let Ok(line) = line.to_str() else {
        return Err(ErrorCode::TokenInvalid.into());
    };
    // Some proxies join two headers with a comma.
    let joined = line.split(',').skip(1).any(|rest| {
        let scheme = rest.trim_start().split(' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer")
    });
    if joined {
        return Err(ambiguous());
    }
    let (scheme, token) = line.split_once(' ').unwrap_or((line, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_start_matches(' ');
    Ok((!token.is_empty()).then_some(token))
}

fn ambiguous() -> Problem {
    Problem::new(ErrorCode::InvalidRequest).detail("There is more than one Authorization header.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(lines: &[&'static str]) -> Result<Option<String>, ErrorCode> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AUTHORIZATION, HeaderValue::from_static(line));
        }
        token(&headers)
            .map(|token| token.map(str::to_owned))
            .map_err(|problem| problem.code())
    }

    #[test]
    fn one_header_with_any_case_of_scheme() {
        for line in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER a.b.c",
            "Bearer  a.b.c",
        ] {
            assert_eq!(read(&[line]), Ok(Some("a.b.c".into())), "{line}");
        }
        assert_eq!(
            read(&["Bearer Bearer x"]),
            Ok(Some("Bearer x".into())),
            "and no token has a space"
        );
        for line in ["Bearer", "Bearer ", "Basic YTpi", "a.b.c"] {
            assert_eq!(read(&[line]), Ok(None), "{line}");
        }
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(
            read(&["Bearer a,b"]),
            Ok(Some("a,b".into())),
            "and no token has a comma"
        );
    }

    #[test]
    fn two_tokens_are_none() {
        assert_eq!(
            read(&["Bearer a", "Bearer a"]),
            Err(ErrorCode::InvalidRequest)
        );
        assert_eq!(
            read(&["Bearer a, Bearer b"]),
            Err(ErrorCode::InvalidRequest)
        );
    }
}
