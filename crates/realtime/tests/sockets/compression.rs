//! Messages that are compressed.

use chatsdk_realtime::{Config, TopicOptions};
use serde_json::json;

use crate::support::{Heard, Server, Socket, connect, deflated};
use crate::topics::{granted, publish};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

async fn compressing() -> Server {
    let server = Server::with(Config {
        compress_from: 200,
        max_message_bytes: 1000,
        ..Config::default()
    })
    .await;
    server
        .authority
        .topics("t", granted(TopicOptions::default()));
    server
}

/// A connected socket that may compress.
async fn connected(server: &Server, headers: &str) -> Socket {
    let (head, mut socket) = Socket::upgrade(server.addr, "/ws", headers).await;
    let answer = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert!(head.to_ascii_lowercase().contains(answer), "{head}");
    let reply = socket.ask(&connect(1, "app/ann/s1/never")).await;
    assert!(reply["connect"].is_object(), "{reply}");
    let reply = socket.ask(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    socket
}

#[tokio::test(start_paused = true)]
async fn what_is_long_is_compressed_for_those_who_offer_it() {
    let server = compressing().await;
    let python = OFFER.replace(
        "client_max_window_bits",
        "server_max_window_bits=12; client_max_window_bits=12",
    );
    let mut one = connected(&server, OFFER).await;
    let mut two = connected(&server, &python).await;
    let mut plain = crate::topics::listening(&server, "s3").await;
    assert_eq!(one.compressed, 0, "what is short is not");
    let words = "the same words again and again ".repeat(1000);
    publish(
        &server,
        &TopicOptions::default(),
        "t",
        &json!(words).to_string(),
    );
    for socket in [&mut one, &mut two, &mut plain] {
        assert_eq!(socket.hear_line().await["push"]["pub"]["data"], words);
    }
    let compressed = [&one, &two, &plain].map(|socket| socket.compressed);
    assert_eq!(compressed, [1, 1, 0]);
    // Several messages in a frame are compressed together.
    for n in 0..10 {
        publish(&server, &TopicOptions::default(), "t", &n.to_string());
    }
    for n in 0..10 {
        assert_eq!(one.hear_line().await["push"]["pub"]["data"], n);
    }
    assert_eq!(one.compressed, 2);
}

#[tokio::test(start_paused = true)]
async fn what_clients_compress_is_understood() {
    let server = compressing().await;
    let mut socket = connected(&server, OFFER).await;
    let long = "x".repeat(5000);
    let command = json!({ "id": 3, "publish": { "channel": "t", "data": long } }).to_string();
    let packed = deflated(command.as_bytes());
    assert!(packed.len() < 100);
    socket.frame(0xc1, &packed).await;
    for _ in 0..2 {
        let line = socket.hear_line().await;
        assert!(
            line["publish"].is_object() || line["push"]["pub"]["data"] == long,
            "{line}"
        );
    }
    let (start, end) = packed.split_at(packed.len() / 2);
    socket.frame(0x41, start).await;
    socket.frame(0x89, b"now").await;
    socket.frame(0x80, end).await;
    assert_eq!(socket.hear().await, Heard::Pong(b"now".into()));
    assert!(socket.hear_line().await["publish"].is_object());
    assert_eq!(socket.hear_line().await["push"]["pub"]["data"], long);
    // A pong of the protocol may be compressed as well: it is refused for not being awaited alone.
    socket.frame(0xc1, &deflated(b"{}")).await;
    assert_eq!(socket.hear_close().await.0, 3501);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_inflate_or_not_end_is_refused() {
    let server = compressing().await;
    let bomb = deflated(&vec![b'x'; 100_000]);
    assert!(bomb.len() < 1000);
    let not_text = deflated(&[0xff; 100]);
    let not_json = deflated("no command ".repeat(10).as_bytes());
    for (frames, code) in [
        (vec![(0xc1, bomb.clone())], 1009),
        (
            vec![(0x41, bomb[..50].to_vec()), (0x80, bomb[50..].to_vec())],
            1009,
        ),
        (vec![(0xc1, b"not compressed".to_vec())], 1007),
        (vec![(0xc1, not_text)], 1007),
        (vec![(0xc1, not_json)], 3501),
        (vec![(0xc9, Vec::new())], 1002),
        (vec![(0x01, b"{".to_vec()), (0xc0, b"}".to_vec())], 1002),
    ] {
        let mut socket = connected(&server, OFFER).await;
        for (first, payload) in &frames {
            socket.frame(*first, payload).await;
        }
        assert_eq!(socket.hear_close().await.0, code, "{frames:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_not_agreed_on_it_may_not_and_is_not_answered_so() {
    let server = compressing().await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    socket.frame(0xc1, &deflated(b"{}")).await;
    assert_eq!(socket.hear_close().await.0, 1002);
    let off = Server::start().await;
    let (head, mut socket) = Socket::upgrade(off.addr, "/ws", OFFER).await;
    assert!(!head.to_ascii_lowercase().contains("extensions"), "{head}");
    socket.frame(0xc1, &deflated(b"{}")).await;
    assert_eq!(socket.hear_close().await.0, 1002);
}

#[tokio::test(start_paused = true)]
async fn what_inflates_to_more_than_clients_take_in_a_frame_is_not_published() {
    let server = Server::with(Config {
        compress_from: 200,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        history: crate::topics::keeps(10),
        force_positioning: true,
        delta: true,
        ..TopicOptions::default()
    };
    server.authority.topics("t", granted(options));
    let mut one = connected(&server, OFFER).await;
    let mut other = crate::topics::listening(&server, "s2").await;
    let wish = r#"{"id":3,"unsubscribe":{"channel":"t"}}"#;
    assert!(other.ask(wish).await["unsubscribe"].is_object());
    let wish = r#"{"id":4,"subscribe":{"channel":"t","delta":"fossil"}}"#;
    let reply = other.ask(wish).await;
    assert_eq!(reply["subscribe"]["delta"], true, "{reply}");
    // Within ten times what an uncompressed message may have, but in a string it is twice as long.
    for (words, fits) in [(215_000, false), (100_000, true)] {
        let data = format!("[{}1]", "\"\",".repeat(words));
        let command = format!(r#"{{"id":5,"publish":{{"channel":"t","data":{data}}}}}"#);
        one.frame(0xc1, &deflated(command.as_bytes())).await;
        let reply = one.hear_line().await;
        let code = reply["error"]["code"].as_u64();
        assert_eq!(code, (!fits).then_some(106), "{reply}");
    }
    let Heard::Text(frame) = other.hear().await else {
        panic!("no text");
    };
    assert!(
        (500_000..1024 * 1024).contains(&frame.len()),
        "{}",
        frame.len()
    );
}
