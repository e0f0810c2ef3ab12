//! Listening and speaking.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chatsdk_realtime::{
    Config, DisconnectCode, Grant, History, Keep, Payload, Publish, TopicOptions, UnsubscribeCode,
    Whom,
};
use serde_json::{Value, json};

use crate::support::{Heard, START, Server, Socket};

pub(crate) const ANN: Whom<'_> = Whom::User {
    app: "app",
    user: "ann",
};

/// A history of so many publications.
pub(crate) fn keeps(size: usize) -> History {
    History::Memory(Keep {
        size,
        bytes: usize::MAX,
        ttl: Duration::from_mins(5),
        count_ttl: Duration::from_hours(1),
    })
}

/// The right to a topic that behaves like this, and to whatever a client asks of it.
pub(crate) fn granted(options: TopicOptions) -> Grant {
    Grant {
        may_recover: true,
        may_hear_joins: true,
        ..Grant::new(Arc::new(options))
    }
}

/// A server with topics that begin with `t`.
pub(crate) async fn server(options: TopicOptions) -> Server {
    let server = Server::start().await;
    server.authority.topics("t", granted(options));
    server
}

/// Publishes as the server.
pub(crate) fn publish(server: &Server, options: &TopicOptions, channel: &str, data: &str) {
    let data = Payload::new(data.to_owned());
    server
        .handle()
        .publish(Publish::new("app", channel, data, options));
}

