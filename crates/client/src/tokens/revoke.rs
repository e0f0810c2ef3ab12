//! Tells the server of sessions that were logged out here, until it has answered.

use serde_json::json;

use super::schedule::backoff;
use super::vault::Vault;
use crate::http::{AnswerKind, post};
use crate::platform::Platform;

/// How often one run tries in the background; what is left then waits in the outbox for the next start.
const ATTEMPTS: u32 = 5;

/// Revokes each of `tokens`, ticks off in `vault` those that were answered, and answers the others.
pub(crate) async fn revoke_once<P: Platform>(
    platform: &P,
    api_url: &str,
    vault: &Vault<P>,
    tokens: Vec<String>,
) -> Vec<String> {
    let mut unanswered = Vec::new();
    for token in tokens {
        let body = json!({ "refreshToken": token });
        let answer = post(platform, &format!("{api_url}/auth/revoke"), &body).await;
        // Only our server's own word that it makes no difference to ask again counts as an answer.
        let settled = match answer.kind {
            AnswerKind::Ok(_) => true,
            AnswerKind::Problem(problem) => {
                problem.status < 500 && !matches!(problem.status, 408 | 429)
            }
            AnswerKind::Foreign { .. } | AnswerKind::Unreachable(_) => false,
        };
        if settled {
            vault.revoked(&token).await;
        } else {
            unanswered.push(token);
        }
    }
    unanswered
}

/// Goes on with what [`revoke_once`] left, with growing pauses.
pub(crate) async fn revoke_later<P: Platform>(
    platform: &P,
    api_url: &str,
    vault: &Vault<P>,
    mut left: Vec<String>,
) {
    for attempt in 1..ATTEMPTS {
        if left.is_empty() {
            return;
        }
        platform.sleep(backoff(attempt, platform.random())).await;
        left = revoke_once(platform, api_url, vault, left).await;
    }
}
