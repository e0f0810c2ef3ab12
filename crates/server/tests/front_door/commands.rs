//! The commands, beside a serving process and without one.

use std::time::{Duration, Instant};

use chatsdk_testkit::{Database, Deployment, Event, Person, Socket, process};
use serde_json::{Value, json};

async fn run(dir: &std::path::Path, arguments: &[&str]) -> Vec<Value> {
    process::run(crate::common::binary(), dir, arguments).await
}

/// Asks until the answer is the one wanted: what a command changes is in force within a second.
async fn within_a_second<F: Future<Output = String>>(wanted: &str, ask: impl Fn() -> F) {
    let begun = Instant::now();
    let mut answer = ask().await;
    while answer != wanted {
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "after a second it is still {answer}, not {wanted}"
        );
        answer = ask().await;
    }
}

both! {
    async fn what_commands_change_is_in_force_within_a_second(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let server = site.serve().await;

        let app = site.run(&["app", "create", "second"]).await[0].clone();
        let id = app["appId"].as_str().unwrap();
        let backend = server.backend_of(&app["apiKey"]);
        within_a_second("200", async || {
            backend.mint(&json!({ "userId": "ann" })).await.outcome()
        })
        .await;

        let key = site
            .run(&["key", "create", "--app", id, "--scope", "tokens:mint"])
            .await[0]
            .clone();
        let narrow = server.backend_of(&key["apiKey"]);
        within_a_second("200", async || {
            narrow.mint(&json!({ "userId": "ann" })).await.outcome()
        })
        .await;
        assert_eq!(
            narrow
                .request("GET", "/auth/users/ann/sessions")
                .send()
                .await
                .outcome(),
            "403 api_key_scope"
        );
        site.run(&["key", "revoke", key["keyId"].as_str().unwrap()])
            .await;
        within_a_second("401 api_key_revoked", async || {
            narrow.mint(&json!({ "userId": "ann" })).await.outcome()
        })
        .await;

        let ann = backend.sign_in("ann").await;
        let mut socket = Socket::connected(server.realtime, &ann.access).await;
        let listed = site
            .run(&["session", "list", "--app", id, "--user", "ann"])
            .await;
        assert!(
            listed
                .iter()
                .any(|session| session["id"] == ann.session.as_str()),
            "{listed:?}"
        );
        site.run(&["session", "revoke", "--app", id, &ann.session])
            .await;
        within_a_second("401 token_revoked", async || ann.standing().await).await;
        assert_eq!(socket.closed().await, (3503, "session_revoked".to_owned()));

        let bob = backend.sign_in("bob").await;
        site.run(&["user", "ban", "bob", "--app", id, "--reason", "spam"])
            .await;
        within_a_second("403 user_banned", async || bob.standing().await).await;
        let shown = site.run(&["user", "show", "bob", "--app", id]).await[0].clone();
        assert_eq!(
            (shown["banReason"].as_str(), shown["sessions"].as_i64()),
            (Some("spam"), Some(1))
        );
        site.run(&["user", "unban", "bob", "--app", id]).await;
        within_a_second("200", async || bob.standing().await).await;
        site.run(&["user", "delete", "bob", "--app", id]).await;
        within_a_second("401 token_revoked", async || bob.standing().await).await;
        assert_eq!(
            backend.mint(&json!({ "userId": "bob" })).await.outcome(),
            "403 user_banned"
        );

        let eve = backend.sign_in("eve").await;
        site.run(&["signing-key", "rotate", "--emergency"]).await;
        within_a_second("401 token_expired", async || eve.standing().await).await;
        assert_eq!(eve.refreshed().await.standing().await, "200");
        let states: Vec<_> = site
            .run(&["signing-key", "list"])
            .await
            .iter()
            .map(|key| key["state"].clone())
            .collect();
        assert_eq!(states, [json!("withdrawn"), json!("active")]);
        server.kill().await;
    }

    async fn a_disabled_app_is_shut_within_a_second_and_signs_nobody_out(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let server = site.serve().await;
        let first = server.backend();
        let app = site.run(&["app", "create", "second"]).await[0].clone();
        let id = app["appId"].as_str().unwrap();
        let backend = server.backend_of(&app["apiKey"]);
        let (ann, bob) = (backend.sign_in("ann").await, first.sign_in("bob").await);
        let leaver = backend.sign_in("leaver").await;
        let mut socket = Socket::connected(server.realtime, &ann.access).await;
        let mut other = Socket::connected(server.realtime, &bob.access).await;

        let done = site.run(&["app", "disable", id]).await[0].clone();
        assert_eq!(done["changed"], true);
        let shut = "403 app_disabled";
        within_a_second(shut, async || ann.standing().await).await;
        // With a code after which clients come back, to be told to try again.
        assert_eq!(socket.closed().await, (3011, "app_disabled".to_owned()));
        let (_, event) = Socket::connect(server.realtime, &ann.access).await;
        let Event::Reply(reply) = &event else {
            panic!("{event:?}")
        };
        assert_eq!(
            (&reply["error"]["code"], &reply["error"]["temporary"]),
            (&json!(100), &json!(true))
        );
        assert_eq!(ann.refresh_standing().await, shut);
        let mint = backend.mint(&json!({ "userId": "eve" })).await;
        assert_eq!(mint.outcome(), shut);
        // What takes access away goes on, and finds what to take; what gives it does not.
        let by_key = async |method, path: &str| {
            let request = backend.request(method, path).json(&json!({}));
            request.send().await.outcome()
        };
        assert_eq!(by_key("GET", "/auth/users/ann/sessions").await, "200");
        assert_eq!(by_key("POST", "/auth/users/eve/ban").await, "200");
        assert_eq!(by_key("DELETE", "/auth/users/eve/ban").await, shut);
        assert_eq!(by_key("POST", "/auth/users/eve/revoke").await, "200");
        let asked = backend.request("POST", "/auth/introspect");
        let asked = asked.json(&json!({ "token": ann.access })).send().await;
        assert_eq!(asked.ok().json()["active"], false);
        // Whoever wants to leave may.
        let left = leaver.request("POST", "/auth/revoke").json(&json!({}));
        assert_eq!(left.send().await.outcome(), "200");
        let doctor = site.run(&["app", "list"]).await;
        let listed: Vec<bool> = doctor
            .iter()
            .map(|app| app["disabledAt"].is_i64())
            .collect();
        assert_eq!(listed, [false, true]);
        // The other app knows nothing of it.
        assert_eq!(bob.standing().await, "200");
        other.ask("ping", json!({})).await;

        // It holds across a restart.
        server.end().await;
        let server = site.serve().await;
        let at = |person: &Person| Person {
            address: server.api,
            ..person.clone()
        };
        let (ann, leaver) = (at(&ann), at(&leaver));
        assert_eq!(ann.standing().await, shut);
        assert_eq!(ann.refresh_standing().await, shut);
        site.run(&["app", "enable", id]).await;
        within_a_second("200", async || ann.standing().await).await;
        let ann = ann.refreshed().await;
        let _socket = Socket::connected(server.realtime, &ann.access).await;
        assert_eq!(leaver.refresh_standing().await, "401 session_revoked");
        let again = site.run(&["app", "enable", id]).await[0].clone();
        assert_eq!(again["changed"], false);
        server.kill().await;
    }

    async fn keys_overlap_when_they_rotate(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let app = site.run(&["app", "create", "only"]).await[0].clone();
        let id = app["appId"].as_str().unwrap();
        let listed = site.run(&["key", "list", "--app", id]).await;
        assert_eq!(listed.len(), 1);
        assert!(
            !listed[0]
                .to_string()
                .contains(app["apiKey"].as_str().unwrap()),
            "a key is shown once"
        );
        let old = listed[0]["keyId"].as_str().unwrap();
        // Its reply is lost, so it is asked for again: that successor has no end either.
        site.run(&["key", "rotate", old, "--overlap", "48h"]).await;
        let new = site.run(&["key", "rotate", old, "--overlap", "48h"]).await[0].clone();
        let keys = site.run(&["key", "list", "--app", id]).await;
        let newest = keys
            .iter()
            .find(|key| key["keyId"] == new["keyId"])
            .unwrap();
        assert!(newest["expiresAt"].is_null(), "{newest}");
        let server = site.serve().await;
        assert_eq!(server.key, None, "there is an app already");
        for key in [&app["apiKey"], &new["apiKey"]] {
            let backend = server.backend_of(key);
            assert_eq!(
                backend.mint(&json!({ "userId": "ann" })).await.outcome(),
                "200"
            );
        }
        let stolen = new["keyId"].as_str().unwrap();
        let backend = server.backend_of(&new["apiKey"]);
        let ann = backend.sign_in("ann").await;
        site.run(&["key", "revoke", stolen]).await;
        let ended = site.run(&["key", "revoke", stolen, "--sessions"]).await;
        assert_eq!(
            (ended[0]["revoked"].as_bool(), ended[0]["ended"].as_i64()),
            (Some(false), Some(2))
        );
        within_a_second("401 token_revoked", async || ann.standing().await).await;
        server.kill().await;
    }

    async fn looking_without_a_server(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let migrated = site.run(&["migrate"]).await;
        assert_eq!(migrated[0]["from"], 0);
        assert_eq!(
            site.run(&["migrate"]).await[0]["from"],
            migrated[0]["schemaVersion"]
        );
        assert!(site.run(&["app", "list"]).await.is_empty());
        site.run(&["app", "create", "one", "--access-ttl", "10m"])
            .await;
        let apps = site.run(&["app", "list"]).await;
        assert_eq!(
            (apps[0]["name"].as_str(), apps[0]["accessTtl"].as_str()),
            (Some("one"), Some("10m"))
        );
        let settings = site.run(&["config"]).await;
        let listen = settings
            .iter()
            .find(|setting| setting["key"] == "listen")
            .unwrap();
        assert_eq!(
            (listen["value"].as_str(), listen["source"].as_str()),
            (Some("127.0.0.1:5500"), Some("default"))
        );
        let document: Value = serde_json::from_str(
            &String::from_utf8(site.command(&["openapi"]).output().await.unwrap().stdout).unwrap(),
        )
        .unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let examined = site.command(&["doctor", "--json"]).output().await.unwrap();
        let findings = String::from_utf8(examined.stdout).unwrap();
        assert!(
            findings.contains(r#""check":"database","detail":"it answers"#),
            "{findings}"
        );
    }

    /// Each failure is one line of JSON with a code, on standard output, and an exit code that says so.
    async fn failures_have_codes(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        site.run(&["app", "create", "one"]).await;
        let app = "app_00000000000000000000000000";
        for (arguments, code) in [
            (&["key", "create", "--app", app][..], "not_found"),
            (&["key", "revoke", "AAAAAAAA"], "not_found"),
            (&["key", "rotate", "AAAAAAAA"], "not_found"),
            (&["user", "show", "ann", "--app", app], "not_found"),
            (&["key", "list", "--app", app], "not_found"),
            (&["user", "ban", "ann", "--app", app], "not_found"),
            (&["session", "list", "--user", "ann", "--app", app], "not_found"),
            (&["app", "disable", app], "not_found"),
            (&["app", "create", ""], "invalid_field"),
            (&["app", "create", "a\u{1b}[31m"], "invalid_field"),
            (&["dev", "--listen", "0.0.0.0:0"], "not_loopback"),
            (&["serve", "--listen", "nowhere"], "config"),
            (&["serve", "--listen", "192.0.2.1:0"], "start"),
        ] {
            let why = site.refused(arguments).await;
            assert_eq!(why["code"], code, "{arguments:?}: {why}");
        }
        for pause in ["9s", "601s", "0", "soon"] {
            let command = &mut site.command(&["config", "--json"]);
            let refused = command.env("CHATSDK_REALTIME_PING_INTERVAL", pause).output().await.unwrap();
            let why = String::from_utf8(refused.stdout).unwrap();
            assert!(!refused.status.success() && why.contains("it takes 10s to 10m"), "{pause}: {why}");
        }
    }
}

/// All nodes share what PostgreSQL holds, and so the secret: none is made up, and another one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_a_secret_is_given_and_stays_the_same() {
    let site = Deployment::new(crate::common::binary(), Database::Postgres).await;
    let secret = async |secret: Option<&str>, arguments: &[&str]| {
        let mut command = site.command(arguments);
        command.env_remove("CHATSDK_SECRET").arg("--json");
        if let Some(secret) = secret {
            command.env("CHATSDK_SECRET", secret);
        }
        let output = command.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .next()
            .map(|line| serde_json::from_str(line).unwrap());
        line.unwrap_or(Value::Null)
    };
    let why = secret(None, &["serve"]).await;
    assert_eq!(why["error"]["code"], "secret", "{why}");
    let right = "the right secret of this deployment, and no other";
    let made = secret(Some(right), &["app", "create", "one"]).await;
    assert!(made["apiKey"].is_string(), "{made}");
    let why = secret(Some(&right.replace("right", "wrong")), &["app", "list"]).await;
    assert!(
        why["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("the deployment secret is not the one"),
        "{why}"
    );
    assert_eq!(
        secret(None, &["app", "list"]).await["error"]["code"],
        "secret"
    );
    assert_eq!(secret(Some(right), &["app", "list"]).await["name"], "one");
    assert!(!site.data().join("secret").exists());

    // Its copies are made with its own tools.
    let copy = site.data().join("copy");
    let why = secret(Some(right), &["backup", copy.to_str().unwrap()]).await;
    let detail = why["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("pg_dump"), "{detail}");
}

/// Another secret would sign everybody out. It is refused, with a word on what to do; and none is made up.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_lost_secret_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    run(data, &["app", "create", "one"]).await;
    let list = process::chatsdk(crate::common::binary(), data, &["app", "list"])
        .env("CHATSDK_SECRET", "x".repeat(40))
        .output()
        .await
        .unwrap();
    assert!(!list.status.success());
    assert!(
        String::from_utf8_lossy(&list.stderr).contains("the deployment secret is not the one"),
        "{list:?}"
    );
    std::fs::remove_file(data.join("secret")).unwrap();
    let list = process::chatsdk(crate::common::binary(), data, &["app", "list"])
        .output()
        .await
        .unwrap();
    assert!(!list.status.success());
    assert!(
        String::from_utf8_lossy(&list.stderr).contains("the deployment secret is gone"),
        "{list:?}"
    );
    assert!(!data.join("secret").exists(), "none is made up");
    let copy = data.join("copy");
    let backup = run(data, &["backup", copy.to_str().unwrap()]).await;
    assert_eq!(
        (backup[0]["secret"].as_bool(), copy.join("secret").exists()),
        (Some(false), false)
    );
}

/// A backup overwrites nothing, least of all the secret that the deployment lives by.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_overwrites_nothing() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = dir.path();
    let url = format!("sqlite:{}", elsewhere.path().join("chat.db").display());
    run(data, &["app", "create", "one", "--database-url", &url]).await;
    let secret = std::fs::read(data.join("secret")).unwrap();
    let into_itself = [
        "backup",
        data.to_str().unwrap(),
        "--database-url",
        &url,
        "--json",
    ];
    let refused = process::chatsdk(crate::common::binary(), data, &into_itself)
        .output()
        .await
        .unwrap();
    let said: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(said["error"]["code"], "exists", "{said}");
    assert_eq!(std::fs::read(data.join("secret")).unwrap(), secret);
}

