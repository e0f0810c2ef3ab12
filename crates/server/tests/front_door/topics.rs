//! Topics: a user's own, and those of clients among themselves.

use chatsdk_realtime::{Payload, Publish, TopicOptions};
use chatsdk_testkit::{Database, Event, Socket, TestServer, http};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn clients_talk_among_themselves_as_far_as_their_permissions_go() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let reader = json!({ "userId": "bob", "custom": { "permissions": ["read"] } });
    let bob = server.backend.sign_in_with(&reader).await;
    let mut ann = Socket::connected(server.realtime(), &ann.access).await;
    let mut bob = Socket::connected(server.realtime(), &bob.access).await;
    let channel = "custom:lobby";
    for socket in [&mut ann, &mut bob] {
        let early = socket
            .ask("publish", json!({ "channel": channel, "data": 1 }))
            .await;
        assert_eq!(early["error"]["code"], 103, "only who listens may speak");
        let reply = socket
            .ask(
                "subscribe",
                json!({ "channel": channel, "recoverable": true }),
            )
            .await;
        assert_eq!(reply["subscribe"]["recoverable"], true, "{reply}");
    }
    let said = ann
        .ask(
            "publish",
            json!({ "channel": channel, "data": { "hello": 1 } }),
        )
        .await;
    assert!(said["publish"].is_object(), "{said}");
    for socket in [&mut ann, &mut bob] {
        let push = socket.push().await;
        assert_eq!(push["channel"], channel);
        assert_eq!(push["pub"]["data"], json!({ "hello": 1 }));
        assert_eq!(push["pub"]["info"]["user"], "ann");
    }
    let refused = bob
        .ask("publish", json!({ "channel": channel, "data": 1 }))
        .await;
    assert_eq!(refused["error"]["code"], 103);
    let stats = bob
        .ask("presence_stats", json!({ "channel": channel }))
        .await;
    assert_eq!(
        stats["presence_stats"],
        json!({ "num_clients": 2, "num_users": 2 })
    );
    for (closed, code) in [("custom:x#bob", 103), ("user:bob", 103), ("room", 102)] {
        let reply = ann.ask("subscribe", json!({ "channel": closed })).await;
        assert_eq!(reply["error"]["code"], code, "{closed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_hears_what_is_said_to_them_on_every_connection() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let bob = server.backend.sign_in("bob").await;
    let (mut one, connected) = Socket::connect(server.realtime(), &ann.access).await;
    let Event::Reply(connected) = connected else {
        panic!("{connected:?}")
    };
    assert_eq!(
        connected["connect"]["subs"]["user:ann"]["recoverable"], true,
        "{connected}"
    );
    let mut two = Socket::connected(server.realtime(), &ann.access).await;
    let mut other = Socket::connected(server.realtime(), &bob.access).await;
    let options = TopicOptions::default();
    let app = server.app.to_string();
    let publish = Publish::new(&app, "user:ann", Payload::new("\"psst\""), &options);
    server.server().engine().handle().publish(publish);
    for socket in [&mut one, &mut two] {
        let push = socket.push().await;
        assert_eq!(
            (&push["channel"], &push["pub"]["data"]),
            (&json!("user:ann"), &json!("psst"))
        );
    }
    // Whatever else would have come to them has come by the time that this is answered.
    assert!(other.ask("ping", json!({})).await["ping"].is_object());
    let forged = one
        .ask("publish", json!({ "channel": "user:bob", "data": 1 }))
        .await;
    assert_eq!(forged["error"]["code"], 103);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_websockets_are_served_too() {
    let server = TestServer::start(Database::Sqlite).await;
    let bad = r#"{"id":1,"connect":{"token":"garbage"}}"#;
    let reply = http::request(server.realtime(), "POST", "/connection/http_stream")
        .body(bad)
        .send()
        .await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.text.contains(r#""disconnect":{"code":3500"#),
        "the reason stands in the body, which then ends"
    );
    let unknown = json!({ "session": "s", "node": "n", "data": "{}" });
    let reply = http::request(server.realtime(), "POST", "/emulation")
        .json(&unknown)
        .send()
        .await;
    assert_eq!(reply.outcome(), "404 not_found");
    let reply = http::request(server.realtime(), "GET", "/connection/sse")
        .send()
        .await;
    assert_eq!(reply.outcome(), "400 invalid_request", "no connect command");
    let origin = "https://app.example";
    let preflight = http::request(server.realtime(), "OPTIONS", "/emulation")
        .header("origin", origin)
        .header("access-control-request-headers", "content-type")
        .send()
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        Some(origin)
    );
}

/// What a token no longer allows ends when it is the one in force, and no later.
#[tokio::test(flavor = "multi_thread")]
async fn permissions_that_a_refresh_takes_away_end_subscriptions() {
    let server = TestServer::start(Database::Sqlite).await;
    let token = async |permissions: Value| {
        let claims = json!({ "userId": "ann", "custom": { "permissions": permissions } });
        server.backend.sign_in_with(&claims).await.access
    };
    let all = token(json!(["read", "write"])).await;
    let (mut socket, _) = Socket::connect(server.realtime(), &all).await;
    let channel = json!({ "channel": "custom:lobby" });
    let reply = socket.ask("subscribe", channel.clone()).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    let reader = token(json!(["read", "an application's own"])).await;
    let reply = socket.ask("refresh", json!({ "token": reader })).await;
    assert!(reply["refresh"].is_object(), "{reply}");
    let said = json!({ "channel": "custom:lobby", "data": 1 });
    let refused = socket.ask("publish", said.clone()).await;
    assert_eq!(refused["error"]["code"], 103);
    let history = json!({ "channel": "custom:lobby", "limit": 1 });
    let reply = socket.ask("history", history.clone()).await;
    assert!(reply["history"].is_object(), "it still listens: {reply}");
    let nothing = token(json!([])).await;
    socket.command("refresh", json!({ "token": nothing })).await;
    let push = socket.push().await;
    assert_eq!(
        (&push["channel"], &push["unsubscribe"]["code"]),
        (&json!("custom:lobby"), &json!(2000))
    );
    assert!(matches!(socket.event().await, Event::Reply(reply) if reply["refresh"].is_object()));
    for (method, request) in [
        ("subscribe", channel),
        ("publish", said),
        ("history", history),
    ] {
        let refused = socket.ask(method, request).await;
        assert_eq!(refused["error"]["code"], 103, "{method}");
    }
}
