//! The same by command.

use chatsdk_testkit::{Socket, http, operator_token, process};
use serde_json::{Value, json};

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
    let backend = server.backend();
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
    assert!(!log.contains(&operator_token(data)), "it is never logged");

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
