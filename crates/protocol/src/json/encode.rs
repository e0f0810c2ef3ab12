//! Replies and pushes into frames.
//!
//! The envelope is written by hand: it is a handful of fixed strings around what serde or the
//! application has already made, and replies are written on the hot path.

use serde::Serialize;

use crate::json::MAX_BATCH;
use crate::push::Push;
use crate::reply::{Reply, ReplyBody};

/// The server's ping: a reply without content.
pub const PING: &str = "{}";

/// Several replies that share a frame, one per line.
#[derive(Debug, Default)]
pub struct Frame {
    text: String,
    count: usize,
}

impl Frame {
    /// Adds `reply`.
    pub fn reply(&mut self, reply: &Reply<'_>) {
        self.line();
        encode_reply(reply, &mut self.text);
    }

    /// Adds `push`.
    pub fn push(&mut self, push: &Push<'_>) {
        self.line();
        encode_push(push, &mut self.text);
    }

    /// Whether it is time to send it, because [`MAX_BATCH`] lines share it.
    pub fn is_full(&self) -> bool {
        self.count >= MAX_BATCH
    }

    /// The text so far, or `None` when there is none. The frame is empty afterwards.
    pub fn take(&mut self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        self.count = 0;
        Some(std::mem::take(&mut self.text))
    }

    fn line(&mut self) {
        if self.count > 0 {
            self.text.push('\n');
        }
        self.count += 1;
    }
}

/// Appends `reply` to `out`, without a newline. The member of the method is always there, even
/// when it holds nothing: clients look for it.
pub fn encode_reply(reply: &Reply<'_>, out: &mut String) {
    out.push_str("{\"id\":");
    number(u64::from(reply.id), out);
    match &reply.body {
        ReplyBody::Error(error) => member("error", error, out),
        ReplyBody::Connect(result) => member("connect", result, out),
        ReplyBody::Refresh(result) => member("refresh", result, out),
        ReplyBody::Unsubscribe => out.push_str(",\"unsubscribe\":{}"),
        ReplyBody::Ping => out.push_str(",\"ping\":{}"),
    }
    out.push('}');
}

/// Appends `push` to `out`, without a newline.
pub fn encode_push(push: &Push<'_>, out: &mut String) {
    match push {
        Push::Ping => out.push_str(PING),
        Push::Message(data) => {
            out.push_str("{\"push\":{\"message\":{\"data\":");
            one_line(data.get(), out);
            out.push_str("}}}");
        }
        Push::Disconnect(disconnect) => {
            out.push_str("{\"push\":{\"disconnect\":{\"code\":");
            number(u64::from(disconnect.code()), out);
            member("reason", disconnect.reason(), out);
            out.push_str("}}}");
        }
        Push::Refresh(result) => {
            out.push_str("{\"push\":{\"refresh\":");
            value(result, out);
            out.push_str("}}");
        }
    }
}

/// `,"name":value`
fn member<T: Serialize + ?Sized>(name: &str, content: &T, out: &mut String) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    value(content, out);
}

fn value<T: Serialize + ?Sized>(content: &T, out: &mut String) {
    // Our own types have string keys and no failing Serialize, so there is always a text. Should
    // that ever change, `null` keeps the frame well-formed and a client that misses its result
    // reconnects.
    let text = serde_json::to_string(content).unwrap_or_else(|_| "null".to_owned());
    one_line(&text, out);
}

/// Appends well-formed JSON without its line breaks, which separate replies. Inside strings JSON
/// has none, so they are only ever white space between tokens.
fn one_line(json: &str, out: &mut String) {
    for part in json.split(['\n', '\r']) {
        out.push_str(part);
    }
}

fn number(value: u64, out: &mut String) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{ConnectResult, RefreshResult};
    use crate::{Disconnect, DisconnectCode, ErrorCode, ReplyError};
    use serde_json::value::RawValue;

    fn encoded(reply: &Reply<'_>) -> String {
        let mut out = String::new();
        encode_reply(reply, &mut out);
        out
    }

    fn pushed(push: &Push<'_>) -> String {
        let mut out = String::new();
        encode_push(push, &mut out);
        out
    }

    #[test]
    fn golden_replies() {
        assert_eq!(
            encoded(&Reply::new(
                1,
                ConnectResult {
                    client: "7a37".into(),
                    version: "1.0.0".into(),
                    expires: true,
                    ttl: 3600,
                    ping: 25,
                    pong: true,
                    time: 1_700_000_000_000,
                    data: None,
                }
            )),
            r#"{"id":1,"connect":{"client":"7a37","version":"1.0.0","expires":true,"ttl":3600,"ping":25,"pong":true,"time":1700000000000}}"#
        );
        assert_eq!(
            encoded(&Reply::new(
                u32::MAX,
                RefreshResult {
                    expires: true,
                    ttl: 60
                }
            )),
            r#"{"id":4294967295,"refresh":{"expires":true,"ttl":60}}"#
        );
        assert_eq!(
            encoded(&Reply::new(2, RefreshResult::default())),
            r#"{"id":2,"refresh":{}}"#,
            "the member stands there even when it is empty"
        );
        assert_eq!(
            encoded(&Reply::new(3, ReplyBody::Unsubscribe)),
            r#"{"id":3,"unsubscribe":{}}"#
        );
        assert_eq!(
            encoded(&Reply::new(4, ReplyBody::Ping)),
            r#"{"id":4,"ping":{}}"#
        );
    }

    #[test]
    fn golden_errors() {
        assert_eq!(
            encoded(&Reply::new(9, ErrorCode::TokenExpired)),
            r#"{"id":9,"error":{"code":109,"message":"token expired"}}"#
        );
        assert_eq!(
            encoded(&Reply::new(9, ErrorCode::Internal)),
            r#"{"id":9,"error":{"code":100,"message":"internal server error","temporary":true}}"#
        );
        let own = ReplyError::application(418, "a \"teapot\"\n", false).expect("in range");
        assert_eq!(
            encoded(&Reply::new(9, own)),
            r#"{"id":9,"error":{"code":418,"message":"a \"teapot\"\n"}}"#
        );
    }

    #[test]
    fn golden_pushes() {
        assert_eq!(pushed(&Push::Ping), "{}");
        assert_eq!(
            pushed(&Push::Disconnect(&Disconnect::from(
                DisconnectCode::Shutdown
            ))),
            r#"{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}"#
        );
        assert_eq!(
            pushed(&Push::Refresh(RefreshResult {
                expires: true,
                ttl: 5
            })),
            r#"{"push":{"refresh":{"expires":true,"ttl":5}}}"#
        );
        let pretty: &RawValue = serde_json::from_str("{\n  \"a\": \"x\\ny\"\r\n}").expect("JSON");
        assert_eq!(
            pushed(&Push::Message(pretty)),
            r#"{"push":{"message":{"data":{  "a": "x\ny"}}}}"#,
            "a payload never breaks the line"
        );
    }

    #[test]
    fn frames_share_lines() {
        let mut frame = Frame::default();
        assert_eq!(frame.take(), None);
        for id in 1..=16 {
            assert!(!frame.is_full());
            frame.reply(&Reply::new(id, ReplyBody::Ping));
        }
        assert!(frame.is_full());
        let text = frame.take().expect("sixteen lines");
        assert_eq!(text.lines().count(), 16);
        assert!(!text.ends_with('\n'));
        assert_eq!(frame.take(), None);
    }
}
