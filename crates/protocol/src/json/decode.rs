//! A frame of a client into commands.

use serde::Deserialize;

use crate::command::{
    ChannelRequest, Command, ConnectRequest, HistoryRequest, Method, PublishRequest,
    RefreshRequest, RpcRequest, SendRequest, SubRefreshRequest, SubscribeRequest,
    UnsubscribeRequest,
};
use crate::json::MAX_DEPTH;

/// A frame that is not one of the protocol's. The connection ends with
/// [`crate::DisconnectCode::BadRequest`]: what follows cannot be trusted to be in step.
///
/// It tells what was wrong but never quotes the frame, which may hold a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Nothing, or an empty line between two commands.
    #[error("an empty frame or line")]
    Empty,
    /// Not JSON, or a member of the wrong type.
    #[error("not a command")]
    Malformed,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested too deep")]
    TooDeep,
    /// A command that asks for nothing known.
    #[error("a command without a method")]
    NoMethod,
}

/// The commands of `frame`, in order. The frame may end with one newline. After an error there is
/// nothing more to read: the caller stops.
pub fn commands(frame: &str) -> impl Iterator<Item = Result<Command<'_>, Undecodable>> {
    frame
        .strip_suffix('\n')
        .unwrap_or(frame)
        .split('\n')
        .map(command)
}

/// A command as it stands in JSON. Unknown members are passed over; an explicit `null` counts as
/// left out. A member that stands twice is an error: two readers could disagree on which one holds.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    id: u32,
    #[serde(borrow)]
    connect: Option<Box<ConnectRequest<'a>>>,
    #[serde(borrow)]
    subscribe: Option<Box<SubscribeRequest<'a>>>,
    #[serde(borrow)]
    unsubscribe: Option<UnsubscribeRequest<'a>>,
    #[serde(borrow)]
    publish: Option<PublishRequest<'a>>,
    #[serde(borrow)]
    presence: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    presence_stats: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    history: Option<HistoryRequest<'a>>,
    ping: Option<Nothing>,
    #[serde(borrow)]
    send: Option<SendRequest<'a>>,
    #[serde(borrow)]
    rpc: Option<RpcRequest<'a>>,
    #[serde(borrow)]
    refresh: Option<RefreshRequest<'a>>,
    #[serde(borrow)]
    sub_refresh: Option<SubRefreshRequest<'a>>,
}

/// An object without members that matter.
#[derive(Deserialize)]
struct Nothing {}

fn command(line: &str) -> Result<Command<'_>, Undecodable> {
    // By far the most frequent line: the answer to a ping.
    if line == "{}" {
        return Ok(Command {
            id: 0,
            method: Method::Pong,
        });
    }
    if line.is_empty() {
        return Err(Undecodable::Empty);
    }
    if deeper_than(line, MAX_DEPTH) {
        return Err(Undecodable::TooDeep);
    }
    // A JSON array would be taken as the fields in order; only an object is a command.
    if !line.trim_ascii_start().starts_with('{') {
        return Err(Undecodable::Malformed);
    }
    let wire: Wire<'_> = serde_json::from_str(line).map_err(|_| Undecodable::Malformed)?;
    let id = wire.id;
    if id == 0 && wire.send.is_none() {
        return Ok(Command {
            id,
            method: Method::Pong,
        });
    }
    // The order is that of the fields in the protocol's schema: with several set, the first wins.
    let method = wire
        .connect
        .map(Method::Connect)
        .or_else(|| wire.subscribe.map(Method::Subscribe))
        .or_else(|| wire.unsubscribe.map(Method::Unsubscribe))
        .or_else(|| wire.publish.map(Method::Publish))
        .or_else(|| wire.presence.map(Method::Presence))
        .or_else(|| wire.presence_stats.map(Method::PresenceStats))
        .or_else(|| wire.history.map(Method::History))
        .or_else(|| wire.ping.map(|Nothing {}| Method::Ping))
        .or_else(|| wire.send.map(Method::Send))
        .or_else(|| wire.rpc.map(Method::Rpc))
        .or_else(|| wire.refresh.map(Method::Refresh))
        .or_else(|| wire.sub_refresh.map(Method::SubRefresh))
        .ok_or(Undecodable::NoMethod)?;
    Ok(Command { id, method })
}

