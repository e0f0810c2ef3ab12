//! Who is connected, and how that ends.

use std::collections::BTreeSet;

use chatsdk_testkit::{Database, Socket, TestServer};
use serde_json::{Value, json};

use super::{clients, get, listening, post};

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_listed_by_app_user_session_and_topic() {
    let server = TestServer::start(Database::Sqlite).await;
    let other = crate::common::another_app(&server).await;
    let (ann, bob) = (
        server.backend.sign_in("ann").await,
        server.backend.sign_in("bob").await,
    );
    let namesake = other.sign_in("ann").await;
    let (_one, first) = listening(&server, &ann.access, &["custom:lobby", "custom:den"]).await;
    let (_two, second) = listening(&server, &bob.access, &["custom:lobby"]).await;
    let (_three, third) = listening(&server, &namesake.access, &[]).await;
    // Somebody who has said nothing yet is no connection.
    let _silent = Socket::open(server.realtime(), "/connection/websocket", &[])
        .await
        .unwrap();

    let all = get(&server, "/admin/connections").await;
    assert_eq!(all["next"], Value::Null);
    let listed: Vec<_> = all["connections"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 3, "{all}");
    assert_eq!(
        listed[0],
        json!({
            "client": first, "app": server.app.as_str(), "user": "ann", "session": ann.session,
            "transport": "websocket", "encoding": "json", "connectedAt": 1_800_000_000_000_i64,
            "topics": 3, "queuedBytes": 0,
        })
    );
    for (filter, wanted) in [
        ("user=ann", vec![&first, &third]),
        (&format!("app={}", server.app), vec![&first, &second]),
        (&format!("app={}&user=ann", server.app), vec![&first]),
        (&format!("session={}", bob.session), vec![&second]),
        ("topic=custom:lobby", vec![&first, &second]),
        ("topic=custom%3Aden&user=bob", vec![]),
        ("user=carol", vec![]),
    ] {
        let found = get(&server, &format!("/admin/connections?{filter}")).await;
        let wanted: BTreeSet<String> = wanted.into_iter().cloned().collect();
        assert_eq!(clients(&found), wanted, "{filter}");
    }
    let mut shown = get(&server, &format!("/admin/connections/{first}")).await;
    let topics: BTreeSet<String> = serde_json::from_value(shown["subscriptions"].take()).unwrap();
    assert_eq!(
        topics,
        ["custom:den", "custom:lobby", "user:ann"]
            .map(str::to_owned)
            .into()
    );
    assert!(shown["expiresAt"].as_i64() > shown["connectedAt"].as_i64());
    let nobody = "/admin/connections/00000000-0000-4000-8000-000000000000";
    let reply = server.operator("GET", nobody).send().await;
    assert_eq!(reply.outcome(), "404 connection_not_found");

    let topics = get(&server, "/admin/topics").await;
    let count = |app: &str, topic: &str| {
        let all = topics["topics"].as_array().unwrap();
        all.iter()
            .find(|known| known["app"] == app && known["topic"] == topic)
            .map(|known| known["subscribers"].clone())
    };
    let app = server.app.as_str();
    assert_eq!(count(app, "custom:lobby"), Some(json!(2)));
    assert_eq!(count(app, "user:ann"), Some(json!(1)));
    let foreign = listed[2]["app"].as_str().unwrap();
    assert_eq!(count(foreign, "user:ann"), Some(json!(1)));
    let of_app = get(&server, &format!("/admin/topics?app={foreign}")).await;
    assert_eq!(of_app["topics"].as_array().unwrap().len(), 1, "{of_app}");

    let node = get(&server, "/admin/node").await;
    assert_eq!(
        (
            &node["sockets"],
            &node["connections"],
            &node["subscriptions"],
            &node["topics"]
        ),
        (&json!(4), &json!(3), &json!(6), &json!(5)),
        "{node}"
    );
    assert_eq!(node["uptimeMs"], 0, "its clock stands still");
}

/// Every code that is offered reaches the socket, with the reason that clients know it by, and says truly whether they
/// come back: whether a code is below 3500 is all that a stock client goes by.
#[tokio::test(flavor = "multi_thread")]
async fn every_close_code_that_is_offered_reaches_the_socket() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let refused = json!({ "user": "ann", "app": server.app.as_str(), "code": 1 });
    let refused = post(&server, "/admin/disconnect", refused).await;
    assert_eq!(refused.outcome(), "400 invalid_field");
    let offered: BTreeSet<u16> = refused
        .field("detail")
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .filter(|code| (3000..5000).contains(code))
        .collect();
    let table = [
        (3001, "shutdown"),
        (3005, "connection expired"),
        (3011, "force reconnect"),
        (3014, "state invalidated"),
        (3503, "force disconnect"),
        (3504, "connection limit"),
        (3507, "permission denied"),
        (3508, "not available"),
    ];
    assert_eq!(offered, table.iter().map(|(code, _)| *code).collect());
    for (code, reason) in table {
        let mut socket = Socket::connected(server.realtime(), &ann.access).await;
        let body = json!({ "user": "ann", "app": server.app.as_str(), "code": code });
        let reply = post(&server, "/admin/disconnect", body).await.ok().json();
        let told = json!({ "disconnected": 1, "code": code, "reconnects": code < 3500 });
        assert_eq!(reply, told);
        assert_eq!(socket.closed().await, (code, reason.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_as_the_operator_says() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let again = server.backend.sign_in("ann").await;
    let bob = server.backend.sign_in("bob").await;
    let carol = server.backend.sign_in("carol").await;
    let (mut one, client) = listening(&server, &ann.access, &[]).await;
    let mut two = Socket::connected(server.realtime(), &ann.access).await;
    let mut three = Socket::connected(server.realtime(), &again.access).await;
    let mut four = Socket::connected(server.realtime(), &bob.access).await;
    let mut five = Socket::connected(server.realtime(), &carol.access).await;

    let body = json!({ "client": client, "code": 3011, "reason": "moving" });
    let reply = post(&server, "/admin/disconnect", body.clone())
        .await
        .ok()
        .json();
    assert_eq!(
        reply,
        json!({ "disconnected": 1, "code": 3011, "reconnects": true })
    );
    assert_eq!(one.closed().await, (3011, "moving".to_owned()));
    let reply = post(&server, "/admin/disconnect", body).await.ok().json();
    assert_eq!(reply["disconnected"], 0, "it is gone");

    let body = json!({ "session": ann.session });
    let reply = post(&server, "/admin/disconnect", body).await.ok().json();
    assert_eq!(
        reply,
        json!({ "disconnected": 1, "code": 3503, "reconnects": false })
    );
    assert_eq!(two.closed().await, (3503, "force disconnect".to_owned()));

    let body = json!({ "user": "ann", "app": server.app.as_str(), "code": 3005 });
    let reply = post(&server, "/admin/disconnect", body).await.ok().json();
    assert_eq!(reply["disconnected"], 1);
    assert_eq!(three.closed().await.0, 3005);

    let body = json!({ "everyone": true });
    let reply = post(&server, "/admin/disconnect", body).await.ok().json();
    assert_eq!(reply["disconnected"], 2);
    assert_eq!(four.closed().await.0, 3503);
    assert_eq!(five.closed().await.0, 3503);
    // A connection ended, and nothing else: the session lives.
    assert_eq!(ann.standing().await, "200");
    Socket::connected(server.realtime(), &ann.access).await;
}