/// A connected socket that listens to `t`.
pub(crate) async fn listening(server: &Server, session: &str) -> Socket {
    let (mut socket, _) = server.connected(&format!("app/ann/{session}/never")).await;
    let reply = socket.ask(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    socket
}

fn data(push: &Value) -> &Value {
    &push["push"]["pub"]["data"]
}

#[tokio::test(start_paused = true)]
async fn wishes_that_cannot_be_granted_are_told_why() {
    let server = Server::with(Config {
        max_channels: 2,
        ..Config::default()
    })
    .await;
    server
        .authority
        .topics("t", granted(TopicOptions::default()));
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let long = "t".repeat(256);
    for (channel, code) in [
        ("", 107),
        ("tä", 107),
        (long.as_str(), 107),
        ("other", 102),
        ("t1", 0),
        ("t1", 105),
        ("t2", 0),
        ("t3", 106),
    ] {
        let command = json!({ "id": 3, "subscribe": { "channel": channel } });
        let reply = socket.ask(&command.to_string()).await;
        assert_eq!(
            reply["error"]["code"].as_i64().unwrap_or(0),
            code,
            "{reply}"
        );
    }
    let reply = socket
        .ask(r#"{"id":4,"unsubscribe":{"channel":"t1"}}"#)
        .await;
    assert_eq!(reply, json!({ "id": 4, "unsubscribe": {} }));
    let reply = socket.ask(r#"{"id":5,"subscribe":{"channel":"t3"}}"#).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    for (command, code) in [
        (r#""publish":{"channel":"t3"}"#, 107),
        (r#""publish":{"channel":"other","data":1}"#, 102),
        (r#""presence":{"channel":"t3"}"#, 108),
        (r#""history":{"channel":"t3"}"#, 108),
        (r#""subscribe":{"channel":"t9","type":1}"#, 108),
        (
            r#""subscribe":{"channel":"t9","tf":{"key":"a","cmp":"eq","val":"1"}}"#,
            107,
        ),
    ] {
        // A place is free again for each that fails.
        socket
            .ask(r#"{"id":6,"unsubscribe":{"channel":"t2"}}"#)
            .await;
        let reply = socket.ask(&format!("{{\"id\":7,{command}}}")).await;
        assert_eq!(reply["error"]["code"], code, "{command}: {reply}");
    }
    socket.say(r#"{"id":8,"publish":{"data":1}}"#).await;
    assert_eq!(socket.hear_close().await, (3501, "bad request".into()));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_together_arrives_together_and_in_order() {
    let options = TopicOptions::default();
    let server = server(options.clone()).await;
    let mut socket = listening(&server, "s1").await;
    for n in 0..20 {
        publish(&server, &options, "t", &n.to_string());
    }
    let Heard::Text(first) = socket.hear().await else {
        panic!("not a text");
    };
    assert_eq!(first.lines().count(), 16, "one frame for sixteen");
    let Heard::Text(rest) = socket.hear().await else {
        panic!("not a text");
    };
    let all: Vec<Value> = first
        .lines()
        .chain(rest.lines())
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let said: Vec<i64> = all.iter().filter_map(|push| data(push).as_i64()).collect();
    assert_eq!(said, (0..20).collect::<Vec<_>>());
    assert_eq!(all[0]["push"]["pub"]["time"], START);
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_before_the_reply_to_subscribe() {
    let options = TopicOptions {
        history: keeps(10),
        force_recovery: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    publish(&server, &options, "t", "1");
    server.authority.asked.notified().await;
    server.authority.hold();
    // The gate stands before the slot is taken; what comes up to there is in the position.
    socket
        .say("{\"id\":2,\"subscribe\":{\"channel\":\"t\"}}\n{\"id\":3,\"ping\":{}}")
        .await;
    server.authority.asked.notified().await;
    publish(&server, &options, "t", "2");
    server.authority.release();
    let reply = socket.hear_line().await;
    assert_eq!(reply["subscribe"]["offset"], 2, "{reply}");
    publish(&server, &options, "t", "3");
    assert_eq!(socket.hear_line().await["id"], 3);
    let push = socket.hear_line().await;
    assert_eq!(
        (data(&push), &push["push"]["pub"]["offset"]),
        (&json!(3), &json!(3))
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_to_leave_holds_for_a_wish_that_is_being_thought_about() {
    let server = server(TopicOptions::default()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    server.authority.asked.notified().await;
    server.authority.hold();
    socket.say(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    server.authority.asked.notified().await;
    assert_eq!(
        server
            .handle()
            .unsubscribe(&ANN, "t", UnsubscribeCode::Server),
        1
    );
    server.authority.release();
    assert_eq!(socket.hear_line().await["error"]["code"], 103);
    assert_eq!(server.handle().topics(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_to_leave_never_overtakes_the_reply() {
    let server = server(TopicOptions::default()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    // The reply to the first command waits for the second, which the authority thinks about.
    server.authority.past_gate.forget_permits(1);
    let host = TopicOptions {
        history: History::Host,
        force_recovery: true,
        ..TopicOptions::default()
    };
    server.authority.topics("slow", granted(host));
    socket
        .say("{\"id\":2,\"subscribe\":{\"channel\":\"t\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"slow\"}}")
        .await;
    server.authority.recovering.notified().await;
    server
        .handle()
        .unsubscribe(&ANN, "t", UnsubscribeCode::Server);
    server.authority.past_gate.add_permits(1);
    assert!(socket.hear_line().await["subscribe"].is_object());
    assert_eq!(socket.hear_line().await["error"]["code"], 100);
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2000, "{push}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_flips_leave_nothing_behind() {
    let server = server(TopicOptions {
        join_leave: true,
        presence: true,
        ..TopicOptions::default()
    })
    .await;
    let mut watcher = listening(&server, "s1").await;
    let (mut socket, _) = server.connected("app/ann/s2/never").await;
    for round in 0..1000 {
        let flips: Vec<String> = (0..10)
            .flat_map(|flip| {
                let channel = if flip % 2 == 0 { "t" } else { "t-own" };
                ["subscribe", "unsubscribe"].map(|command| {
                    format!(
                        r#"{{"id":{},"{command}":{{"channel":"{channel}"}}}}"#,
                        round + 9
                    )
                })
            })
            .collect();
        socket.say(&flips.join("\n")).await;
        for _ in 0..20 {
            let reply = socket.hear_line().await;
            assert!(reply["error"].is_null(), "{reply}");
        }
    }
    assert_eq!(server.handle().listeners("app", "t"), 1);
    assert_eq!(server.handle().topics(), 1);
    watcher.settle().await;
}

#[tokio::test(start_paused = true)]
async fn nor_do_ten_thousand_names() {
    let server = server(TopicOptions {
        history: keeps(10),
        force_recovery: true,
        presence: true,
        join_leave: true,
        ..TopicOptions::default()
    })
    .await;
    let mut watcher = listening(&server, "s1").await;
    let (mut socket, _) = server.connected("app/ann/s2/never").await;
    for round in 0..1000 {
        let flips: Vec<String> = (0..10)
            .flat_map(|flip| {
                let channel = format!("t-{round}-{flip}");
                let other = format!("t-{round}-other-{flip}");
                [
                    format!(r#"{{"id":3,"history":{{"channel":"{other}","limit":0}}}}"#),
                    format!(r#"{{"id":4,"presence":{{"channel":"{other}"}}}}"#),
                    format!(r#"{{"id":5,"subscribe":{{"channel":"{channel}"}}}}"#),
                    format!(r#"{{"id":6,"history":{{"channel":"{channel}","limit":9}}}}"#),
                    format!(r#"{{"id":7,"unsubscribe":{{"channel":"{channel}"}}}}"#),
                ]
            })
            .collect();
        socket.say(&flips.join("\n")).await;
        let mut epochs = Vec::new();
        while epochs.len() < 30 {
            let line = socket.hear_line().await;
            assert!(line["error"].is_null(), "{line}");
            for question in ["history", "subscribe"] {
                if line[question].is_object() {
                    epochs.push(line[question]["epoch"].clone());
                }
            }
        }
        epochs.dedup();
        assert_eq!(epochs.len(), 1, "nothing was forgotten");
    }
    socket.settle().await;
    assert_eq!(server.handle().topics(), 1);
    assert_eq!(server.handle().history_bytes(), 0);
    watcher.settle().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_come_and_go_are_announced_and_counted() {
    let options = TopicOptions {
        presence: true,
        join_leave: true,
        ..TopicOptions::default()
    };
    let server = server(options).await;
    let (mut ann, _) = server.connected("app/ann/s1/never").await;
    let reply = ann
        .ask(r#"{"id":2,"subscribe":{"channel":"t","join_leave":true}}"#)
        .await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    let own = ann.hear_line().await;
    assert_eq!(own["push"]["join"]["info"]["user"], "ann", "one's own join");
    let mut deaf = listening(&server, "s2").await;
    assert_eq!(ann.hear_line().await["push"]["channel"], "t");
    let reply = deaf.ask(r#"{"id":3,"presence":{"channel":"t"}}"#).await;
    assert_eq!(
        reply["presence"]["presence"]
            .as_object()
            .map(serde_json::Map::len),
        Some(2),
        "the one that did not ask for joins hears none: {reply}"
    );
    let reply = deaf
        .ask(r#"{"id":4,"presence_stats":{"channel":"t"}}"#)
        .await;
    assert_eq!(
        reply["presence_stats"],
        json!({ "num_clients": 2, "num_users": 1 })
    );
    drop(deaf);
    assert!(ann.hear_line().await["push"]["leave"]["info"].is_object());
    assert_eq!(server.handle().listeners("app", "t"), 1);
    drop(ann);
    server.empty().await;
    assert_eq!(server.handle().topics(), 0, "nothing is left of the topic");
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_not_json_passes_json_clients_by() {
    let options = TopicOptions {
        history: keeps(10),
        force_positioning: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let mut socket = listening(&server, "s1").await;
    publish(&server, &options, "t", "1,\"offset\":99");
    publish(&server, &options, "t", "\"fine\"");
    let push = socket.hear_line().await;
    assert_eq!(data(&push), "fine");
    assert_eq!(push["push"]["pub"]["offset"], 2);
    let reply = socket
        .ask(r#"{"id":3,"history":{"channel":"t","limit":-1}}"#)
        .await;
    assert_eq!(
        reply["history"]["publications"].as_array().map(Vec::len),
        Some(1),
        "{reply}"
    );
}

#[tokio::test(start_paused = true)]
async fn numbers_stand_for_names_and_filters_choose() {
    let options = TopicOptions {
        tags_filter: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let reply = socket
        .ask(
            r#"{"id":2,"subscribe":{"channel":"t","flag":1,"tf":{"key":"for","cmp":"eq","val":"me"}}}"#,
        )
        .await;
    let id = reply["subscribe"]["id"].as_i64().expect("a number");
    assert!(id > 0);
    for (tag, text) in [("you", "1"), ("me", "2")] {
        let mut publish = Publish::new("app", "t", Payload::new(text), &options);
        publish.tags.insert("for".into(), tag.into());
        server.handle().publish(publish);
    }
    publish(&server, &options, "t", "3");
    let push = socket.hear_line().await;
    assert_eq!((data(&push), &push["push"]["id"]), (&json!(2), &json!(id)));
    assert!(push["push"]["channel"].is_null(), "{push}");
    socket.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_publication_that_is_sent_again_is_made_once() {
    let options = TopicOptions {
        history: keeps(10),
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let mut socket = listening(&server, "s1").await;
    let again = |key, version| {
        let mut publish = Publish::new("app", "t", Payload::new("1"), &options);
        publish.idempotency_key = key;
        publish.version = version;
        let published = server.handle().publish(publish);
        published.position().map(|position| position.offset)
    };
    assert_eq!(again(Some("a"), None), Some(1));
    assert_eq!(again(Some("a"), None), Some(1));
    assert_eq!(again(Some("b"), None), Some(2));
    assert_eq!(again(None, Some((7, ""))), Some(3));
    assert_eq!(again(None, Some((7, ""))), Some(3), "not newer");
    assert_eq!(again(None, Some((1, "next"))), Some(4), "of another epoch");
    for offset in 1..=4 {
        assert_eq!(socket.hear_line().await["push"]["pub"]["offset"], offset);
    }
    socket.settle().await;
    let unheard = TopicOptions::default();
    publish(&server, &unheard, "nobody", "1");
    let publications = &server.handle().stats().publications;
    assert_eq!(publications.load(Ordering::Relaxed), 5, "repeats are none");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_some_time_after_its_token() {
    let server = Server::start().await;
    let grant = Grant {
        expires_at: Some(START + 60_000),
        ..granted(TopicOptions::default())
    };
    server.authority.topics("t", grant);
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let reply = socket.ask(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    assert_eq!(
        (&reply["subscribe"]["expires"], &reply["subscribe"]["ttl"]),
        (&json!(true), &json!(60))
    );
    let reply = socket
        .ask(r#"{"id":3,"sub_refresh":{"channel":"t","token":"0"}}"#)
        .await;
    assert_eq!(reply["error"]["code"], 109, "expired as it came");
    let reply = socket
        .ask(r#"{"id":4,"sub_refresh":{"channel":"t","token":"90"}}"#)
        .await;
    assert_eq!(reply["sub_refresh"], json!({ "expires": true, "ttl": 90 }));
    server.clock.advance(100_000);
    server.handle().recheck();
    socket.settle().await;
    server.clock.advance(20_000);
    server.handle().recheck();
    let push = socket.hear_line().await;
    assert_eq!(
        push["push"]["unsubscribe"],
        json!({ "code": 2501, "reason": "subscription expired" })
    );
    socket.settle().await;
}

#[tokio::test(start_paused = true)]
async fn the_server_subscribes_and_unsubscribes() {
    let options = TopicOptions {
        history: keeps(10),
        force_recovery: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    publish(&server, &options, "t", "0");
    let grant = granted(options.clone());
    assert_eq!(server.handle().subscribe(&ANN, "t", &grant, None), 1);
    assert_eq!(server.handle().subscribe(&ANN, "t", &grant, None), 0);
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["subscribe"]["offset"], 1, "{push}");
    assert_eq!(push["push"]["subscribe"]["recoverable"], true);
    publish(&server, &options, "t", "1");
    assert_eq!(data(&socket.hear_line().await), 1);
    let reply = socket.ask(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    assert_eq!(reply["error"]["code"], 105, "it has it already");
    server
        .handle()
        .unsubscribe(&ANN, "t", UnsubscribeCode::Server);
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2000);
    publish(&server, &options, "t", "2");
    server.handle().message(&ANN, &Payload::new("\"psst\""));
    assert_eq!(socket.hear_line().await["push"]["message"]["data"], "psst");
    server
        .handle()
        .disconnect(&ANN, &DisconnectCode::ForceReconnect.into());
    assert_eq!(socket.hear_close().await.0, 3011);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_subscribed_to_is_the_server_s_to_end() {
    let server = server(TopicOptions::default()).await;
    server
        .authority
        .server_side
        .lock()
        .expect("no panic")
        .push("t1");
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let grant = granted(TopicOptions::default());
    assert_eq!(server.handle().subscribe(&ANN, "t2", &grant, None), 1);
    assert!(socket.hear_line().await["push"]["subscribe"].is_object());
    for channel in ["t1", "t2"] {
        let command = json!({ "id": 2, "unsubscribe": { "channel": channel } });
        let reply = socket.ask(&command.to_string()).await;
        assert_eq!(reply["error"]["code"], 103, "{reply}");
        publish(&server, &TopicOptions::default(), channel, "1");
        assert_eq!(socket.hear_line().await["push"]["channel"], channel);
        let ended = server
            .handle()
            .unsubscribe(&ANN, channel, UnsubscribeCode::Server);
        assert_eq!(ended, 1);
        assert_eq!(socket.hear_line().await["push"]["channel"], channel);
        let reply = socket.ask(&command.to_string()).await;
        assert!(reply["unsubscribe"].is_object(), "it is not in it: {reply}");
        let command = json!({ "id": 2, "subscribe": { "channel": channel } });
        let reply = socket.ask(&command.to_string()).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_the_host_names_twice_is_subscribed_once() {
    let server = server(TopicOptions::default()).await;
    let twice = ["t1", "t2", "t1", "t1"];
    *server.authority.server_side.lock().expect("no panic") = twice.to_vec();
    let (mut socket, result) = server.connected("app/ann/s1/never").await;
    let subscribed = result["subs"].as_object().expect("a map");
    assert_eq!(subscribed.keys().collect::<Vec<_>>(), ["t1", "t2"]);
    assert_eq!(server.handle().listeners("app", "t1"), 1);
    publish(&server, &TopicOptions::default(), "t1", "1");
    assert_eq!(data(&socket.hear_line().await), 1);
    socket.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_what_is_no_longer_allowed() {
    let server = server(TopicOptions::default()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    for (id, channel) in [(2, "t1"), (3, "t2")] {
        let command = json!({ "id": id, "subscribe": { "channel": channel } });
        assert!(socket.ask(&command.to_string()).await["subscribe"].is_object());
    }
    server.authority.barred.lock().expect("no panic").push("t1");
    let refresh = crate::support::refresh(4, "app/ann/s1/never");
    let same = socket.ask(&refresh).await;
    assert!(same["refresh"].is_object(), "nothing has changed: {same}");
    let refresh = crate::support::refresh(5, "app/ann/s2/never");
    let end = socket.ask(&refresh).await;
    assert_eq!(
        (&end["push"]["channel"], &end["push"]["unsubscribe"]["code"]),
        (&json!("t1"), &json!(2000))
    );
    assert!(socket.hear_line().await["refresh"].is_object());
    publish(&server, &TopicOptions::default(), "t1", "1");
    publish(&server, &TopicOptions::default(), "t2", "2");
    assert_eq!(data(&socket.hear_line().await), 2);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_the_server_chose_may_be_asked_about_whatever_its_name() {
    let options = TopicOptions {
        history: keeps(5),
        presence: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let history = r#"{"id":2,"history":{"channel":"tä","limit":-1}}"#;
    assert_eq!(socket.ask(history).await["error"]["code"], 107);
    let grant = granted(options.clone());
    assert_eq!(server.handle().subscribe(&ANN, "tä", &grant, None), 1);
    assert!(socket.hear_line().await["push"]["subscribe"].is_object());
    publish(&server, &options, "tä", "1");
    assert_eq!(data(&socket.hear_line().await), 1);
    let reply = socket.ask(history).await;
    assert_eq!(reply["history"]["publications"][0]["data"], 1, "{reply}");
    let presence = r#"{"id":3,"presence":{"channel":"tä"}}"#;
    assert!(socket.ask(presence).await["presence"].is_object());
}