/// Whether brackets nest deeper than `limit`. Parsing raw payloads is iterative and would not
/// notice; whoever reads the payload later would.
fn deeper_than(json: &str, limit: usize) -> bool {
    // `[` and `{` differ in one bit. Few of them cannot nest deep, and counting is much cheaper
    // than following strings.
    let opening = json.bytes().filter(|byte| byte | 0x20 == b'{').count();
    if opening <= limit {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(frame: &str) -> Result<Vec<(u32, Option<&'static str>)>, Undecodable> {
        commands(frame)
            .map(|command| command.map(|command| (command.id, command.method.name())))
            .collect()
    }

    #[test]
    fn a_frame_holds_one_command_or_several() {
        assert_eq!(
            decoded(r#"{"id":1,"connect":{}}"#),
            Ok(vec![(1, Some("connect"))])
        );
        assert_eq!(
            decoded(
                "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n{}\n"
            ),
            Ok(vec![
                (1, Some("connect")),
                (2, Some("subscribe")),
                (0, None)
            ])
        );
    }

    #[test]
    fn empty_lines_are_refused() {
        for frame in ["", "\n", "{}\n\n{}", "\n{}", "{}\n\n"] {
            assert_eq!(decoded(frame), Err(Undecodable::Empty), "{frame:?}");
        }
    }

    #[test]
    fn every_method_has_its_member() {
        for name in [
            "connect",
            "subscribe",
            "unsubscribe",
            "publish",
            "presence",
            "presence_stats",
            "history",
            "ping",
            "send",
            "rpc",
            "refresh",
            "sub_refresh",
        ] {
            assert_eq!(
                decoded(&format!(r#"{{"id":7,"{name}":{{}}}}"#)),
                Ok(vec![(7, Some(name))])
            );
        }
    }

    #[test]
    fn id_zero_is_a_pong_unless_it_sends() {
        assert_eq!(decoded("{}"), Ok(vec![(0, None)]));
        assert_eq!(decoded(" { } "), Ok(vec![(0, None)]));
        assert_eq!(decoded(r#"{"connect":{}}"#), Ok(vec![(0, None)]));
        assert_eq!(
            decoded(r#"{"send":{"data":1}}"#),
            Ok(vec![(0, Some("send"))])
        );
    }

    #[test]
    fn unknown_members_are_passed_over_and_null_is_nothing() {
        assert_eq!(
            decoded(
                r#"{"x":[{"y":null}],"id":3,"subscribe":null,"refresh":{"token":"t","flag":9,"dict":"d"}}"#
            ),
            Ok(vec![(3, Some("refresh"))])
        );
        assert_eq!(decoded(r#"{"id":3}"#), Err(Undecodable::NoMethod));
        assert_eq!(
            decoded(r#"{"id":3,"dance":{}}"#),
            Err(Undecodable::NoMethod)
        );
        assert_eq!(
            decoded(r#"{"id":3,"connect":null}"#),
            Err(Undecodable::NoMethod)
        );
    }

    #[test]
    fn of_several_methods_the_first_in_the_schema_wins() {
        assert_eq!(
            decoded(r#"{"id":3,"refresh":{},"rpc":{},"connect":{}}"#),
            Ok(vec![(3, Some("connect"))])
        );
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for frame in [
            "null",
            "1",
            "\"connect\"",
            "[]",
            "[1,{}]",
            "{",
            "{}}",
            "{} {}",
            r#"{"id":-1,"ping":{}}"#,
            r#"{"id":1.5,"ping":{}}"#,
            r#"{"id":"1","ping":{}}"#,
            r#"{"id":4294967296,"ping":{}}"#,
            r#"{"id":1,"id":2,"ping":{}}"#,
            r#"{"id":1,"connect":{"token":1}}"#,
            r#"{"id":1,"connect":{"token":null}}"#,
            r#"{"id":1,"connect":{"token":"a","token":"b"}}"#,
            r#"{"id":1,"connect":"token"}"#,
            r#"{"id":1,"connect":{"data":{]}}}"#,
            r#"{"id":1,"connect":{"token":"\ud800"}}"#,
            "\u{feff}{}",
        ] {
            assert_eq!(decoded(frame), Err(Undecodable::Malformed), "{frame}");
        }
    }

    #[test]
    fn payloads_stay_as_they_came() {
        let frame =
            r#"{"id":1,"connect":{"token":"a.b","data":{"n": 1e400, "s":"\u00e9"},"name":"js"}}"#;
        let Some(Ok(Command {
            method: Method::Connect(connect),
            ..
        })) = commands(frame).next()
        else {
            panic!("it is a connect command");
        };
        assert_eq!(connect.token, "a.b");
        assert!(
            matches!(connect.token, std::borrow::Cow::Borrowed(_)),
            "tokens are not copied"
        );
        assert_eq!(
            connect.data.map(serde_json::value::RawValue::get),
            Some(r#"{"n": 1e400, "s":"\u00e9"}"#)
        );
    }

    #[test]
    fn depth_is_bounded_everywhere() {
        let nested = |depth: usize| {
            format!(
                r#"{{"id":1,"rpc":{{"data":{}{}}}}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            )
        };
        assert!(decoded(&nested(MAX_DEPTH - 2)).is_ok());
        assert_eq!(decoded(&nested(MAX_DEPTH - 1)), Err(Undecodable::TooDeep));
        assert_eq!(decoded(&nested(30_000)), Err(Undecodable::TooDeep));
        let unknown = format!(
            r#"{{"id":1,"x":{}{},"ping":{{}}}}"#,
            "{\"a\":".repeat(9_000),
            "}".repeat(9_000)
        );
        assert_eq!(decoded(&unknown), Err(Undecodable::TooDeep));
        assert_eq!(decoded(&"[".repeat(60_000)), Err(Undecodable::TooDeep));
        let brackets_in_text = format!(r#"{{"id":1,"rpc":{{"data":"\"{}"}}}}"#, "[".repeat(500));
        assert!(decoded(&brackets_in_text).is_ok());
    }
}