/// The first signal drains, and the process ends by itself with a good exit code.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_drains() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = process::serve(crate::common::binary(), dir.path(), &[], &[]).await;
    let backend = server.backend();
    let ann = backend.sign_in("ann").await;
    let mut socket = Socket::connected(server.realtime, &ann.access).await;
    let status = tokio::process::Command::new("kill")
        .args(["-TERM", &server.id().to_string()])
        .status()
        .await
        .unwrap();
    assert!(status.success());
    assert_eq!(socket.closed().await.0, 3001);
    assert!(server.wait().await.success());
}

/// Files that hold secrets are their owner's alone.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    run(&data, &["app", "create", "one"]).await;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("secret"))), (0o700, 0o600));
}

/// An app that nothing could be minted for is not made, and who makes it hears which lifetime is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_that_cannot_be_are_refused_when_they_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    for (lifetimes, flag) in [
        (&["--access-ttl", "30d"][..], "--access-ttl: "),
        (
            &["--access-ttl", "1d", "--refresh-ttl", "1h"],
            "--access-ttl: ",
        ),
        (&["--refresh-ttl", "999d"], "--refresh-ttl: "),
        (
            &["--refresh-ttl", "60d", "--session-ttl", "30d"],
            "--refresh-ttl: ",
        ),
        (&["--session-ttl", "1m"], "--session-ttl: "),
    ] {
        let command = [&["app", "create", "dead"], lifetimes].concat();
        let why = process::refused(crate::common::binary(), data, &command).await;
        assert_eq!(why["code"], "invalid_field", "{why}");
        assert!(why["detail"].as_str().unwrap().starts_with(flag), "{why}");
    }
    assert!(run(data, &["app", "list"]).await.is_empty());

    let file = dir.path().join("chatsdk.toml");
    std::fs::write(&file, "[tokens]\naccess_ttl = \"5s\"\n").unwrap();
    let command = ["app", "list", "--config", file.to_str().unwrap()];
    let why = process::refused(crate::common::binary(), data, &command).await;
    assert!(
        why["detail"]
            .as_str()
            .unwrap()
            .contains("tokens.access_ttl"),
        "{why}"
    );
}
