//! Asks for the next pair, and says in one word what the answer means for the session.

use std::sync::Arc;

use chatsdk_types::{ErrorCode, Millis};
use serde_json::{Value, json};

use super::clocks::{Now, ServerClock};
use super::jwt::whole;
use super::pair::Pair;
use crate::error::RefreshErrorKind;
use crate::http::{AnswerKind, post};
use crate::platform::Platform;

/// A reply that took longer may be older than what somebody else has got since; it is asked for again.
const STALE_REPLY: Millis = 15_000;

/// Whether what was asked for at `stamp` is too old to be kept, by either clock of the device.
pub(crate) fn is_late(stamp: Now, now: Now) -> bool {
    (now.wall - stamp.wall).max(now.mono - stamp.mono) > STALE_REPLY
}

/// Why there is no new pair, though the session may well be alive.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: RefreshErrorKind,
    /// What stands in the way, for people.
    pub(crate) reason: String,
    /// The server asked not to be tried again for this long, in ms.
    pub(crate) retry_after: Millis,
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<String>,
}

impl Trouble {
    pub(crate) fn new(kind: RefreshErrorKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            retry_after: 0,
            status: None,
            request_id: None,
        }
    }
}

/// The server's word that the session is over.
#[derive(Debug)]
pub(crate) struct Fatal {
    pub(crate) code: ErrorCode,
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
}

/// What the answer means.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pair(Arc<Pair>),
    Fatal(Fatal),
    Again(&'static str),
    Trouble(Trouble),
}

/// Presents `refresh_token` at `POST /auth/refresh`, as something that was begun at `stamp`.
pub(crate) async fn request_pair<P: Platform>(
    platform: &P,
    clock: &ServerClock,
    api_url: &str,
    user_id: &str,
    refresh_token: &str,
    stamp: Now,
) -> Verdict {
    let url = format!("{api_url}/auth/refresh");
    let body = json!({ "refreshToken": refresh_token, "sentAt": stamp.server });
    let answer = post(platform, &url, &body).await;
    let (sent_wall, took) = (answer.sent_wall, answer.took);
    let learn = |time: Option<&Value>| clock.learn(time.and_then(whole), sent_wall, took);
    match answer.kind {
        AnswerKind::Unreachable(why) => trouble(
            RefreshErrorKind::Network,
            format!("nothing answered: {why}"),
        ),
        AnswerKind::Foreign {
            status,
            retry_after,
        } => {
            let (kind, reason) = match status {
                404 | 405 => (
                    RefreshErrorKind::Configuration,
                    format!("{url} answered {status}: check the address of the API"),
                ),
                ..300 => (
                    RefreshErrorKind::Protocol,
                    format!(
                        "the reply ({status}) is not JSON: something else than the server answered"
                    ),
                ),
                _ => (RefreshErrorKind::Network, format!("status {status}")),
            };
            Verdict::Trouble(Trouble {
                retry_after,
                status: Some(status),
                ..Trouble::new(kind, reason)
            })
        }
        AnswerKind::Problem(problem) => {
            let (status, code) = (problem.status, problem.code);
            if code == ErrorCode::RequestStale.as_str() {
                learn(problem.body.get("serverTime"));
                return Verdict::Again("the clock was wrong");
            }
            if let Some(code) = fatal(status, &code) {
                return Verdict::Fatal(Fatal {
                    code,
                    status,
                    request_id: problem.request_id,
                });
            }
            let (kind, reason) = match status {
                404 | 405 => (
                    RefreshErrorKind::Configuration,
                    format!("{url} answered {code}: check the address of the API"),
                ),
                400 | 413 | 415 => (
                    RefreshErrorKind::Protocol,
                    format!("the server did not understand the request ({code})"),
                ),
                _ => (
                    RefreshErrorKind::Network,
                    format!("status {status} ({code})"),
                ),
            };
            Verdict::Trouble(Trouble {
                retry_after: problem.retry_after,
                status: Some(status),
                request_id: problem.request_id,
                ..Trouble::new(kind, reason)
            })
        }
        AnswerKind::Ok(body) => {
            if is_late(stamp, clock.now(platform)) {
                return Verdict::Again("the reply came too late");
            }
            learn(body.get("serverTime"));
            match Pair::from_reply(user_id, &body, clock.now(platform), false) {
                Ok(pair) => Verdict::Pair(pair),
                Err(why) => trouble(RefreshErrorKind::Protocol, why),
            }
        }
    }
}

/// The code, where it ends a session and comes with a status that such a code has.
fn fatal(status: u16, code: &str) -> Option<ErrorCode> {
    if !matches!(status, 401 | 403) {
        return None;
    }
    ErrorCode::ALL
        .iter()
        .copied()
        .find(|known| known.ends_session() && known.as_str() == code)
}

fn trouble(kind: RefreshErrorKind, reason: impl Into<String>) -> Verdict {
    Verdict::Trouble(Trouble::new(kind, reason))
}
