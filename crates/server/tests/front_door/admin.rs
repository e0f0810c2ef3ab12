//! The live node, looked at and acted on by its operator: over HTTP, and by command.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use chatsdk_testkit::http::{Reply, Request};
use chatsdk_testkit::{Backend, Database, Socket, TestServer, http, process};
use serde_json::{Value, json};

/// The token of the node that serves from `data`.
fn token(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("operator-token")).unwrap();
    text.trim().to_owned()
}

/// A request as the operator.
fn operator(server: &TestServer, method: &str, path: &str) -> Request {
    let bearer = format!("Bearer {}", token(server.dir.path()));
    server
        .request(method, path)
        .header("authorization", &bearer)
}

async fn get(server: &TestServer, path: &str) -> Value {
    operator(server, "GET", path).send().await.ok().json()
}

async fn post(server: &TestServer, path: &str, body: Value) -> Reply {
    operator(server, "POST", path).json(&body).send().await
}

/// A socket that listens to `topics`, and its id.
async fn listening(server: &TestServer, access: &str, topics: &[&str]) -> (Socket, String) {
    let (mut socket, event) = Socket::connect(server.realtime(), access).await;
    let chatsdk_testkit::Event::Reply(reply) = event else {
        panic!("{event:?}")
    };
    for topic in topics {
        let reply = socket.ask("subscribe", json!({ "channel": topic })).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
    let client = reply["connect"]["client"].as_str().unwrap().to_owned();
    (socket, client)
}

fn clients(list: &Value) -> BTreeSet<String> {
    let connections = list["connections"].as_array().unwrap();
    connections
        .iter()
        .map(|connection| connection["client"].as_str().unwrap().to_owned())
        .collect()
}

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
    let reply = operator(&server, "GET", nobody).send().await;
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
        .text
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

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_publishes_where_somebody_can_listen() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let (mut socket, _) = listening(&server, &ann.access, &["custom:lobby"]).await;
    let body = json!({
        "topic": "custom:lobby", "data": { "text": "at ten" }, "idempotencyKey": "m1",
    });
    let first = post(&server, "/admin/publish", body.clone())
        .await
        .ok()
        .json();
    assert_eq!(
        (&first["offset"], &first["subscribers"]),
        (&json!(1), &json!(1))
    );
    let again = post(&server, "/admin/publish", body).await.ok().json();
    assert_eq!(again, first, "made once");
    let body = json!({ "topic": "user:ann", "data": [1, "two\n"] });
    post(&server, "/admin/publish", body).await.ok();
    let push = socket.push().await;
    assert_eq!(push["pub"]["data"], json!({ "text": "at ten" }));
    assert_eq!(push["pub"]["info"], Value::Null, "in nobody's name");
    let push = socket.push().await;
    assert_eq!(
        (&push["channel"], &push["pub"]["data"]),
        (&json!("user:ann"), &json!([1, "two\n"]))
    );
    let over_lines = "{\"topic\": \"custom:lobby\",\n \"data\": {\n \"lines\":\r\n 2 }}";
    let request = operator(&server, "POST", "/admin/publish");
    let request = request.header("content-type", "application/json");
    request.body(over_lines).send().await.ok();
    assert_eq!(socket.push().await["pub"]["data"], json!({ "lines": 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_by_its_code() {
    let server = TestServer::start(Database::Sqlite).await;
    let no_app = "app_00000000000000000000000000";
    let client = "00000000-0000-4000-8000-000000000000";
    for (path, body, outcome) in [
        ("disconnect", json!({}), "400 invalid_field"),
        (
            "disconnect",
            json!({ "app": server.app.as_str() }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "user": "ann", "client": client }),
            "400 invalid_field",
        ),
        ("disconnect", json!({ "client": "x" }), "400 invalid_field"),
        ("disconnect", json!({ "client": null }), "400 invalid_field"),
        (
            "disconnect",
            json!({ "everyone": false }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "session": "ann" }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "user": "ann", "code": 3500 }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "user": "ann", "code": "3503" }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "user": "ann", "reason": "x".repeat(124) }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "user": "ann", "reason": "a\nb" }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "user_": "ann", "everyone": true }),
            "400 invalid_field",
        ),
        (
            "disconnect",
            json!({ "user": "ann", "app": no_app }),
            "404 app_not_found",
        ),
        (
            "disconnect",
            json!({ "client": client, "app": no_app }),
            "404 app_not_found",
        ),
        (
            "publish",
            json!({ "topic": "custom:x" }),
            "400 invalid_field",
        ),
        (
            "publish",
            json!({ "topic": "custom:x", "data": null }),
            "400 invalid_field",
        ),
        ("publish", json!({ "data": 1 }), "400 invalid_field"),
        (
            "publish",
            json!({ "topic": "chat:1", "data": 1 }),
            "400 invalid_field",
        ),
        (
            "publish",
            json!({ "topic": "custom:", "data": 1 }),
            "400 invalid_field",
        ),
        (
            "publish",
            json!({ "topic": "custom:ä", "data": 1 }),
            "400 invalid_field",
        ),
        (
            "publish",
            json!({ "topic": "user:", "data": 1 }),
            "400 invalid_field",
        ),
        (
            "publish",
            json!({ "topic": "custom:x", "data": 1, "idempotencyKey": "" }),
            "400 invalid_field",
        ),
        (
            "publish",
            json!({ "topic": "custom:x", "data": 1, "app": "x" }),
            "400 invalid_field",
        ),
        (
            "publish",
            json!({ "topic": "custom:x", "data": 1, "app": no_app }),
            "404 app_not_found",
        ),
        (
            "publish",
            json!({ "topic": "custom:x", "data": "x".repeat(17_000) }),
            "413 payload_too_large",
        ),
    ] {
        let reply = post(&server, &format!("/admin/{path}"), body.clone()).await;
        assert_eq!(reply.outcome(), outcome, "{path} {body}: {}", reply.text);
    }
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "from=x",
        "from=-1",
        "app=x",
        "session=x",
        "user=",
        "topic=",
        "User=ann",
    ] {
        let reply = operator(&server, "GET", &format!("/admin/connections?{query}"));
        assert_eq!(reply.send().await.outcome(), "400 invalid_field", "{query}");
    }
    for query in ["user=%FF", "user=a&user=b"] {
        let reply = operator(&server, "GET", &format!("/admin/connections?{query}"));
        assert_eq!(
            reply.send().await.outcome(),
            "400 invalid_request",
            "{query}"
        );
    }
    assert_eq!(
        get(&server, "/admin/topics").await["topics"],
        json!([]),
        "nothing was made"
    );

    crate::common::another_app(&server).await;
    let body = json!({ "topic": "custom:x", "data": 1 });
    let reply = post(&server, "/admin/publish", body).await;
    assert_eq!(
        (reply.outcome(), reply.field("field")),
        ("400 invalid_field".into(), "app".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_opens_admin_and_nothing_else_does() {
    let settings = [("rate_limits", "on")];
    let server = TestServer::with(Database::Sqlite, &settings).await;
    let ann = server.backend.sign_in("ann").await;
    let right = token(server.dir.path());
    let call = |header: Option<&str>| {
        let request = server.request("GET", "/admin/node");
        let request = match header {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        async move { request.send().await }
    };
    let reply = call(None).await;
    assert_eq!(reply.outcome(), "401 operator_token_missing");
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer realm=\"chatsdk\"")
    );
    for wrong in [&ann.access, &server.backend.key, &right[1..], "x"] {
        let reply = call(Some(&format!("Bearer {wrong}"))).await;
        assert_eq!(reply.outcome(), "401 operator_token_invalid");
    }
    let with_key = server.backend.request("GET", "/admin/node").send().await;
    assert_eq!(with_key.outcome(), "401 operator_token_missing");
    for sign in ["origin", "sec-fetch-site", "sec-fetch-dest"] {
        let reply = operator(&server, "GET", "/admin/node")
            .header(sign, "x")
            .send()
            .await;
        assert_eq!(reply.outcome(), "403 browser_forbidden");
    }
    let in_address = format!("/admin/node?token={right}");
    let reply = operator(&server, "GET", &in_address).send().await;
    assert_eq!(reply.outcome(), "400 invalid_request");
    let preflight = server
        .request("OPTIONS", "/admin/node")
        .header("origin", "https://app.example")
        .send()
        .await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);

    // Guessing is limited; whoever knows the token is not.
    let mut refused = 0;
    while call(Some("Bearer guess")).await.status == 401 {
        refused += 1;
        assert!(refused < 1000, "guesses are not limited");
    }
    let limited = call(Some("Bearer guess")).await;
    assert_eq!(limited.outcome(), "429 rate_limited");
    assert!(limited.header("retry-after").is_some());
    get(&server, "/admin/node").await;

    // Replacing the file rotates the token.
    let new = "n".repeat(48);
    std::fs::write(server.dir.path().join("operator-token"), &new).unwrap();
    assert_ne!(call(Some(&format!("Bearer {right}"))).await.status, 200);
    assert_eq!(call(Some(&format!("Bearer {new}"))).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_listed_page_by_page() {
    let server = TestServer::start(Database::Sqlite).await;
    let publish = async |number: u32| {
        let body = json!({ "topic": format!("custom:{number}"), "data": number });
        post(&server, "/admin/publish", body).await.ok();
    };
    for number in 0..300 {
        publish(number).await;
    }
    for limit in [1, 7, 500] {
        let (mut seen, mut from) = (HashSet::new(), Some("0".to_owned()));
        while let Some(place) = from {
            let page = get(
                &server,
                &format!("/admin/topics?limit={limit}&from={place}"),
            )
            .await;
            let topics = page["topics"].as_array().unwrap();
            assert!(topics.len() <= limit);
            for topic in topics {
                assert_eq!(topic["subscribers"], 0);
                let name = topic["topic"].as_str().unwrap().to_owned();
                assert!(seen.insert(name), "{topic} is there twice");
            }
            from = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(seen.len(), 300, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_the_live_node() {
    let binary = crate::common::binary();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let failing = async |arguments: &[&str]| {
        let output = process::chatsdk(binary, data, arguments)
            .arg("--json")
            .output()
            .await
            .unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(failing(&["connections"]).await, "no_node");

    let server = process::serve(binary, data, &[], &[]).await;
    let backend = Backend {
        address: server.api,
        key: server.key.clone().unwrap(),
    };
    let (ann, bob) = (backend.sign_in("ann").await, backend.sign_in("bob").await);
    let mut one = Socket::connected(server.realtime, &ann.access).await;
    let mut two = Socket::connected(server.realtime, &bob.access).await;
    let listed = process::run(binary, data, &["connections"]).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["user"], "ann");
    let of_bob = process::run(binary, data, &["connections", "--user", "bob"]).await;
    assert_eq!(
        (of_bob.len(), &of_bob[0]["session"]),
        (1, &json!(bob.session))
    );
    let client = listed[0]["client"].as_str().unwrap();
    let shown = process::run(binary, data, &["connections", client]).await;
    assert_eq!(shown[0]["subscriptions"], json!(["user:ann"]));

    let said = process::run(binary, data, &["publish", "user:ann", r#"{"hello":1}"#]).await;
    assert_eq!(
        (&said[0]["offset"], &said[0]["subscribers"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(one.push().await["pub"]["data"], json!({ "hello": 1 }));
    let url = format!("http://{}", server.api);
    for number in ["-5", "-5e-3"] {
        let arguments = ["publish", "user:ann", number, "--url", &url];
        let said = process::run(binary, data, &arguments).await;
        assert_eq!(said[0]["subscribers"], 1, "{number}");
        let heard = one.push().await["pub"]["data"].as_f64();
        assert_eq!(heard, number.parse().ok(), "{number}");
    }

    let arguments = ["disconnect", client, "--reconnect", "--reason", "moving"];
    let closed = process::run(binary, data, &arguments).await;
    assert_eq!(closed[0]["disconnected"], 1);
    assert_eq!(one.closed().await, (3011, "moving".to_owned()));
    // By its address, as from another machine that has the token.
    let arguments = ["disconnect", "--user", "bob", "--url", &url];
    let closed = process::run(binary, data, &arguments).await;
    assert_eq!(
        (&closed[0]["disconnected"], &closed[0]["code"]),
        (&json!(1), &json!(3503))
    );
    assert_eq!(two.closed().await.0, 3503);

    let table = process::chatsdk(binary, data, &["connections"])
        .output()
        .await
        .unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.starts_with("CLIENT") && table.lines().count() == 1,
        "{table}"
    );

    for (arguments, code) in [
        (&["publish", "chat:1", "1"][..], "invalid_field"),
        (&["publish", "custom:x", "hello"], "usage"),
        (
            &["disconnect", "--user", "bob", "--code", "1"],
            "invalid_field",
        ),
        (&["connections", "nobody"], "connection_not_found"),
        (
            &["connections", "--url", "https://chat.example.com"],
            "usage",
        ),
        (
            &["connections", "--url", "http://127.0.0.1:1"],
            "unreachable",
        ),
    ] {
        assert_eq!(failing(arguments).await, code, "{arguments:?}");
    }
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(!log.contains(&token(data)), "it is never logged");

    // Killed, it leaves its word behind, which nobody believes.
    server.kill().await;
    assert!(data.join("node.json").exists());
    assert_eq!(failing(&["connections"]).await, "no_node");
    let server = process::serve(binary, data, &[], &[]).await;
    assert!(
        process::run(binary, data, &["connections"])
            .await
            .is_empty()
    );
    server.end().await;
    assert!(!data.join("node.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_may_stand_in_the_environment() {
    let binary = crate::common::binary();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let given = "e".repeat(40);
    let environment = [("CHATSDK_OPERATOR_TOKEN", given.as_str())];
    let server = process::serve(binary, data, &environment, &[]).await;
    assert!(!data.join("operator-token").exists());
    let reply = http::request(server.api, "GET", "/admin/node")
        .header("authorization", &format!("Bearer {given}"))
        .send()
        .await;
    assert_eq!(reply.outcome(), "200");
    let listed = process::chatsdk(binary, data, &["connections", "--json"])
        .envs(environment)
        .output()
        .await
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let without = process::chatsdk(binary, data, &["connections", "--json"])
        .output()
        .await
        .unwrap();
    let said: Value = serde_json::from_slice(&without.stdout).unwrap();
    assert_eq!(said["error"]["code"], "operator_token");
    server.end().await;
    let weak = process::chatsdk(binary, data, &["serve", "--json"])
        .env("CHATSDK_OPERATOR_TOKEN", "short")
        .output()
        .await
        .unwrap();
    let said: Value = serde_json::from_slice(&weak.stdout).unwrap();
    assert_eq!(said["error"]["code"], "operator_token");
}
