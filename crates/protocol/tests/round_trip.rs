//! Whatever one side writes, the other reads, in both encodings; and whatever else arrives, nothing
//! panics.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use chatsdk_protocol::command::{
    ChannelRequest, ConnectRequest, HistoryRequest, PublishRequest, RefreshRequest, RpcRequest,
    SendRequest, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};
use chatsdk_protocol::object::{KeyedItem, Signed, TrackBatch};
use chatsdk_protocol::push::{
    Connect, DisconnectPush, Join, Leave, Message, Refresh, Subscribe, Unsubscribe,
};
use chatsdk_protocol::reply::{
    ConnectResult, HistoryResult, PresenceResult, PresenceStatsResult, RefreshResult, RpcResult,
    SubRefreshResult, SubscribeResult,
};
use chatsdk_protocol::{
    ClientInfo, Command, Encoding, FilterNode, Frame, Method, Payload, PayloadRef, Publication,
    Push, PushBody, Reply, ReplyBody, ReplyError, ServerMessage, StreamPosition, Undecodable, json,
    protobuf,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

/// JSON of a few levels on one line, or none.
fn payload() -> impl Strategy<Value = Payload> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
        ]
    });
    option::of(value).prop_map(|value| {
        value.map_or_else(Payload::default, |value| Payload::new(value.to_string()))
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>(), "[a-z:#$]{1,20}"]
}

fn shared() -> impl Strategy<Value = Arc<str>> {
    text().prop_map(Arc::from)
}

/// Absent, or something: an empty text is absent on the wire.
fn optional() -> impl Strategy<Value = Option<Arc<str>>> {
    option::of("[^\"]{1,9}".prop_map(Arc::from))
}

prop_compose! {
    fn info()(user in shared(), client in shared(), conn_info in payload(), chan_info in payload()) -> ClientInfo {
        ClientInfo { user, client, conn_info, chan_info }
    }
}

prop_compose! {
    fn publication()(
        data in payload(), info in option::of(info().prop_map(Arc::new)), offset: u64,
        tags in option::of(btree_map(text(), text(), 1..4).prop_map(Arc::new)), delta: bool, time: i64,
        [channel, key, epoch] in [optional(), optional(), optional()], removed: bool, score: i64, version: u64,
    ) -> Publication {
        Publication { data, info, offset, tags, delta, time, channel, key, removed, score: Signed(score), epoch, version }
    }
}

prop_compose! {
    fn subscribed()(
        [expires, recoverable, recovered, positioned, was_recovering, delta]: [bool; 6], ttl: u32,
        [epoch, cursor] in [optional(), optional()], publications in vec(publication(), 0..3), offset: u64,
        data in payload(), id: i64, [kind, phase]: [i32; 2], state in vec(publication(), 0..2), publish_debounce: u32,
    ) -> SubscribeResult {
        SubscribeResult { expires, ttl, recoverable, epoch, publications, recovered, offset, positioned, data,
            was_recovering, delta, id, kind, phase, cursor, state, publish_debounce }
    }
}

prop_compose! {
    fn connected()(
        [client, version] in [shared(), shared()], [expires, pong]: [bool; 2], [ttl, ping]: [u32; 2], data in payload(),
        subs in btree_map(shared(), subscribed(), 0..3), [session, node] in [optional(), optional()], time: i64,
    ) -> ConnectResult {
        ConnectResult { client, version, expires, ttl, data, subs, ping, pong, session, node, time }
    }
}

fn reply() -> impl Strategy<Value = ReplyBody> {
    prop_oneof![
        (any::<u32>(), text(), any::<bool>()).prop_map(|(code, message, temporary)| {
            ReplyError {
                code,
                message: message.into(),
                temporary,
            }
            .into()
        }),
        connected().prop_map(ReplyBody::from),
        subscribed().prop_map(ReplyBody::from),
        Just(ReplyBody::Unsubscribe),
        Just(ReplyBody::Publish),
        Just(ReplyBody::Ping),
        btree_map(shared(), info(), 0..4).prop_map(|presence| PresenceResult { presence }.into()),
        (any::<u32>(), any::<u32>()).prop_map(|(num_clients, num_users)| {
            PresenceStatsResult {
                num_clients,
                num_users,
            }
            .into()
        }),
        (vec(publication(), 0..4), shared(), any::<u64>()).prop_map(
            |(publications, epoch, offset)| {
                HistoryResult {
                    publications,
                    epoch,
                    offset,
                }
                .into()
            }
        ),
        payload().prop_map(|data| RpcResult { data }.into()),
        ([optional(), optional()], any::<bool>(), any::<u32>()).prop_map(
            |([client, version], expires, ttl)| {
                RefreshResult {
                    client,
                    version,
                    expires,
                    ttl,
                }
                .into()
            }
        ),
        (any::<bool>(), any::<u32>(), vec(publication(), 0..3)).prop_map(
            |(expires, ttl, items)| {
                SubRefreshResult {
                    expires,
                    ttl,
                    items,
                }
                .into()
            }
        ),
    ]
}

