//! Asks for the next pair, and says in one word what the answer means for the session.

use std::sync::Arc;

use chatsdk_types::{ErrorCode, Millis};
use serde_json::{Value, json};

use super::clocks::{Now, ServerClock};
use super::jwt::whole;
use super::pair::Pair;
use crate::error::{EndReason, HostError, RefreshErrorKind};
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

/// The word that the session is over: the server's, or the host's.
#[derive(Debug)]
pub(crate) struct Fatal {
    pub(crate) reason: EndReason,
    pub(crate) status: Option<u16>,
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
    let answer = post(platform, &url, None, &body).await;
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
                    reason: EndReason::Refused(code),
                    status: Some(status),
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

/// What the host's own function came to, for hosts that keep the refresh token on their backend. Only two things end the
/// session: [`HostError::SessionEnded`], and our server's own final word that the backend passed on.
pub(crate) fn judge_host<P: Platform>(
    platform: &P,
    clock: &ServerClock,
    user_id: &str,
    stamp: Now,
    answer: Result<Value, HostError>,
) -> Verdict {
    let body = match answer {
        Ok(body) => body,
        Err(HostError::SessionEnded) => {
            return Verdict::Fatal(Fatal {
                reason: EndReason::HostSessionEnded,
                status: None,
                request_id: None,
            });
        }
        Err(HostError::Failed(why)) => {
            let why = format!("refresh_tokens failed: {why}");
            return trouble(RefreshErrorKind::Network, why);
        }
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if text("code") == Some(ErrorCode::RequestStale.as_str()) {
        let took = (platform.wall() - stamp.wall).max(0);
        clock.learn(body.get("serverTime").and_then(whole), stamp.wall, took);
        return Verdict::Again("the clock was wrong");
    }
    let status = body.get("status").and_then(Value::as_u64);
    if let (Some(code), Some(status)) = (text("code"), status.and_then(|s| u16::try_from(s).ok()))
        && let Some(code) = fatal(status, code)
    {
        return Verdict::Fatal(Fatal {
            reason: EndReason::Refused(code),
            status: Some(status),
            request_id: text("requestId").map(str::to_owned),
        });
    }
    match Pair::from_reply(user_id, &body, clock.now(platform), true) {
        Ok(pair) => {
            // It was made a moment ago, whatever this device takes for the time.
            let server_time = pair.tokens.expires_at.saturating_sub(pair.left);
            clock.learn(Some(server_time), platform.wall(), 0);
            Verdict::Pair(pair)
        }
        Err(why) => trouble(RefreshErrorKind::Protocol, format!("refresh_tokens: {why}")),
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
