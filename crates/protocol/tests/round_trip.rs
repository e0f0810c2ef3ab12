//! Whatever one side writes, the other reads; and whatever else arrives, nothing panics.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::borrow::Cow;

use chatsdk_protocol::command::{
    ConnectRequest, HistoryRequest, PublishRequest, RefreshRequest, RpcRequest, SendRequest,
    StreamPosition, SubscribeRequest,
};
use chatsdk_protocol::json::{self, Incoming};
use chatsdk_protocol::reply::{ConnectResult, RefreshResult};
use chatsdk_protocol::{Command, ErrorCode, Method, Reply, ReplyBody, ReplyError};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

/// JSON of a few levels, pretty-printed now and then so that it holds line breaks.
fn payload() -> impl Strategy<Value = Box<RawValue>> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
        ]
    });
    (value, any::<bool>()).prop_map(|(value, pretty)| {
        let text = if pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        RawValue::from_string(text.expect("it is JSON")).expect("it is JSON")
    })
}

fn parsed(raw: Option<&RawValue>) -> Option<Value> {
    raw.map(|raw| serde_json::from_str(raw.get()).expect("it is JSON"))
}

fn only(frame: &str) -> Command<'_> {
    let mut commands = json::commands(frame);
    let first = commands.next().expect("one command").expect("decodable");
    assert!(commands.next().is_none(), "one line: {frame}");
    first
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn connect(id in 1_u32.., token: String, name: String, data in proptest::option::of(payload()), channel: String, offset: u64) {
        let mut request = ConnectRequest { token: Cow::Borrowed(&token), name: Cow::Borrowed(&name), data: data.as_deref(), ..Default::default() };
        request.subs.0.insert(channel.clone(), SubscribeRequest { recover: true, offset, ..Default::default() });
        request.headers.insert(name.clone(), token.clone());
        let frame = json::encode_command(&Command { id, method: Method::Connect(Box::new(request)) });
        let Command { id: read_id, method: Method::Connect(read) } = only(&frame) else { panic!("{frame}") };
        prop_assert_eq!(read_id, id);
        prop_assert_eq!(&read.token, &token);
        prop_assert_eq!(&read.name, &name);
        prop_assert_eq!(parsed(read.data), parsed(data.as_deref()));
        prop_assert_eq!(read.subs.0[&channel].offset, offset);
        prop_assert_eq!(&read.headers[&name], &token);
    }

    #[test]
    fn the_other_commands(id in 1_u32.., text: String, limit: i32, offset: u64, data in payload()) {
        let channel = Cow::Borrowed(text.as_str());
        let commands = [
            Method::Subscribe(Box::new(SubscribeRequest { channel: channel.clone(), epoch: channel.clone(), offset, flag: 1, ..Default::default() })),
            Method::Publish(PublishRequest { channel: channel.clone(), data: Some(&data) }),
            Method::History(HistoryRequest { channel: channel.clone(), limit, since: Some(StreamPosition { offset, epoch: channel.clone() }), reverse: true }),
            Method::Rpc(RpcRequest { data: Some(&data), method: channel.clone() }),
            Method::Send(SendRequest { data: Some(&data) }),
            Method::Refresh(RefreshRequest { token: channel }),
            Method::Ping,
        ];
        for method in commands {
            let frame = json::encode_command(&Command { id, method: method.clone() });
            let read = only(&frame);
            prop_assert_eq!(read.id, id);
            prop_assert_eq!(json::encode_command(&read), frame.as_str(), "the same again");
            prop_assert_eq!(read.method.name(), method.name());
        }
    }

    #[test]
    fn replies(id in 1_u32.., text: String, ttl: u32, expires: bool, data in proptest::option::of(payload()), code in 400_u32..2000) {
        let connect = ConnectResult { client: Cow::Borrowed(&text), version: "1".into(), expires, ttl, data: data.as_deref(), ping: 25, pong: true, time: 5 };
        let mut frame = json::Frame::default();
        frame.reply(&Reply::new(id, connect));
        frame.reply(&Reply::new(id, RefreshResult { expires, ttl }));
        frame.reply(&Reply::new(id, ReplyError::application(code, text.clone(), expires).expect("in range")));
        frame.reply(&Reply::new(id, ErrorCode::NotAvailable));
        let frame = frame.take().expect("four lines");
        let read: Vec<_> = json::decode_frame(&frame).map(|line| line.expect("a reply")).collect();
        prop_assert_eq!(read.len(), 4);
        let bodies: Vec<&ReplyBody<'_>> = read.iter().map(|incoming| match incoming {
            Incoming::Reply(reply) if reply.id == id => &reply.body,
            other => panic!("{other:?}"),
        }).collect();
        let ReplyBody::Connect(connect) = bodies[0] else { panic!("{frame}") };
        prop_assert_eq!(&connect.client, &text);
        prop_assert_eq!(parsed(connect.data), parsed(data.as_deref()));
        let ReplyBody::Refresh(refresh) = bodies[1] else { panic!("{frame}") };
        prop_assert_eq!(refresh.ttl, ttl);
        let ReplyBody::Error(error) = bodies[2] else { panic!("{frame}") };
        prop_assert_eq!((error.code, error.message.as_ref(), error.temporary), (code, text.as_str(), expires));
        let ReplyBody::Error(error) = bodies[3] else { panic!("{frame}") };
        prop_assert_eq!(error, &ReplyError::from(ErrorCode::NotAvailable));
    }

    /// Text that is made of the pieces of commands, so that it gets far into the decoder.
    #[test]
    fn pieces_of_commands_never_panic(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "{", "}", "[", "]", "\"", ":", ",", "\n", "\\", "\\u", "d800", "null", "true", "1", "-", "1e999", "\"id\":", "\"connect\":", "\"token\":\"", "\"send\":",
        "\"subs\":", "\"data\":", "\"since\":", "\u{0}", "\u{feff}", "é", " ", "\r",
    ]), 0..40)) {
        let text = pieces.concat();
        for command in json::commands(&text).flatten() {
            // Whatever was understood can be said again and is understood the same.
            let again = json::encode_command(&command);
            prop_assert_eq!(only(&again).method.name(), command.method.name());
        }
        json::decode_frame(&text).for_each(drop);
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let text = String::from_utf8_lossy(&noise);
        json::commands(&text).for_each(drop);
        json::decode_frame(&text).for_each(drop);
    }
}

#[test]
fn a_giant_frame_is_decoded_in_linear_time() {
    // Sixty-four thousand commands of nothing, and one string of a million escapes.
    let lines = "{}\n".repeat(64_000);
    assert_eq!(json::commands(&lines).count(), 64_000);
    let long = format!(
        r#"{{"id":1,"refresh":{{"token":"{}"}}}}"#,
        r"\n".repeat(1_000_000)
    );
    let Method::Refresh(refresh) = only(&long).method else {
        panic!("a refresh")
    };
    assert_eq!(refresh.token.len(), 1_000_000);
}