fn push() -> impl Strategy<Value = PushBody> {
    let info = || option::of(info().prop_map(Arc::new));
    prop_oneof![
        publication().prop_map(PushBody::from),
        info().prop_map(|info| Join { info }.into()),
        info().prop_map(|info| Leave { info }.into()),
        (any::<u32>(), text()).prop_map(|(code, reason)| Unsubscribe { code, reason }.into()),
        payload().prop_map(|data| Message { data }.into()),
        (any::<[bool; 2]>(), optional(), any::<u64>(), payload()).prop_map(
            |([recoverable, positioned], epoch, offset, data)| {
                Subscribe {
                    recoverable,
                    epoch,
                    offset,
                    positioned,
                    data,
                }
                .into()
            }
        ),
        connected().prop_map(|terms| {
            let ConnectResult {
                client,
                version,
                expires,
                ttl,
                data,
                subs,
                ping,
                pong,
                session,
                node,
                time,
            } = terms;
            Connect {
                client,
                version,
                data,
                subs,
                expires,
                ttl,
                ping,
                pong,
                session,
                node,
                time,
            }
            .into()
        }),
        (any::<u32>(), text(), any::<bool>()).prop_map(|(code, reason, reconnect)| {
            DisconnectPush {
                code,
                reason,
                reconnect,
            }
            .into()
        }),
        (any::<bool>(), any::<u32>()).prop_map(|(expires, ttl)| Refresh { expires, ttl }.into()),
    ]
}

fn filter() -> impl Strategy<Value = FilterNode<'static>> {
    let leaf = ([text(), text(), text()], vec(text(), 0..3)).prop_map(|([key, cmp, val], vals)| {
        FilterNode {
            key: key.into(),
            cmp: cmp.into(),
            val: val.into(),
            vals: vals.into_iter().map(Cow::from).collect(),
            ..FilterNode::default()
        }
    });
    leaf.prop_recursive(4, 16, 3, |inner| {
        (text(), vec(inner, 0..3)).prop_map(|(op, nodes)| FilterNode {
            op: op.into(),
            nodes,
            ..FilterNode::default()
        })
    })
}

/// What commands are made of; they borrow it.
#[derive(Debug, Clone)]
struct Words {
    text: [String; 5],
    data: Payload,
    flags: [bool; 5],
    small: [i32; 3],
    flag: i64,
    offset: u64,
    filter: Option<Box<FilterNode<'static>>>,
    headers: BTreeMap<String, String>,
}

prop_compose! {
    fn words()(
        text in [text(), text(), text(), text(), text()], data in payload(), flags: [bool; 5], small: [i32; 3],
        flag: i64, offset: u64, filter in option::of(filter().prop_map(Box::new)), headers in btree_map(text(), text(), 0..3),
    ) -> Words {
        Words { text, data, flags, small, flag, offset, filter, headers }
    }
}

