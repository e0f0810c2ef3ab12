//! How much one may.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chatsdk_realtime::{
    BrokerError, Config, Grant, History, Keep, Payload, Position, Publish, Range, TopicOptions,
};

use serde_json::{Value, json};

use crate::support::{Heard, Server, Socket, connect};
use crate::topics::{granted, keeps, listening, publish};

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

/// Publishes without letting the delivery run.
fn flood(server: &Server, options: &TopicOptions, count: u64) {
    for number in 1..=count {
        publish(server, options, "t", &number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_history_gives_up_its_oldest_publications() {
    let server = Server::with(Config {
        max_backlog_events: 4,
        ..Config::default()
    })
    .await;
    let options = TopicOptions::default();
    server.authority.topics("t", granted(options.clone()));
    let mut socket = crate::topics::listening(&server, "s1").await;
    flood(&server, &options, 10);
    for number in 7..=10 {
        assert_eq!(socket.hear_line().await["push"]["pub"]["data"], number);
    }
    let stats = server.handle().stats();
    assert_eq!(stats.dropped.load(Ordering::Relaxed), 6);
    assert_eq!(stats.backlog_bytes.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_that_wait_in_a_topic_are_bounded() {
    let server = Server::with(Config {
        max_backlog_bytes: 20_000,
        ..Config::default()
    })
    .await;
    let options = TopicOptions::default();
    server.authority.topics("t", granted(options.clone()));
    let _socket = crate::topics::listening(&server, "s1").await;
    let payload = format!("\"{}\"", "x".repeat(7000));
    let stats = server.handle().stats();
    for _ in 0..5 {
        publish(&server, &options, "t", &payload);
        assert!(stats.backlog_bytes.load(Ordering::Relaxed) <= 20_000);
    }
    assert_eq!(stats.backlog_bytes.load(Ordering::Relaxed), 2 * 7002);
    assert_eq!(stats.dropped.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn who_counts_is_told_that_publications_were_given_up() {
    let server = Server::with(Config {
        max_backlog_events: 4,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        history: keeps(100),
        ..TopicOptions::default()
    };
    server.authority.topics("t", granted(options.clone()));
    let mut plain = crate::topics::listening(&server, "s1").await;
    let (mut counting, _) = server.connected("app/ann/s2/never").await;
    let wish = r#"{"id":2,"subscribe":{"channel":"t","positioned":true}}"#;
    assert_eq!(counting.ask(wish).await["subscribe"]["positioned"], true);
    flood(&server, &options, 5);
    assert_eq!(
        counting.hear_line().await["push"]["unsubscribe"]["code"],
        2500
    );
    assert_eq!(plain.hear_line().await["push"]["pub"]["data"], 5);
    let wish = r#"{"id":3,"subscribe":{"channel":"t","positioned":true}}"#;
    let again = counting.ask(wish).await;
    assert_eq!(again["subscribe"]["offset"], 5, "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_floods_a_topic_is_refused_and_nobody_loses_anything() {
    let server = Server::with(Config {
        max_backlog_events: 4,
        ..Config::default()
    })
    .await;
    let options = TopicOptions::default();
    server.authority.topics("t", granted(options.clone()));
    let mut other = crate::topics::listening(&server, "s1").await;
    let (mut socket, _) = server.connected("app/ann/s2/never").await;
    let commands: Vec<String> = (1..=6)
        .map(|id| format!(r#"{{"id":{id},"publish":{{"channel":"t","data":{id}}}}}"#))
        .collect();
    let first = socket.ask(&commands.join("\n")).await;
    assert!(first["publish"].is_object(), "{first}");
    for _ in 2..=4 {
        assert!(socket.hear_line().await["publish"].is_object());
    }
    for _ in 5..=6 {
        let reply = socket.hear_line().await;
        assert_eq!(reply["error"]["code"], 111, "{reply}");
        assert_eq!(reply["error"]["temporary"], true);
    }
    for number in 1..=4 {
        assert_eq!(other.hear_line().await["push"]["pub"]["data"], number);
    }
    let again = socket
        .ask(r#"{"id":7,"publish":{"channel":"t","data":7}}"#)
        .await;
    assert!(again["publish"].is_object(), "{again}");
}

/// A server whose histories are bounded, and how many publications of `t` a channel still has.
async fn bounded(per_app: usize, total: usize) -> (Server, TopicOptions) {
    let server = Server::with(Config {
        max_history_bytes: total,
        max_history_bytes_per_app: per_app,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        history: keeps(1000),
        ..TopicOptions::default()
    };
    (server, options)
}

/// Publishes ten KiB in a channel, a second after whatever came before.
fn keep_more(server: &Server, options: &TopicOptions, app: &str, channel: &str) {
    server.clock.advance(1000);
    let data = Payload::new(vec![b'1'; 10 * 1024]);
    let publish = Publish::new(app, channel, data, options);
    server.handle().publish(publish);
}

async fn kept(server: &Server, options: &TopicOptions, app: &str, channel: &str) -> usize {
    let History::Memory(keep) = options.history else {
        panic!("it keeps something");
    };
    let read = server
        .handle()
        .history(app, channel, keep, Range::default())
        .await;
    let read = read.expect("it is in this process").publications;
    read.expect("a history").len()
}

#[tokio::test(start_paused = true)]
async fn the_histories_of_an_app_are_bounded_and_the_oldest_publications_go_first() {
    let (server, options) = bounded(100 * 1024, 0).await;
    keep_more(&server, &options, "app", "old");
    keep_more(&server, &options, "other", "old");
    for _ in 0..8 {
        keep_more(&server, &options, "app", "busy");
    }
    assert_eq!(kept(&server, &options, "app", "old").await, 1);
    keep_more(&server, &options, "app", "busy");
    assert_eq!(kept(&server, &options, "app", "old").await, 0);
    assert_eq!(kept(&server, &options, "app", "busy").await, 9);
    for number in 0..100 {
        keep_more(&server, &options, "app", &format!("many{number}"));
        assert!(server.handle().history_bytes() <= 120 * 1024);
    }
    assert_eq!(kept(&server, &options, "app", "busy").await, 0);
    assert_eq!(kept(&server, &options, "app", "many99").await, 1);
    assert_eq!(kept(&server, &options, "other", "old").await, 1);
}

#[tokio::test(start_paused = true)]
async fn above_the_engines_bound_the_app_that_has_the_most_gives() {
    let (server, options) = bounded(0, 100 * 1024).await;
    keep_more(&server, &options, "small", "t");
    for _ in 0..50 {
        keep_more(&server, &options, "large", "t");
    }
    assert_eq!(kept(&server, &options, "small", "t").await, 1);
    assert_eq!(kept(&server, &options, "large", "t").await, 8);
    keep_more(&server, &options, "small", "t");
    assert_eq!(kept(&server, &options, "small", "t").await, 2);
    assert_eq!(kept(&server, &options, "large", "t").await, 7);
    for app in ["small", "large"] {
        let forgotten = server.handle().forget_history(app, "t").await;
        forgotten.expect("it is in this process");
    }
    let counts = server.handle().history_bytes();
    assert!((1..4096).contains(&counts), "two counts are left: {counts}");
}

#[tokio::test(start_paused = true)]
async fn topics_that_only_remember_are_bounded_too() {
    let (server, options) = bounded(100 * 1024, 0).await;
    server.authority.topics("t", granted(options.clone()));
    let mut socket = listening(&server, "s1").await;
    let tell = |channel: &str| {
        server.clock.advance(1);
        publish(&server, &options, channel, "1");
    };
    tell("t");
    assert_eq!(socket.hear_line().await["push"]["pub"]["offset"], 1);
    let position = |channel| position(&server, &options, channel);
    let before = position("t0").await;
    assert_eq!(before.offset, 0);
    for number in 0..10_000 {
        tell(&format!("t{number}"));
        assert!(server.handle().history_bytes() <= 100 * 1024);
    }
    let topics = server.handle().topics();
    assert!((10..500).contains(&topics), "{topics}");
    // The oldest have gone whole, and whoever was in one of them is told so.
    let recover = |channel: &str, position: &Position| {
        json!({ "id": 3, "subscribe": { "channel": channel, "recover": true,
            "offset": position.offset, "epoch": &*position.epoch } })
    };
    let reply = socket.ask(&recover("t0", &before).to_string()).await;
    let result = &reply["subscribe"];
    assert!(result["recovered"].is_null(), "{reply}");
    assert!(result["offset"].is_null(), "it is a new one: {reply}");
    assert_ne!(result["epoch"], *before.epoch);
    let last = position("t9999").await;
    assert_eq!(last.offset, 1);
    let reply = socket.ask(&recover("t9999", &last).to_string()).await;
    assert_eq!(reply["subscribe"]["recovered"], true, "{reply}");
    // Where somebody listens publications may go, but the count does not.
    tell("t");
    assert_eq!(socket.hear_line().await["push"]["pub"]["offset"], 2);
    assert_eq!(kept(&server, &options, "app", "t").await, 1);
    drop(socket);
    server.empty().await;
    for number in 0..10_000 {
        tell(&format!("t-{number}"));
    }
    assert_eq!(position("t").await.offset, 0, "it was forgotten");
}

/// Where a topic stands.
async fn position(server: &Server, options: &TopicOptions, channel: &str) -> Position {
    let History::Memory(keep) = options.history else {
        panic!("it keeps something");
    };
    let handle = server.handle();
    let read = handle.history("app", channel, keep, Range::default()).await;
    read.expect("it is in this process").top
}

#[tokio::test(start_paused = true)]
async fn a_history_is_bounded_by_bytes() {
    let (server, mut options) = bounded(0, 0).await;
    options.history = History::Memory(Keep {
        size: 100,
        bytes: 25 * 1024,
        ttl: std::time::Duration::from_mins(1),
        count_ttl: std::time::Duration::from_mins(1),
    });
    for _ in 0..10 {
        keep_more(&server, &options, "app", "t");
    }
    assert_eq!(kept(&server, &options, "app", "t").await, 2);
}

/// A server with 20 channels that each remember one publication of 60 KB, and what they are called.
async fn with_much_to_recover(max_queue_bytes: usize) -> (Server, Vec<&'static str>) {
    let server = Server::with(Config {
        max_queue_bytes,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        history: keeps(10),
        force_recovery: true,
        ..TopicOptions::default()
    };
    server.authority.topics("t", granted(options.clone()));
    let names = [
        "ta", "tb", "tc", "td", "te", "tf", "tg", "th", "ti", "tj", "tk", "tl", "tm", "tn", "to",
        "tp", "tq", "tr", "ts", "tt",
    ];
    let payload = format!("\"{}\"", "x".repeat(60_000));
    for name in names {
        publish(&server, &options, name, &payload);
    }
    (server, names.to_vec())
}

/// From before the first publication of `channel`.
async fn from_the_start(server: &Server, channel: &str) -> Value {
    let History::Memory(keep) = keeps(10) else {
        panic!("it keeps something");
    };
    let read = server
        .handle()
        .history("app", channel, keep, Range::default())
        .await;
    let top = read.expect("it is in this process").top;
    json!({ "channel": channel, "recover": true, "epoch": &*top.epoch, "offset": 0 })
}

#[tokio::test(start_paused = true)]
async fn a_client_is_answered_as_fast_as_it_reads() {
    let (server, channels) = with_much_to_recover(128 * 1024).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let mut commands = Vec::new();
    for (channel, id) in channels.iter().zip(2..) {
        let subscribe = from_the_start(&server, channel).await;
        commands.push(json!({ "id": id, "subscribe": subscribe }).to_string());
    }
    socket.say(&commands.join("\n")).await;
    for id in 2..22 {
        let reply = socket.hear_line().await;
        assert_eq!(reply["id"], id);
        assert_eq!(reply["subscribe"]["recovered"], true);
        assert!(server.handle().queued_bytes() <= 400 * 1024);
    }
    assert!(server.handle().stats().closes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_connect_reply_recovers_fits_into_it() {
    let (server, channels) = with_much_to_recover(8 * 1024 * 1024).await;
    server
        .authority
        .server_side
        .lock()
        .expect("no panic")
        .clone_from(&channels);
    let mut subs = serde_json::Map::new();
    for channel in &channels {
        subs.insert(
            (*channel).to_owned(),
            from_the_start(&server, channel).await,
        );
    }
    let connect =
        json!({ "id": 1, "connect": { "token": "app/ann/s1/never", "subs": subs } }).to_string();
    let mut socket = server.socket().await;
    socket.say(&connect).await;
    let Heard::Text(reply) = socket.hear().await else {
        panic!("a reply");
    };
    assert!(reply.len() < 600 * 1024, "{}", reply.len());
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    let subs = reply["connect"]["subs"].as_object().expect("subscriptions");
    assert_eq!(subs.len(), channels.len());
    let recovered = subs.values().filter(|sub| sub["recovered"] == true);
    assert_eq!(recovered.count(), 8);
    for sub in subs.values() {
        assert_eq!(
            (sub["recovered"] == true, sub["was_recovering"] == true),
            (sub["publications"].is_array(), true)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_presence_reply_names_no_more_than_it_may() {
    let server = Server::with(Config {
        max_presence: 1,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        presence: true,
        ..TopicOptions::default()
    };
    server.authority.topics("t", granted(options));
    let mut one = crate::topics::listening(&server, "s1").await;
    let presence = r#"{"id":3,"presence":{"channel":"t"}}"#;
    assert!(one.ask(presence).await["presence"].is_object());
    let _two = crate::topics::listening(&server, "s2").await;
    assert_eq!(one.ask(presence).await["error"]["code"], 106);
    let count = one
        .ask(r#"{"id":4,"presence_stats":{"channel":"t"}}"#)
        .await;
    assert_eq!(count["presence_stats"]["num_clients"], 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_in_particular_is_not_counted_as_one_user() {
    let server = Server::with(Config {
        max_connections_per_user: 1,
        ..Config::default()
    })
    .await;
    let (_one, _) = server.connected("app//s1/never").await;
    let (_two, _) = server.connected("app//s2/never").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_during_a_connect_is_bounded() {
    let server = Server::with(Config {
        max_queue_bytes: 64 * 1024,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        history: History::Host,
        force_positioning: true,
        ..TopicOptions::default()
    };
    server.authority.topics("t", granted(options));
    let all = vec!["t"];
    server
        .authority
        .server_side
        .lock()
        .expect("no panic")
        .clone_from(&all);
    server.authority.past_gate.forget_permits(1);
    let mut socket = server.socket().await;
    socket.say(&connect(1, "app/ann/s1/never")).await;
    server.authority.recovering.notified().await;
    let message = Payload::new(format!("\"{}\"", "x".repeat(30_000)));
    for _ in 0..2 {
        server.handle().message(&crate::topics::ANN, &message);
        assert!(server.handle().stats().closes().is_empty());
    }
    server.handle().message(&crate::topics::ANN, &message);
    assert_eq!(server.handle().stats().closes(), [(3008, 1)]);
    server.authority.past_gate.add_permits(1);
    assert_eq!(socket.hear_close().await.0, 3008);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_others_fits_into_frames_that_clients_take() {
    let server = Server::with(Config {
        max_queue_bytes: 4 * 1024 * 1024,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        presence: true,
        join_leave: true,
        ..TopicOptions::default()
    };
    server.authority.topics(
        "t",
        Grant {
            info: Payload::new(format!("\"{}\"", "x".repeat(100_000))),
            ..granted(options)
        },
    );
    let (mut watcher, _) = server.connected("app/ann/s0/never").await;
    let wish = r#"{"id":2,"subscribe":{"channel":"t","join_leave":true}}"#;
    assert!(watcher.ask(wish).await["subscribe"].is_object());
    let mut others = Vec::new();
    let wish = r#"{"id":2,"subscribe":{"channel":"t"}}"#;
    for _ in 0..12 {
        others.push(server.connected("app/bob/s1/never").await.0);
    }
    // All at once, so that their joins are told together.
    for other in &mut others {
        other.say(wish).await;
    }
    let mut joins = 0;
    while joins < 13 {
        let Heard::Text(frame) = watcher.hear().await else {
            panic!("no text");
        };
        assert!(frame.len() < 1024 * 1024, "{}", frame.len());
        joins += frame.matches(r#""join""#).count();
    }
    watcher.say(r#"{"id":3,"presence":{"channel":"t"}}"#).await;
    let reply = watcher.hear_json().await;
    assert_eq!(reply["error"]["code"], 106, "more than a frame holds");
    let stats = r#"{"id":4,"presence_stats":{"channel":"t"}}"#;
    let reply = watcher.ask(stats).await;
    assert_eq!(reply["presence_stats"]["num_clients"], 13, "{reply}");
}

#[tokio::test(start_paused = true)]
async fn what_the_host_publishes_fits_into_frames_that_clients_take() {
    let options = TopicOptions {
        history: keeps(10),
        delta: true,
        delta_publish: true,
        ..TopicOptions::default()
    };
    let server = crate::topics::server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let wish = r#"{"id":2,"subscribe":{"channel":"t","positioned":true,"delta":"fossil"}}"#;
    assert!(socket.ask(wish).await["subscribe"]["delta"].is_boolean());
    let said = |text: &str, times| {
        let data = Payload::new(format!("\"{}\"", text.repeat(times)));
        server
            .handle()
            .publish(Publish::new("app", "t", data, &options))
    };
    let too_long = Err(BrokerError::TooLong);
    assert_eq!(said("x", 1024 * 1024).await, too_long);
    // A client that takes differences is sent it in a string, where each of these is two bytes.
    assert_eq!(said(r#"\""#, 300_000).await, too_long);
    let position = said("x", 800_000).await.expect("published");
    assert_eq!(position.expect("a history").offset, 1, "nothing else was");
    let Heard::Text(frame) = socket.hear().await else {
        panic!("no text");
    };
    assert!(
        (800_000..1024 * 1024).contains(&frame.len()),
        "{}",
        frame.len()
    );
}

/// Bytes that count how many of them there are.
struct Counted {
    bytes: Vec<u8>,
    _one: Arc<()>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_kept_nowhere_else() {
    const SIZE: usize = 10 * 1024;
    for history in [keeps(10), History::None] {
        let server = Server::with(Config {
            ping_interval: std::time::Duration::ZERO,
            ..Config::default()
        })
        .await;
        let options = TopicOptions {
            history,
            delta: true,
            delta_publish: true,
            ..TopicOptions::default()
        };
        server.authority.topics("t", granted(options.clone()));
        let (mut socket, _) = server.connected("app/ann/s1/never").await;
        let wish = r#"{"id":2,"subscribe":{"channel":"t","positioned":true,"delta":"fossil"}}"#;
        let reply = socket.ask(wish).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
        let there = Arc::new(());
        for round in 0..2 {
            let data = Counted {
                bytes: format!("\"{}\"", "1".repeat(SIZE)).into(),
                _one: Arc::clone(&there),
            };
            let data = Payload::new(Bytes::from_owner(data));
            let publish = Publish::new("app", "t", data, &options);
            server.handle().publish(publish);
            let push = socket.hear_line().await;
            let said = push["push"]["pub"]["data"].as_str();
            assert!(said.is_some_and(|it| it.len() >= SIZE), "in full: {round}");
            // Somebody listens all the time.
            let begin = tokio::time::Instant::now();
            let gone = |_: &_| Arc::strong_count(&there) == 1;
            let time = |_: &_| begin.elapsed().as_secs() > 600;
            server.pass_until(|stats| gone(stats) || time(stats)).await;
            assert_eq!(Arc::strong_count(&there), 1);
            assert_eq!(server.handle().history_bytes(), 0);
            socket.settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_to_go_is_kept_nowhere_else() {
    let (server, mut options) = bounded(100 * 1024, 0).await;
    options.delta = true;
    options.delta_publish = true;
    let there = Arc::new(());
    for number in 0..100 {
        server.clock.advance(1);
        let data = Counted {
            bytes: vec![b'1'; 10 * 1024],
            _one: Arc::clone(&there),
        };
        let data = Payload::new(Bytes::from_owner(data));
        let channel = format!("t{number}");
        let publish = Publish::new("app", &channel, data, &options);
        server.handle().publish(publish);
        assert!(Arc::strong_count(&there) <= 10);
    }
    let publications = Arc::strong_count(&there) - 1;
    let topics = server.handle().topics();
    assert!(
        topics > publications + 5,
        "counts stay for longer: {topics}"
    );
    server.pass_until(|_| Arc::strong_count(&there) == 1).await;
    assert_eq!(server.handle().topics(), topics);
}

#[tokio::test(start_paused = true)]
async fn users_are_not_counted_again_for_each_question_where_many_listen() {
    let server = Server::with(Config {
        ping_interval: std::time::Duration::ZERO,
        ..Config::default()
    })
    .await;
    let options = TopicOptions {
        presence: true,
        ..TopicOptions::default()
    };
    server.authority.topics("t", granted(options));
    let mut sockets = Vec::new();
    for _ in 0..1100 {
        sockets.push(listening(&server, "s1").await);
    }
    let (mut other, _) = server.connected("app/bob/s2/never").await;
    let mut count = async || {
        let question = r#"{"id":3,"presence_stats":{"channel":"t"}}"#;
        let stats = sockets[0].ask(question).await["presence_stats"].take();
        (stats["num_clients"].as_u64(), stats["num_users"].as_u64())
    };
    assert_eq!(count().await, (Some(1100), Some(1)));
    let wish = r#"{"id":2,"subscribe":{"channel":"t"}}"#;
    assert!(other.ask(wish).await["subscribe"].is_object());
    assert_eq!(count().await, (Some(1101), Some(1)), "as a moment ago");
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(count().await, (Some(1101), Some(2)));
    // Where few do, it is as it is.
    sockets.truncate(900);
    while server.handle().listeners("app", "t") > 901 {
        tokio::task::yield_now().await;
    }
    let question = r#"{"id":3,"presence_stats":{"channel":"t"}}"#;
    let reply = sockets[0].ask(question).await;
    assert_eq!(reply["presence_stats"]["num_users"], 2, "{reply}");
    let reply = other.ask(r#"{"id":4,"unsubscribe":{"channel":"t"}}"#).await;
    assert!(reply["unsubscribe"].is_object(), "{reply}");
    let reply = sockets[0].ask(question).await;
    assert_eq!(reply["presence_stats"]["num_users"], 1, "{reply}");
}
