//! Coming back.

use std::sync::Arc;
use std::time::Duration;

use chatsdk_realtime::{
    Config, History, Payload, Position, Publication, Publish, Recovered, Recovery, TopicOptions,
};
use serde_json::{Value, json};

use crate::support::{Server, Socket};
use crate::topics::{ANN, granted, keeps, publish, server};

fn recoverable(size: usize) -> TopicOptions {
    TopicOptions {
        history: keeps(size),
        force_recovery: true,
        ..TopicOptions::default()
    }
}

async fn subscribe(server: &Server, wish: Value) -> (Socket, Value) {
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let mut command = json!({ "id": 2, "subscribe": { "channel": "t" } });
    if let (Some(all), Some(more)) = (command["subscribe"].as_object_mut(), wish.as_object()) {
        all.extend(more.clone());
    }
    let mut reply = socket.ask(&command.to_string()).await;
    let result = if reply["error"].is_object() {
        reply["error"].take()
    } else {
        reply["subscribe"].take()
    };
    (socket, result)
}

fn offsets(result: &Value) -> Vec<u64> {
    let publications = result["publications"].as_array();
    publications.map_or_else(Vec::new, |all| {
        all.iter().filter_map(|it| it["offset"].as_u64()).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_sent_or_said_to_be_gone() {
    let options = recoverable(5);
    let server = server(options.clone()).await;
    let (_, first) = subscribe(&server, json!({})).await;
    let epoch = first["epoch"].as_str().expect("an epoch").to_owned();
    assert_eq!(epoch.len(), 8);
    assert!(first["was_recovering"].is_null());
    for n in 1..=7 {
        publish(&server, &options, "t", &n.to_string());
    }
    let from = |offset: u64| json!({ "recover": true, "epoch": epoch, "offset": offset });
    let (_, result) = subscribe(&server, from(4)).await;
    assert_eq!(offsets(&result), [5, 6, 7]);
    assert_eq!(
        (
            &result["recovered"],
            &result["was_recovering"],
            &result["offset"]
        ),
        (&json!(true), &json!(true), &json!(4)),
        "the client counts on from where it was"
    );
    let (_, result) = subscribe(&server, from(7)).await;
    assert_eq!(
        (offsets(&result), &result["recovered"]),
        (vec![], &json!(true))
    );
    for gone in [
        from(1),
        from(8),
        json!({ "recover": true, "epoch": "other", "offset": 6 }),
    ] {
        let (_, result) = subscribe(&server, gone.clone()).await;
        assert!(result["recovered"].is_null(), "{gone}: {result}");
        assert_eq!(
            (
                &result["was_recovering"],
                &result["offset"],
                &result["epoch"]
            ),
            (&json!(true), &json!(7), &json!(epoch))
        );
        let mut strict = gone;
        strict["flag"] = json!(2);
        let (mut socket, error) = subscribe(&server, strict).await;
        assert_eq!(error["code"], 112);
        let again = socket.ask(r#"{"id":3,"subscribe":{"channel":"t"}}"#).await;
        assert!(
            again["subscribe"].is_object(),
            "the channel is free: {again}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_kept_from_the_end_of_the_last_subscription_on() {
    let options = recoverable(5);
    let server = server(options.clone()).await;
    let (socket, first) = subscribe(&server, json!({})).await;
    drop(socket);
    server.empty().await;
    tokio::time::advance(std::time::Duration::from_secs(200)).await;
    let wish = json!({ "recover": true, "epoch": first["epoch"], "offset": 0 });
    let (socket, again) = subscribe(&server, wish.clone()).await;
    assert_eq!(again["recovered"], true, "{again}");
    tokio::time::advance(std::time::Duration::from_secs(20)).await;
    drop(socket);
    server.empty().await;
    tokio::time::advance(std::time::Duration::from_secs(290)).await;
    publish(&server, &options, "t", "1");
    let (_, again) = subscribe(&server, wish).await;
    assert_eq!(
        offsets(&again),
        [1],
        "kept from the end of the subscription on: {again}"
    );
}

/// Subscribes from `at`, an earlier result, on, and leaves again. Nothing else is there then.
async fn look_in(server: &Server, at: &Value, more: Value) -> Value {
    let mut wish = json!({ "recover": true, "epoch": at["epoch"] });
    wish["offset"] = json!(at["offset"].as_u64().unwrap_or(0));
    if let (Some(all), Some(more)) = (wish.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    let (socket, result) = subscribe(server, wish).await;
    drop(socket);
    server.empty().await;
    result
}

const NOTHING: Value = Value::Null;

/// Two hours, after which even counts are forgotten.
async fn long(server: &Server) {
    let begin = tokio::time::Instant::now();
    tokio::time::advance(Duration::from_hours(2)).await;
    let forgotten = |_: &_| server.handle().topics() == 0 || begin.elapsed().as_secs() > 9000;
    server.pass_until(forgotten).await;
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_said_nothing_is_kept_and_nothing_is_missed() {
    let options = recoverable(5);
    let server = quiet(options.clone()).await;
    let (socket, first) = subscribe(&server, json!({})).await;
    drop(socket);
    server.empty().await;
    assert_eq!(server.handle().topics(), 0, "nothing is left of it");
    let again = look_in(&server, &first, NOTHING).await;
    assert_eq!(again["recovered"], true, "{again}");
    long(&server).await;
    let again = look_in(&server, &first, json!({ "flag": 2 })).await;
    assert_eq!(
        (&again["recovered"], &again["epoch"]),
        (&json!(true), &first["epoch"])
    );
    for n in 1..=3 {
        publish(&server, &options, "t", &n.to_string());
    }
    let again = look_in(&server, &first, NOTHING).await;
    assert_eq!(
        (offsets(&again), &again["recovered"]),
        (vec![1, 2, 3], &json!(true))
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_said_and_forgotten_is_said_to_be_missed() {
    let options = recoverable(5);
    let server = quiet(options.clone()).await;
    let (socket, empty) = subscribe(&server, json!({})).await;
    drop(socket);
    server.empty().await;
    let mut epochs = vec![empty["epoch"].clone()];
    let mut before = vec![empty];
    for _ in 0..3 {
        publish(&server, &options, "t", "1");
        before.push(look_in(&server, &json!({}), json!({ "recover": false })).await);
        long(&server).await;
        assert_eq!(server.handle().topics(), 0, "it is forgotten");
        for said_again in [false, true] {
            if said_again {
                publish(&server, &options, "t", "1");
            }
            for at in &before {
                let again = look_in(&server, at, NOTHING).await;
                assert!(again["recovered"].is_null(), "{at}: {again}");
                assert_eq!(again["was_recovering"], true);
                let strict = look_in(&server, at, json!({ "flag": 2 })).await;
                assert_eq!(strict["code"], 112, "{at}: {strict}");
                let epoch = again["epoch"].clone();
                assert_ne!(epoch, at["epoch"]);
                if !epochs.contains(&epoch) {
                    epochs.push(epoch);
                }
            }
        }
        long(&server).await;
    }
    assert_eq!(epochs.len(), 4, "each time another one: {epochs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_was_forgotten_is_not_taken_for_the_one_from_before() {
    let options = TopicOptions {
        recovery: Recovery::Cache,
        ..recoverable(5)
    };
    let server = quiet(options.clone()).await;
    let (socket, empty) = subscribe(&server, json!({})).await;
    drop(socket);
    server.empty().await;
    let again = look_in(&server, &empty, NOTHING).await;
    assert_eq!(
        (offsets(&again), &again["recovered"]),
        (vec![], &json!(true))
    );
    publish(&server, &options, "t", "1");
    let first = look_in(&server, &empty, NOTHING).await;
    assert_eq!(
        (offsets(&first), &first["recovered"]),
        (vec![1], &json!(true))
    );
    long(&server).await;
    for at in [&empty, &first] {
        let again = look_in(&server, at, NOTHING).await;
        assert!(
            again["recovered"].is_null(),
            "there is nothing to send: {again}"
        );
    }
    publish(&server, &options, "t", "2");
    for at in [&empty, &first] {
        let again = look_in(&server, at, NOTHING).await;
        assert_eq!(
            again["publications"][0]["data"], 2,
            "the same offset, another one: {again}"
        );
    }
}

/// A server with topics that begin with `t`, whose clients need not answer pings while time passes.
async fn quiet(options: TopicOptions) -> Server {
    let server = Server::with(Config {
        ping_interval: Duration::ZERO,
        ..Config::default()
    })
    .await;
    server.authority.topics("t", granted(options));
    server
}

#[tokio::test(start_paused = true)]
async fn a_cache_sends_the_newest_unless_it_is_known() {
    let options = TopicOptions {
        recovery: Recovery::Cache,
        ..recoverable(5)
    };
    let server = server(options.clone()).await;
    for n in 1..=3 {
        publish(&server, &options, "t", &n.to_string());
    }
    let (_, result) = subscribe(&server, json!({ "recover": true, "offset": 1 })).await;
    assert_eq!(
        (offsets(&result), &result["recovered"]),
        (vec![3], &json!(true))
    );
    let up_to_date = json!({ "recover": true, "offset": 3, "epoch": result["epoch"] });
    let (_, result) = subscribe(&server, up_to_date).await;
    assert_eq!(
        (offsets(&result), &result["recovered"]),
        (vec![], &json!(true))
    );
    let (_, result) = subscribe(&server, json!({})).await;
    assert!(offsets(&result).is_empty(), "nobody asked for it");
}

#[tokio::test(start_paused = true)]
async fn a_recovered_list_goes_on_in_differences() {
    let options = TopicOptions {
        delta: true,
        delta_publish: true,
        ..recoverable(10)
    };
    let server = server(options.clone()).await;
    let long = "the same words again and again ".repeat(4);
    for n in 1..=3 {
        publish(&server, &options, "t", &format!("\"{long}{n}\""));
    }
    let wish = json!({ "recover": true, "offset": 0, "delta": "fossil" });
    let (mut socket, result) = subscribe(&server, wish).await;
    assert_eq!(result["delta"], true);
    let publications = result["publications"].as_array().expect("a list");
    let kinds: Vec<bool> = publications.iter().map(|it| it["delta"] == true).collect();
    assert_eq!(kinds, [false, true, true]);
    assert_eq!(
        publications[0]["data"],
        format!("\"{long}1\""),
        "as a string"
    );
    publish(&server, &options, "t", &format!("\"{long}4\""));
    assert_eq!(socket.hear_line().await["push"]["pub"]["delta"], true);
}

#[tokio::test(start_paused = true)]
async fn the_server_s_own_subscriptions_recover_too() {
    let options = recoverable(10);
    let server = server(options.clone()).await;
    server
        .authority
        .server_side
        .lock()
        .expect("no panic")
        .push("t");
    let (_, result) = server.connected("app/ann/s1/never").await;
    let epoch = result["subs"]["t"]["epoch"].clone();
    publish(&server, &options, "t", "1");
    let mut socket = server.socket().await;
    let connect = json!({ "id": 1, "connect": {
        "token": "app/ann/s1/never",
        "subs": { "t": { "recover": true, "epoch": epoch, "offset": 0 } },
    } });
    let reply = socket.ask(&connect.to_string()).await;
    let result = &reply["connect"]["subs"]["t"];
    assert_eq!(
        (offsets(result), &result["recovered"]),
        (vec![1], &json!(true))
    );
    publish(&server, &options, "t", "2");
    assert_eq!(socket.hear_line().await["push"]["pub"]["offset"], 2);
}

/// What a host says of a topic that it keeps.
fn past(top: u64, offsets: &[u64]) -> Recovered {
    Recovered {
        top: Position {
            offset: top,
            epoch: "store".into(),
        },
        publications: offsets
            .iter()
            .map(|offset| Publication {
                data: Payload::new(offset.to_string()),
                offset: *offset,
                ..Publication::default()
            })
            .collect(),
        complete: true,
    }
}

fn at(options: &TopicOptions, offset: u64) -> Publish<'_> {
    let data = Payload::new(offset.to_string());
    let mut publish = Publish::new("app", "t", data, options);
    publish.position = Some(Position {
        offset,
        epoch: Arc::from("store"),
    });
    publish
}

#[tokio::test(start_paused = true)]
async fn a_host_s_history_and_what_is_said_meanwhile_join_without_gap_or_double() {
    let options = TopicOptions {
        history: History::Host,
        force_recovery: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    *server.authority.past.lock().expect("no panic") = Some(past(6, &[5, 6]));
    let command =
        r#"{"id":2,"subscribe":{"channel":"t","recover":true,"offset":4,"epoch":"store"}}"#;
    server.authority.past_gate.forget_permits(1);
    socket.say(command).await;
    // The answer of before is on its way while more is said.
    server.authority.recovering.notified().await;
    for offset in [6, 7] {
        server.handle().publish(at(&options, offset));
    }
    server.authority.past_gate.add_permits(1);
    let reply = socket.hear_line().await;
    assert_eq!(offsets(&reply["subscribe"]), [5, 6], "{reply}");
    assert_eq!(socket.hear_line().await["push"]["pub"]["offset"], 7);
    server.handle().publish(at(&options, 7));
    server.handle().publish(at(&options, 9));
    let push = socket.hear_line().await;
    assert_eq!(
        push["push"]["unsubscribe"],
        json!({ "code": 2500, "reason": "insufficient state" })
    );
    assert_eq!(server.handle().listeners("app", "t"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_what_the_server_subscribed_to_ends_the_connection() {
    let options = TopicOptions {
        history: History::Host,
        force_recovery: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let position = past(3, &[]).top;
    let grant = granted(options.clone());
    server
        .handle()
        .subscribe(&ANN, "t", &grant, Some(&position));
    assert_eq!(socket.hear_line().await["push"]["subscribe"]["offset"], 3);
    server.handle().publish(at(&options, 5));
    assert_eq!(
        socket.hear_close().await,
        (3010, "insufficient state".into())
    );
}