fn methods(words: &Words) -> Vec<Method<'_>> {
    let [channel, token, epoch, delta, cursor] =
        words.text.each_ref().map(|text| Cow::from(text.as_str()));
    let [recover, positioned, recoverable, join_leave, asc] = words.flags;
    let [kind, phase, limit] = words.small;
    let (data, offset) = (words.data.as_ref(), words.offset);
    let subscribe = SubscribeRequest {
        channel: channel.clone(),
        token: token.clone(),
        recover,
        epoch: epoch.clone(),
        offset,
        data,
        positioned,
        recoverable,
        join_leave,
        delta: delta.clone(),
        filter: words.filter.clone(),
        flag: words.flag,
        kind,
        phase,
        cursor: cursor.clone(),
        limit,
        asc,
    };
    vec![
        Method::Connect(Box::new(ConnectRequest {
            token: token.clone(),
            data,
            subs: [(channel.to_string(), subscribe.clone())].into(),
            name: delta.clone(),
            version: epoch.clone(),
            headers: words.headers.clone(),
        })),
        Method::Subscribe(Box::new(subscribe)),
        Method::Unsubscribe(UnsubscribeRequest {
            channel: channel.clone(),
        }),
        Method::Publish(PublishRequest {
            channel: channel.clone(),
            data,
            kind,
            key: cursor.clone(),
            removed: asc,
        }),
        Method::Presence(ChannelRequest {
            channel: channel.clone(),
        }),
        Method::PresenceStats(ChannelRequest {
            channel: channel.clone(),
        }),
        Method::History(HistoryRequest {
            channel: channel.clone(),
            limit,
            since: recover.then(|| StreamPosition {
                offset,
                epoch: epoch.clone(),
            }),
            reverse: asc,
        }),
        Method::Ping,
        Method::Send(SendRequest { data }),
        Method::Rpc(RpcRequest {
            data,
            method: token.clone(),
        }),
        Method::Refresh(RefreshRequest {
            token: token.clone(),
        }),
        Method::SubRefresh(SubRefreshRequest {
            channel,
            token: token.clone(),
            kind,
            track: vec![TrackBatch {
                signature: token,
                items: vec![
                    KeyedItem {
                        key: epoch,
                        version: offset,
                    },
                    KeyedItem::default(),
                ],
            }],
            untrack: vec![delta, cursor],
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn commands(id in 1_u32.., words in words()) {
        for encoding in ENCODINGS {
            let mut frame = BytesMut::new();
            let said: Vec<Command<'_>> = methods(&words).into_iter().map(|method| Command { id, method }).collect();
            for command in &said {
                if !frame.is_empty() {
                    frame.extend_from_slice(encoding.separator());
                }
                encoding.encode_command(command, &mut frame).unwrap();
            }
            let read: Vec<Command<'_>> = encoding.commands(&frame).map(Result::unwrap).collect();
            prop_assert_eq!(read, said);
        }
    }

    #[test]
    fn replies(bodies in vec((1_u32.., reply()), 1..16)) {
        for encoding in ENCODINGS {
            let mut frame = Frame::new(encoding);
            let said: Vec<Reply> = bodies.iter().map(|(id, body)| Reply::new(*id, body.clone())).collect();
            for reply in &said {
                frame.reply(reply).unwrap();
            }
            let frame = frame.take().unwrap();
            let read: Vec<ServerMessage> = encoding.server_messages(&frame).map(Result::unwrap).collect();
            let said: Vec<ServerMessage> = said.into_iter().map(ServerMessage::Reply).collect();
            prop_assert_eq!(read, said);
        }
    }

    #[test]
    fn pushes(bodies in vec((shared(), push()), 1..16), id in 1_i64..) {
        for encoding in ENCODINGS {
            let mut frame = Frame::new(encoding);
            let mut said = Vec::new();
            for (channel, body) in &bodies {
                said.push(Push::new(Arc::clone(channel), body.clone()));
                said.push(Push { channel: "".into(), id, body: body.clone() });
            }
            for push in &said {
                frame.push(push).unwrap();
            }
            let frame = frame.take().unwrap();
            let read: Vec<ServerMessage> = encoding.server_messages(&frame).map(Result::unwrap).collect();
            let said: Vec<ServerMessage> = said.into_iter().map(ServerMessage::Push).collect();
            prop_assert_eq!(read, said);
        }
    }

    /// Bytes that are not JSON go through Protobuf untouched, and not at all through JSON.
    #[test]
    fn any_bytes_are_a_payload(bytes in vec(any::<u8>(), 1..64)) {
        let data = Payload::new(bytes.clone());
        let push = Push::new("a", Publication { data: data.clone(), ..Publication::default() });
        let frame = Encoding::Protobuf.push(&push).unwrap();
        let read = protobuf::server_messages(&frame).next().unwrap().unwrap();
        prop_assert_eq!(&read, &ServerMessage::Push(push.clone()));
        prop_assert_eq!(Encoding::Json.push(&push).is_ok(), data.is_json());

        let rpc = Method::Rpc(RpcRequest { data: PayloadRef::new(&bytes), ..RpcRequest::default() });
        let mut frame = BytesMut::new();
        protobuf::encode_command(&Command { id: 1, method: rpc }, &mut frame);
        let Method::Rpc(read) = protobuf::commands(&frame).next().unwrap().unwrap().method else { panic!("an rpc") };
        prop_assert_eq!(read.data.bytes(), &bytes[..]);
        prop_assert_eq!(read.data.to_payload(), data);
    }

    /// A frame that is cut anywhere is an error, and nothing comes after it.
    #[test]
    fn cut_frames_end_with_an_error(words in words(), cut: prop::sample::Index) {
        let mut frame = BytesMut::new();
        let mut ends = vec![0];
        for method in methods(&words) {
            protobuf::encode_command(&Command { id: 7, method }, &mut frame);
            ends.push(frame.len());
        }
        let cut = cut.index(frame.len());
        let read: Vec<_> = protobuf::commands(&frame[..cut]).collect();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        if ends.contains(&cut) && cut > 0 {
            prop_assert_eq!(read.len(), whole);
            prop_assert!(read.iter().all(Result::is_ok));
        } else {
            prop_assert_eq!(read.len(), whole + 1);
            prop_assert!(read[whole].is_err());
        }
    }
}

#[test]
fn a_giant_frame_is_decoded_in_linear_time() {
    // Sixty-four thousand commands of nothing, and one string of a million escapes.
    let lines = "{}\n".repeat(64_000);
    assert_eq!(json::commands(&lines).count(), 64_000);
    assert_eq!(protobuf::commands(&vec![0; 64_000]).count(), 64_000);
    let long = format!(
        r#"{{"id":1,"refresh":{{"token":"{}"}}}}"#,
        r"\n".repeat(1_000_000)
    );
    let Method::Refresh(refresh) = json::commands(&long).next().unwrap().unwrap().method else {
        panic!("a refresh")
    };
    assert_eq!(refresh.token.len(), 1_000_000);
}

#[test]
fn filters_nest_so_deep_and_no_deeper() {
    let nested = |depth: usize| {
        let mut filter = FilterNode::default();
        for _ in 0..depth {
            filter = FilterNode {
                op: "not".into(),
                nodes: vec![filter],
                ..FilterNode::default()
            };
        }
        let subscribe = SubscribeRequest {
            filter: Some(Box::new(filter)),
            ..SubscribeRequest::default()
        };
        Command {
            id: 1,
            method: Method::Subscribe(Box::new(subscribe)),
        }
    };
    for encoding in ENCODINGS {
        let mut frame = BytesMut::new();
        encoding.encode_command(&nested(32), &mut frame).unwrap();
        assert!(encoding.commands(&frame).next().unwrap().is_ok());
        frame.clear();
        encoding.encode_command(&nested(100), &mut frame).unwrap();
        assert_eq!(
            encoding.commands(&frame).next().unwrap(),
            Err(Undecodable::TooDeep)
        );
    }
}

#[test]
fn what_is_not_protobuf_of_ours_is_refused() {
    let bad: &[(&[u8], Undecodable)] = &[
        (b"", Undecodable::Empty),
        (b"\x01", Undecodable::Malformed),
        (b"\x80", Undecodable::Malformed),
        // A length beyond every memory.
        (
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            Undecodable::Malformed,
        ),
        // An id that is text; a method that is a number; a field 0.
        (b"\x03\x0a\x01a", Undecodable::Malformed),
        (b"\x04\x08\x01\x20\x01", Undecodable::Malformed),
        (b"\x02\x00\x01", Undecodable::Malformed),
        // A channel that is not UTF-8.
        (b"\x07\x08\x01\x2a\x03\x0a\x01\xff", Undecodable::NotUtf8),
        // Only an id, and only a method of later times.
        (b"\x02\x08\x01", Undecodable::NoMethod),
        (b"\x05\x08\x01\x82\x01\x00", Undecodable::NoMethod),
    ];
    for (frame, why) in bad {
        let read: Vec<_> = protobuf::commands(frame).collect();
        assert_eq!(read, [Err(*why)], "{frame:02x?}");
    }
    // Fields of later times are passed over: numbers, eight bytes, text, groups, four bytes.
    let later = b"\x1f\x08\x01\x80\x02\x05\x89\x02\0\0\0\0\0\0\0\0\x92\x02\x01a\x9b\x02\x9c\x02\xa5\x02\0\0\0\0\x5a\x00";
    let read: Vec<_> = protobuf::commands(later).map(Result::unwrap).collect();
    assert_eq!(
        read,
        [Command {
            id: 1,
            method: Method::Ping
        }]
    );
}
