//! Clients that mean ill, or know no better: the documented code, and their neighbours are undisturbed.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use chatsdk_realtime::{Config, Grant, Payload, TopicOptions};
use serde_json::{Value, json};

use crate::support::{Heard, Server, Socket};
use crate::topics::{granted, keeps, listening, publish, server};

fn numbered() -> TopicOptions {
    TopicOptions {
        history: keeps(100),
        presence: true,
        ..TopicOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn ids_may_come_again_but_not_be_missing() {
    let server = server(numbered()).await;
    let mut socket = listening(&server, "s1").await;
    for _ in 0..3 {
        let reply = socket.ask(r#"{"id":2,"presence":{"channel":"t"}}"#).await;
        assert_eq!(reply["id"], 2, "each is answered: {reply}");
        assert!(reply["presence"].is_object(), "{reply}");
    }
    let most = u32::MAX;
    let reply = socket.ask(&format!(r#"{{"id":{most},"ping":{{}}}}"#)).await;
    assert_eq!(reply["id"], most);
    for bad in [
        r#"{"id":0,"presence":{"channel":"t"}}"#.to_owned(),
        r#"{"presence":{"channel":"t"}}"#.to_owned(),
        r#"{"id":-1,"ping":{}}"#.to_owned(),
        r#"{"id":4294967296,"ping":{}}"#.to_owned(),
        r#"{"id":"2","ping":{}}"#.to_owned(),
        r#"{"id":2,"teleport":{}}"#.to_owned(),
        r#"{"id":2}"#.to_owned(),
        r#"[{"id":2,"ping":{}}]"#.to_owned(),
        format!(
            r#"{{"id":2,"rpc":{{"data":{}1{}}}}}"#,
            "[".repeat(30_000),
            "]".repeat(30_000)
        ),
    ] {
        let mut socket = listening(&server, "s2").await;
        socket.say(&bad).await;
        assert_eq!(socket.hear_close().await.0, 3501, "{bad:.60}");
    }
    socket.settle().await;
}

#[tokio::test(start_paused = true)]
async fn map_and_shared_poll_subscriptions_are_not_available() {
    let server = server(numbered()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let unavailable = json!({ "code": 108, "message": "not available" });
    for kind in [1, 2, 3, 4, 77, -1] {
        let command = json!({ "id": 2, "subscribe": {
            "channel": "t", "type": kind, "phase": 2, "cursor": "c", "limit": 10, "asc": true,
            "flag": 1, "something_of_later": { "deep": [1] },
        } });
        let reply = socket.ask(&command.to_string()).await;
        assert_eq!(reply["error"], unavailable, "{kind}: {reply}");
    }
    // A stream subscription may carry their members, which mean nothing there; and the channel is free.
    let command = json!({ "id": 3, "subscribe": {
        "channel": "t", "type": 0, "phase": 2, "cursor": "c", "limit": 10, "asc": true, "later": 1,
    } });
    let reply = socket.ask(&command.to_string()).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    assert!(reply["subscribe"]["type"].is_null(), "{reply}");
    for command in [
        r#""publish":{"channel":"t","type":1,"key":"k","data":1}"#,
        r#""publish":{"channel":"t","type":1,"key":"k","removed":true}"#,
        r#""sub_refresh":{"channel":"t","type":1,"track":[{"signature":"s","items":[{"key":"k","version":1}]}]}"#,
        r#""sub_refresh":{"channel":"t","type":2,"untrack":["k"]}"#,
    ] {
        let reply = socket.ask(&format!("{{\"id\":4,{command}}}")).await;
        assert_eq!(reply["error"], unavailable, "{command}: {reply}");
    }
    socket.settle().await;
}

/// A field of a Protobuf message: bytes.
fn bytes(number: u32, value: &[u8]) -> Vec<u8> {
    let mut field = varint(u64::from(number << 3 | 2));
    field.extend(varint(value.len() as u64));
    field.extend(value);
    field
}

/// A field of a Protobuf message: a number.
fn number(number: u32, value: u64) -> Vec<u8> {
    let mut field = varint(u64::from(number << 3));
    field.extend(varint(value));
    field
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// `message` behind its length.
fn framed(message: &[u8]) -> Vec<u8> {
    [varint(message.len() as u64), message.to_vec()].concat()
}

#[tokio::test(start_paused = true)]
async fn so_it_is_in_protobuf() {
    let server = server(numbered()).await;
    let headers = "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n";
    let mut socket = Socket::open(server.addr, headers).await;
    let connect = bytes(4, &bytes(1, b"app/ann/s1/never"));
    let connect = [number(1, 1), connect].concat();
    socket.frame(0x82, &framed(&connect)).await;
    assert!(matches!(socket.hear().await, Heard::Binary(_)));
    for kind in 0..5 {
        let subscribe = [
            bytes(1, b"t"),
            number(15, kind),
            number(16, 2),
            bytes(17, b"cursor"),
            number(18, 10),
            number(19, 1),
            bytes(1000, b"of later"),
        ]
        .concat();
        let command = [number(1, 2), bytes(5, &subscribe), number(99, 1)].concat();
        socket.frame(0x82, &framed(&command)).await;
        let Heard::Binary(reply) = socket.hear().await else {
            panic!("a reply");
        };
        let error = [number(1, 108), bytes(2, b"not available")].concat();
        let refused = framed(&[number(1, 2), bytes(2, &error)].concat());
        assert_eq!(reply == refused, kind != 0, "{kind}: {reply:?}");
    }
    // What no JSON is passes those who speak JSON by; forged members are none.
    let mut json = listening(&server, "s2").await;
    for data in [&b"1,\"offset\":99"[..], b"\xff", b"{"] {
        let publish = [bytes(1, b"t"), bytes(2, data)].concat();
        let command = [number(1, 3), bytes(7, &publish)].concat();
        socket.frame(0x82, &framed(&command)).await;
    }
    publish(&server, &numbered(), "t", "\"honest\"");
    assert_eq!(json.hear_line().await["push"]["pub"]["data"], "honest");
    socket.frame(0x82, &[0xff; 20]).await;
    loop {
        match socket.hear().await {
            Heard::Close(code, _) => break assert_eq!(code, 3501),
            Heard::End => panic!("it is told why"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whose_info_is_not_json_disturbs_nobody() {
    let options = TopicOptions {
        join_leave: true,
        force_push_join_leave: true,
        force_recovery: true,
        delta: true,
        ..numbered()
    };
    let server = Server::start().await;
    let grant = Grant {
        info: Payload::new(&b"\xfeof the channel"[..]),
        ..granted(options)
    };
    server.authority.topics("t", grant);
    *server.authority.info.lock().expect("no panic") = Payload::new(&b"{\"forged\":1},\xfe"[..]);
    let known = |info: &Value| {
        assert_eq!(info["user"], "ann", "{info}");
        assert!(info["client"].is_string(), "{info}");
        assert_eq!(
            info.as_object().map(serde_json::Map::len),
            Some(2),
            "{info}"
        );
    };
    let mut json = Vec::new();
    for wish in ["", r#","delta":"fossil""#] {
        let (mut socket, _) = server.connected("app/ann/s1/never").await;
        let command = format!(r#"{{"id":2,"subscribe":{{"channel":"t"{wish}}}}}"#);
        let reply = socket.ask(&command).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
        json.push((socket, reply["subscribe"]["epoch"].clone()));
        for (socket, _) in &mut json {
            known(&socket.hear_line().await["push"]["join"]["info"]);
        }
    }
    let headers = "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n";
    let mut other = Socket::open(server.addr, headers).await;
    let command =
        |command, request: Vec<u8>| framed(&[number(1, 1), bytes(command, &request)].concat());
    let publish = [bytes(1, b"t"), bytes(2, b"\"said\"")].concat();
    for (number, request) in [
        (4, bytes(1, b"app/ann/s2/never")),
        (5, bytes(1, b"t")),
        (7, publish),
    ] {
        other.frame(0x82, &command(number, request)).await;
    }
    for (socket, epoch) in &mut json {
        known(&socket.hear_line().await["push"]["join"]["info"]);
        let push = socket.hear_line().await;
        assert_eq!(push["push"]["pub"]["offset"], 1, "{push}");
        known(&push["push"]["pub"]["info"]);
        let again =
            json!({ "id": 6, "subscribe": { "channel": "t", "recover": true, "epoch": epoch } });
        let again = again.to_string();
        socket
            .say(
                &[
                    r#"{"id":3,"presence":{"channel":"t"}}"#,
                    r#"{"id":4,"history":{"channel":"t","limit":9}}"#,
                    r#"{"id":5,"unsubscribe":{"channel":"t"}}"#,
                    &again,
                    r#"{"id":7,"unsubscribe":{"channel":"t"}}"#,
                ]
                .join("\n"),
            )
            .await;
        let mut publications = 0;
        loop {
            let line = socket.hear_line().await;
            let push = &line["push"];
            for reply in [&line["subscribe"], &line["history"]] {
                let publication = &reply["publications"][0];
                if publication.is_object() {
                    known(&publication["info"]);
                    publications += 1;
                }
            }
            for who in [&push["join"], &push["leave"]] {
                if who.is_object() {
                    known(&who["info"]);
                }
            }
            if let Some(present) = line["presence"]["presence"].as_object() {
                assert!(present.len() >= 2);
                present.values().for_each(known);
            }
            if line["id"] == 7 {
                break;
            }
        }
        assert_eq!(publications, 2, "as it was kept, and missed");
    }
    // Who can be told, is.
    other.frame(0x82, &command(8, bytes(1, b"t"))).await;
    let of_both = [
        bytes(3, b"{\"forged\":1},\xfe"),
        bytes(4, b"\xfeof the channel"),
    ]
    .concat();
    let mut told = 0;
    while told < 3 {
        let Heard::Binary(frame) = other.hear().await else {
            panic!("a frame");
        };
        // Of joins and leaves, of its own publication, and in its presence.
        told += frame
            .windows(of_both.len())
            .filter(|part| *part == of_both)
            .count();
    }
}

#[tokio::test(start_paused = true)]
async fn names_count_as_they_are_written() {
    let server = server(numbered()).await;
    let name = "\u{1}".repeat(9000);
    let token = format!("app/{name}/s1/never");
    let connect = json!({ "id": 1, "connect": { "token": token } }).to_string();
    let mut sockets = Vec::new();
    let mut last = json!({});
    for _ in 0..20 {
        let mut socket = server.socket().await;
        let reply = socket.ask(&connect).await;
        assert!(reply["connect"].is_object(), "{reply}");
        let reply = socket.ask(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
        last = socket.ask(r#"{"id":3,"presence":{"channel":"t"}}"#).await;
        assert!(last.to_string().len() < 1024 * 1024);
        sockets.push(socket);
    }
    assert_eq!(last["error"]["code"], 106, "as numbers, they can be had");
    let stats = r#"{"id":4,"presence_stats":{"channel":"t"}}"#;
    let reply = sockets[0].ask(stats).await;
    assert_eq!(reply["presence_stats"]["num_clients"], 20);
}

const FRAMES: usize = 1000;
const EACH: usize = 100;

/// Sends a hundred thousand commands as fast as it can.
async fn flood(mut socket: tokio::net::TcpStream) {
    use tokio::io::AsyncWriteExt;
    let commands = vec![r#"{"id":7,"presence":{"channel":"t"}}"#; EACH].join("\n");
    let frame = crate::support::masked(0x81, commands.as_bytes());
    for _ in 0..FRAMES {
        socket.write_all(&frame).await.expect("it reads");
    }
}

/// How a hundred thousand commands are answered: how many with what was asked for, how many with error 111.
async fn flooded(server: &Server) -> (usize, usize) {
    let mut neighbour = listening(server, "s1").await;
    let (socket, _) = server.connected("app/ann/s2/never").await;
    let (mut socket, writer) = socket.with_writer();
    let flood = tokio::spawn(flood(writer));
    let (mut answered, mut refused) = (0, 0);
    while answered + refused < FRAMES * EACH {
        let reply = socket.hear_line().await;
        if reply["presence"].is_object() {
            answered += 1;
        } else {
            assert_eq!(reply["error"]["code"], 111, "{reply}");
            refused += 1;
        }
        assert!(server.handle().queued_bytes() <= 1024 * 1024);
        if (answered + refused).is_multiple_of(10_000) {
            publish(server, &numbered(), "t", "1");
            assert!(neighbour.hear_line().await["push"]["pub"].is_object());
        }
    }
    flood.await.expect("no panic");
    neighbour.settle().await;
    (answered, refused)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_commands_disturb_nobody() {
    let plain = server(numbered()).await;
    assert_eq!(flooded(&plain).await, (100_000, 0));
    let bounded = Server::with(Config {
        max_commands_per_second: 200,
        ..Config::default()
    })
    .await;
    bounded.authority.topics("t", granted(numbered()));
    // Time stands: there is the burst, and no more.
    assert_eq!(flooded(&bounded).await, (800, 99_200));
}
