//! One POST, bounded in time, and what came of it.

use chatsdk_types::Millis;
use serde_json::{Map, Value};

use crate::platform::Platform;
use crate::within::within;

/// Every request is given up after this long, in ms.
const REQUEST_TIMEOUT: Millis = 10_000;

/// No server may silence a client for longer than this, in ms.
const LONGEST_WAIT: Millis = 3_600_000;

/// What came of a request, and when.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) kind: AnswerKind,
    /// The device's wall clock when the request left.
    pub(crate) sent_wall: Millis,
    /// How long the answer took, in ms: the longer of what the two clocks say, so that sleep counts.
    pub(crate) took: Millis,
}

#[derive(Debug)]
pub(crate) enum AnswerKind {
    /// A status of success, and JSON.
    Ok(Value),
    /// A problem document of our server.
    Problem(Problem),
    /// Something else answered, or our server behind something that fails: a proxy, a captive portal.
    Foreign { status: u16, retry_after: Millis },
    /// Nothing answered.
    Unreachable(String),
}

#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) body: Map<String, Value>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Millis,
}

/// Sends `body` as JSON.
pub(crate) async fn post<P: Platform>(
    platform: &P,
    url: &str,
    authorization: Option<&str>,
    body: &Value,
) -> Answer {
    let (sent_wall, sent_mono) = (platform.wall(), platform.mono());
    let reply = within(
        platform,
        REQUEST_TIMEOUT,
        platform.post(url, authorization, body.to_string()),
    )
    .await;
    let took = (platform.wall() - sent_wall)
        .max(platform.mono() - sent_mono)
        .max(0);
    let kind = match reply {
        None => AnswerKind::Unreachable(format!("no answer within {REQUEST_TIMEOUT} ms")),
        Some(Err(why)) => AnswerKind::Unreachable(why.0),
        Some(Ok(reply)) => {
            let status = reply.status;
            let parsed: Option<Value> = match status {
                204 => Some(Value::Null),
                _ => serde_json::from_str(&reply.body).ok(),
            };
            let media_type = reply.content_type.split(';').next().unwrap_or_default();
            let is_problem = media_type
                .trim()
                .eq_ignore_ascii_case("application/problem+json");
            match parsed {
                Some(value) if (200..300).contains(&status) => AnswerKind::Ok(value),
                Some(Value::Object(document)) => {
                    let retry_after = from_header(&reply.retry_after).max(from_document(&document));
                    let text = |name: &str| document.get(name)?.as_str().map(str::to_owned);
                    match text("code") {
                        Some(code) if is_problem => AnswerKind::Problem(Problem {
                            status,
                            code,
                            request_id: text("requestId"),
                            retry_after,
                            body: document,
                        }),
                        _ => AnswerKind::Foreign {
                            status,
                            retry_after,
                        },
                    }
                }
                _ => AnswerKind::Foreign {
                    status,
                    retry_after: if (200..300).contains(&status) {
                        0
                    } else {
                        from_header(&reply.retry_after)
                    },
                },
            }
        }
    };
    Answer {
        kind,
        sent_wall,
        took,
    }
}

/// The form that holds a date is not read: it would need the device's clock to be right.
fn from_header(header: &str) -> Millis {
    let header = header.trim();
    if header.is_empty() || header.len() > 9 || !header.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    header
        .parse::<Millis>()
        .map_or(0, |seconds| (seconds * 1_000).min(LONGEST_WAIT))
}

fn from_document(document: &Map<String, Value>) -> Millis {
    let wait = document.get("retryAfterMs").and_then(Value::as_f64);
    wait.map_or(0, |wait| (wait.max(0.0) as Millis).min(LONGEST_WAIT))
}
