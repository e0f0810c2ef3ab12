//! How much one may.

use chatsdk_realtime::{Config, TopicOptions};

use crate::support::{Server, Socket, connect};
use crate::topics::{granted, publish};

#[tokio::test(start_paused = true)]
async fn commands_above_the_rate_are_refused_and_the_rest_is_heard() {
    let server = Server::with(Config {
        max_commands_per_second: 2,
        ..Config::default()
    })
    .await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    for id in 2..10 {
        let reply = socket.ask(&format!(r#"{{"id":{id},"ping":{{}}}}"#)).await;
        assert!(reply["ping"].is_object(), "{reply}");
    }
    let reply = socket.ask(r#"{"id":10,"ping":{}}"#).await;
    assert_eq!(reply["error"]["code"], 111);
    assert_eq!(reply["error"]["temporary"], true);
    tokio::time::advance(std::time::Duration::from_millis(500)).await;
    let reply = socket.ask(r#"{"id":11,"ping":{}}"#).await;
    assert!(reply["ping"].is_object(), "{reply}");
    socket.say(r#"{"send":{"data":1}}"#).await;
    assert_eq!(
        socket.hear_close().await,
        (3013, "too many requests".into())
    );
}

#[tokio::test(start_paused = true)]
async fn connections_above_the_number_are_refused() {
    let server = Server::with(Config {
        max_connections: 3,
        max_connections_per_user: 1,
        ..Config::default()
    })
    .await;
    let (_one, _) = server.connected("app/ann/s1/never").await;
    let mut two = server.socket().await;
    two.say(&connect(1, "app/ann/s2/never")).await;
    assert_eq!(two.hear_close().await, (3504, "connection limit".into()));
    let (_bob, _) = server.connected("app/bob/s1/never").await;
    let (_cleo, _) = server.connected("app/cleo/s1/never").await;
    let (head, _) = Socket::upgrade(server.addr, "/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn connections_above_the_rate_are_refused() {
    let server = Server::with(Config {
        max_connections_per_second: 1,
        ..Config::default()
    })
    .await;
    let (_one, _) = server.connected("app/ann/s1/never").await;
    let (head, _) = Socket::upgrade(server.addr, "/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let (head, _) = Socket::upgrade(server.addr, "/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_does_not_read_is_closed_and_the_others_hear_all() {
    let server = Server::with(Config {
        max_queue_bytes: 16 * 1024,
        ..Config::default()
    })
    .await;
    let options = TopicOptions::default();
    server.authority.topics("t", granted(options.clone()));
    let mut reader = crate::topics::listening(&server, "s1").await;
    let _slow = crate::topics::listening(&server, "s2").await;
    let payload = format!("\"{}\"", "x".repeat(1000));
    for number in 0_u64.. {
        publish(&server, &options, "t", &payload);
        let push = reader.hear_line().await;
        assert!(push["push"]["pub"].is_object(), "publication {number}");
        let closes = server.handle().stats().closes();
        if closes.iter().any(|(code, _)| *code == 3008) {
            return;
        }
        assert!(number < 5000, "the slow one is still there: {closes:?}");
    }
}
