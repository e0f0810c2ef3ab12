//! Connections of clients that cannot have a WebSocket: HTTP-streaming and server-sent events.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::sync::atomic::Ordering;

use chatsdk_realtime::{Config, OriginPolicy, TopicOptions, Whom};

use crate::support::{Server, Stream, connect};
use crate::topics::{granted, publish};

const PATHS: [&str; 2] = ["/connection/http_stream", "/connection/sse"];

/// A stream that is connected and listens to `t`.
async fn listening(server: &Server, path: &str) -> Stream {
    let commands = format!(
        "{}\n{}",
        connect(1, "app/ann/s1/never"),
        r#"{"id":2,"subscribe":{"channel":"t"}}"#
    );
    let mut stream = Stream::open(server.addr, path, "", &commands).await;
    assert!(stream.head.starts_with("HTTP/1.1 200"), "{}", stream.head);
    for id in 1..=2 {
        let reply = stream.message().await.expect("a reply");
        assert_eq!(reply["id"], id, "{reply}");
        assert!(reply["error"].is_null(), "{reply}");
    }
    stream
}

/// Publishes until the client, which does not read, is given up.
async fn stuff(server: &Server, options: &TopicOptions) {
    let payload = format!("\"{}\"", "x".repeat(60_000));
    while server.handle().stats().closes().is_empty() {
        publish(server, options, "t", &payload);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_socket_of_a_client_that_does_not_read_is_let_go() {
    for path in PATHS {
        let server = Server::start().await;
        let options = TopicOptions::default();
        server.authority.topics("t", granted(options.clone()));
        let stream = listening(&server, path).await;
        assert!(stream.is_held());
        stuff(&server, &options).await;
        assert_eq!(server.handle().stats().closes(), [(3008, 1)]);
        server.pass_until(|_| !stream.is_held()).await;
        server.empty().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_does_not_hold_up_the_end_of_the_server() {
    for path in PATHS {
        let server = Server::start().await;
        let options = TopicOptions::default();
        server.authority.topics("t", granted(options.clone()));
        let stream = listening(&server, path).await;
        // Enough to fill the socket, and not enough to be closed for it.
        let payload = format!("\"{}\"", "x".repeat(60_000));
        for _ in 0..12 {
            publish(&server, &options, "t", &payload);
            tokio::task::yield_now().await;
        }
        assert!(server.handle().stats().closes().is_empty());
        let handle = server.handle().clone();
        let drained = tokio::spawn(async move { handle.drain().await });
        let took = server
            .pass_until(|_| drained.is_finished() && !stream.is_held())
            .await;
        assert!(took.as_secs() < 10, "{path}: {took:?}");
        assert_eq!(server.handle().count(&Whom::Everyone), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn commands_are_posted_beside_the_stream() {
    for path in PATHS {
        let server = Server::start().await;
        let options = TopicOptions::default();
        server.authority.topics("t", granted(options.clone()));
        let commands = connect(1, "app/ann/s1/never");
        let mut stream = Stream::open(server.addr, path, "", &commands).await;
        let connected = stream.message().await.expect("a reply")["connect"].take();
        let subscribe = r#"{"id":2,"subscribe":{"channel":"t"}}"#;
        assert_eq!(stream.post(&connected, subscribe).await, 204);
        let reply = stream.message().await.expect("a reply");
        assert!(reply["subscribe"].is_object(), "{reply}");
        publish(&server, &options, "t", "1");
        let push = stream.message().await.expect("a push");
        assert_eq!(push["push"]["pub"]["data"], 1, "{push}");
        let mut other = connected.clone();
        other["session"] = "someone".into();
        assert_eq!(stream.post(&other, subscribe).await, 404);
    }
}

#[tokio::test(start_paused = true)]
async fn posts_do_not_wait_for_ever_for_a_connection_that_is_busy() {
    let server = Server::start().await;
    server
        .authority
        .topics("t", granted(TopicOptions::default()));
    let commands = connect(1, "app/ann/s1/never");
    let mut stream = Stream::open(server.addr, PATHS[0], "", &commands).await;
    let connected = stream.message().await.expect("a reply")["connect"].take();
    server.authority.asked.notified().await;
    server.authority.hold();
    let subscribe = r#"{"id":2,"subscribe":{"channel":"t"}}"#;
    assert_eq!(stream.post(&connected, subscribe).await, 204);
    server.authority.asked.notified().await;
    let ping = r#"{"id":3,"ping":{}}"#;
    for _ in 0..16 {
        assert_eq!(stream.post(&connected, ping).await, 204);
    }
    let (refused, ()) = tokio::join!(stream.post(&connected, ping), async {
        for _ in 0..150 {
            tokio::time::advance(std::time::Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(refused, 503);
    server.authority.release();
    loop {
        let message = stream.message().await.expect("a reply");
        if message["id"] == 2 {
            assert!(message["subscribe"].is_object(), "{message}");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cookies_come_along_only_where_pages_are_listed() {
    let page = "Origin: https://app.example\r\n";
    for (policy, credentials) in [
        (OriginPolicy::Any, false),
        (OriginPolicy::new(["https://app.example"]), true),
    ] {
        let server = Server::with(Config {
            origins: policy,
            ..Config::default()
        })
        .await;
        for path in ["/connection/http_stream", "/connection/sse", "/emulation"] {
            let stream = Stream::open(server.addr, path, page, "{}").await;
            let head = stream.head.to_lowercase();
            assert!(
                head.contains("access-control-allow-origin: https://app.example"),
                "{head}"
            );
            assert_eq!(
                head.contains("access-control-allow-credentials"),
                credentials,
                "{head}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_over_a_stream_is_counted() {
    let server = Server::start().await;
    server
        .authority
        .topics("t", granted(TopicOptions::default()));
    let commands = format!(
        "{}\n{}",
        connect(1, "app/ann/s1/never"),
        r#"{"id":2,"ping":{}}
{"id":3,"ping":{}}"#
    );
    let mut stream = Stream::open(server.addr, PATHS[0], "", &commands).await;
    for id in 1..=3 {
        assert_eq!(stream.message().await.expect("a reply")["id"], id);
    }
    let stats = server.handle().stats();
    assert_eq!(
        stats.bytes_in.load(Ordering::Relaxed),
        commands.len() as u64
    );
    assert_eq!(stats.messages_out.load(Ordering::Relaxed), 3);
}
