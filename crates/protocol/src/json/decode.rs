//! Frames into commands, and into what a server said.

use crate::Undecodable;
use crate::command::{Command, Method, WireCommand};
use crate::json::{MAX_DEPTH, PING};
use crate::schema::{Fields, read_object};
use crate::server::{ServerMessage, WireReply};

/// The commands of `frame`, in order. The frame may end with one newline. After an error there is
/// nothing more to read: the caller stops.
///
/// Unknown members are passed over, and an explicit `null` counts as left out, save as a payload. A member that stands
/// twice is an error: two readers could disagree on which one holds.
pub fn commands(frame: &str) -> impl Iterator<Item = Result<Command<'_>, Undecodable>> {
    lines(frame).map(|line| {
        // By far the most frequent line: the answer to a ping.
        if line == PING {
            return Ok(Command {
                id: 0,
                method: Method::Pong,
            });
        }
        read::<WireCommand<'_>>(line)?.command()
    })
}

/// What a server said in `frame`, in order.
pub fn server_messages(frame: &str) -> impl Iterator<Item = Result<ServerMessage, Undecodable>> {
    lines(frame).map(|line| {
        if line == PING {
            return Ok(ServerMessage::Ping);
        }
        Ok(read::<WireReply<'_>>(line)?.message())
    })
}

fn lines(frame: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(frame.strip_suffix('\n').unwrap_or(frame));
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr(b'\n', text.as_bytes()) else {
            return rest.take();
        };
        rest = Some(&text[end + 1..]);
        Some(&text[..end])
    })
}

/// Reads `text`, which is one object and nothing else.
pub(crate) fn read<'de, T: Fields<'de> + Default>(text: &'de str) -> Result<T, Undecodable> {
    if text.is_empty() {
        return Err(Undecodable::Empty);
    }
    if deeper_than(text, MAX_DEPTH) {
        return Err(Undecodable::TooDeep);
    }
    let mut message = T::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    read_object(&mut message, &mut reader)
        .and_then(|()| reader.end())
        .map_err(|_| Undecodable::Malformed)?;
    Ok(message)
}

/// Whether brackets nest deeper than `limit`. Parsing raw payloads is iterative and would not
/// notice; whoever reads the payload later would.
pub(crate) fn deeper_than(json: &str, limit: usize) -> bool {
    // `[` and `{` differ in one bit. Few of them cannot nest deep, and counting is much cheaper
    // than following strings: pieces that a byte can count make it a vector operation.
    let opening: usize = json
        .as_bytes()
        .chunks(255)
        .map(|piece| {
            let count: u8 = piece.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum();
            usize::from(count)
        })
        .sum();
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
    use serde_json::value::RawValue;

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
    fn without_an_id_only_what_has_no_reply_is_a_command() {
        assert_eq!(decoded("{}"), Ok(vec![(0, None)]));
        assert_eq!(decoded(" { } "), Ok(vec![(0, None)]));
        for named in ["connect", "publish", "ping", "sub_refresh"] {
            for id in ["", r#""id":0,"#] {
                let command = format!(r#"{{{id}"{named}":{{}}}}"#);
                assert_eq!(decoded(&command), Err(Undecodable::NoId), "{command}");
            }
        }
        assert_eq!(
            decoded(r#"{"send":{"data":1}}"#),
            Ok(vec![(0, Some("send"))])
        );
        assert_eq!(
            decoded(r#"{"presence":{},"send":{"data":1}}"#),
            Err(Undecodable::NoId),
            "an answer with id 0 would be a ping"
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
    fn null_is_nothing_for_members_of_every_kind_but_a_payload() {
        let frame = r#"{"id":1,"subscribe":{"channel":"a","token":null,"recover":null,"epoch":null,"offset":null,"data":null,"tf":null,"flag":null}}"#;
        let Some(Ok(Command {
            method: Method::Subscribe(subscribe),
            ..
        })) = commands(frame).next()
        else {
            panic!("it is a subscribe command");
        };
        assert_eq!(
            subscribe.data.raw_value().map(RawValue::get),
            Some("null"),
            "a payload that is null is one"
        );
        let plain = crate::command::SubscribeRequest {
            channel: "a".into(),
            data: subscribe.data,
            ..Default::default()
        };
        assert_eq!(*subscribe, plain);
        assert_eq!(
            decoded(
                r#"{"id":1,"connect":{"token":null,"data":null,"subs":null,"name":null,"headers":null}}"#
            ),
            Ok(vec![(1, Some("connect"))])
        );
        assert_eq!(decoded(r#"{"id":null}"#), Ok(vec![(0, None)]), "a pong");
        // Not a member: there is nothing that it could be left out of.
        for frame in [
            r#"{"id":1,"connect":{"subs":{"a":null}}}"#,
            r#"{"id":1,"subscribe":{"tf":{"vals":[null]}}}"#,
            r#"{"id":1,"connect":{"token":null,"token":"b"}}"#,
        ] {
            assert_eq!(decoded(frame), Err(Undecodable::Malformed), "{frame}");
        }
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
            connect.data.raw_value().map(RawValue::get),
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
