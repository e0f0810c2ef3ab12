//! An operator of this node, with the operator token.
//!
//! It opens everything on the node, so it is kept from browsers as API keys are: a page that asks for it
//! teaches people to paste it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chatsdk_types::ErrorCode;

use crate::Problem;
use crate::extract::bearer;
use crate::extract::key::from_browser;
use crate::extract::peer::peer;
use crate::state::ApiState;

/// What operator tokens that this project makes begin with, so that scanners find them where they leak.
pub(crate) const PREFIX: &str = "cso_";

/// Somebody with the operator token.
#[derive(Debug)]
pub(crate) struct Operator;

impl FromRequestParts<ApiState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        if from_browser(&parts.headers) {
            return Err(Problem::new(ErrorCode::BrowserForbidden).detail(
                "The operator token is not accepted from browsers: call this from a terminal or a program.",
            ));
        }
        if parts
            .uri
            .query()
            .is_some_and(|query| query.contains(PREFIX))
        {
            return Err(Problem::new(ErrorCode::InvalidRequest).detail(
                "An operator token stands in the address, where logs keep it. Send it in the Authorization header, and replace that token.",
            ));
        }
        let token = match bearer::token(&parts.headers) {
            Ok(Some(token)) => token.to_owned(),
            Ok(None) => return Err(ErrorCode::OperatorTokenMissing.into()),
            // Not text: it is no token, and is refused as one.
            Err(problem) if problem.code() == ErrorCode::TokenInvalid => String::new(),
            Err(problem) => return Err(problem),
        };
        let hint = other_credential(&token);
        let node = Arc::clone(state.node());
        // It may read a file.
        let admitted = tokio::task::spawn_blocking(move || node.admits(&token)).await;
        if admitted.map_err(|broken| Problem::internal(broken.to_string()))? {
            return Ok(Self);
        }
        let problem: Problem = state
            .auth()
            .refuse(ErrorCode::OperatorTokenInvalid, &peer(parts))
            .into();
        Err(match hint {
            Some(hint) if problem.code() == ErrorCode::OperatorTokenInvalid => problem.detail(hint),
            _ => problem,
        })
    }
}

/// What to say where another kind of credential was sent.
fn other_credential(token: &str) -> Option<&'static str> {
    if token.starts_with("csk_") {
        Some(
            "An API key is not the operator token; it speaks for one app, and this endpoint for the node.",
        )
    } else if token.starts_with("eyJ") {
        Some("A user's token is not the operator token.")
    } else {
        None
    }
}
