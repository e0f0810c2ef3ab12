//! A backup is restored: sessions that it knows go on, and what was revoked since stays so.

use chatsdk_testkit::{Backend, Person, process};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_signs_nobody_out_and_forgives_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let backups = tempfile::tempdir().unwrap();
    let data = dir.path();
    let serve = async || {
        process::serve(
            crate::common::binary(),
            data,
            &[],
            &["--rate-limits", "off"],
        )
        .await
    };
    let server = serve().await;
    let backend = server.backend();
    let app = server.app.clone().unwrap();
    let honest = backend.sign_in("honest").await.refreshed().await;
    let (ended, banned, unbanned) = (
        backend.sign_in("ended").await,
        backend.sign_in("banned").await,
        backend.sign_in("unbanned").await,
    );
    let spare = process::run(
        crate::common::binary(),
        data,
        &["key", "create", "--app", &app],
    )
    .await[0]
        .clone();
    let old_key = process::run(
        crate::common::binary(),
        data,
        &["key", "create", "--app", &app],
    )
    .await[0]
        .clone();
    backend
        .request("POST", "/auth/users/unbanned/ban")
        .json(&json!({}))
        .send()
        .await
        .ok();

    let made = process::run(crate::common::binary(), data, &["app", "create", "shut"]).await;
    let shut_app = made[0]["appId"].as_str().unwrap();
    let made = process::run(crate::common::binary(), data, &["app", "create", "open"]).await;
    let open_app = made[0]["appId"].as_str().unwrap();
    process::run(crate::common::binary(), data, &["app", "disable", open_app]).await;

    let copy = backups.path().join("monday");
    process::run(
        crate::common::binary(),
        data,
        &["backup", copy.to_str().unwrap()],
    )
    .await;
    assert!(
        !copy.join("revocations.jsonl").exists(),
        "no backup copies the journal"
    );

    // Life goes on after the backup.
    let honest = honest.refreshed().await.refreshed().await;
    ended
        .request("POST", "/auth/revoke")
        .json(&json!({}))
        .send()
        .await
        .ok();
    backend
        .request("POST", "/auth/users/banned/ban")
        .json(&json!({}))
        .send()
        .await
        .ok();
    backend
        .request("DELETE", "/auth/users/unbanned/ban")
        .send()
        .await
        .ok();
    process::run(
        crate::common::binary(),
        data,
        &["key", "revoke", spare["keyId"].as_str().unwrap()],
    )
    .await;
    for (change, app) in [("disable", shut_app), ("enable", open_app)] {
        process::run(crate::common::binary(), data, &["app", change, app]).await;
    }
    let late = backend.sign_in("late").await;
    late.request("POST", "/auth/revoke")
        .json(&json!({}))
        .send()
        .await
        .ok();
    let gone = backend.sign_in("gone").await;
    process::run(
        crate::common::binary(),
        data,
        &["user", "delete", "gone", "--app", &app],
    )
    .await;
    let rotated = old_key["keyId"].as_str().unwrap();
    process::run(
        crate::common::binary(),
        data,
        &["key", "rotate", rotated, "--overlap", "1ms"],
    )
    .await;
    server.kill().await;

    // The disk is lost, but for the journal; the backup comes back.
    for file in ["chatsdk.db", "chatsdk.db-wal", "chatsdk.db-shm"] {
        let path = data.join(file);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::copy(copy.join("chatsdk.db"), data.join("chatsdk.db")).unwrap();
    std::fs::copy(copy.join("secret"), data.join("secret")).unwrap();
    let server = serve().await;
    let at = |person: &Person| Person {
        address: server.api,
        ..person.clone()
    };
    let honest = at(&honest).refreshed().await;
    assert_eq!(honest.standing().await, "200");
    assert_eq!(at(&ended).refresh_standing().await, "401 session_revoked");
    assert_eq!(at(&ended).standing().await, "401 token_revoked");
    assert_eq!(at(&banned).standing().await, "403 user_banned");
    assert_eq!(at(&unbanned).standing().await, "200");
    let spare = server.backend_of(&spare["apiKey"]);
    assert_eq!(
        spare.mint(&json!({ "userId": "x" })).await.outcome(),
        "401 api_key_revoked"
    );
    // What began after the backup and was ended since: the tokens are still about, the rows are not.
    assert_eq!(at(&late).standing().await, "401 token_revoked");
    assert_eq!(at(&gone).standing().await, "401 token_revoked");
    assert_eq!(
        at(&gone).refresh_standing().await,
        "401 refresh_token_invalid"
    );
    let first = Backend {
        address: server.api,
        key: backend.key.clone(),
    };
    assert_eq!(
        first.mint(&json!({ "userId": "gone" })).await.outcome(),
        "403 user_banned"
    );
    let rotated = server.backend_of(&old_key["apiKey"]);
    assert_eq!(
        rotated.mint(&json!({ "userId": "x" })).await.outcome(),
        "401 api_key_expired"
    );
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("older than the revocation journal"), "{log}");
    let apps = process::run(crate::common::binary(), data, &["app", "list"]).await;
    let disabled: Vec<_> = apps
        .iter()
        .filter(|app| app["disabledAt"].is_i64())
        .map(|app| app["appId"].as_str().unwrap())
        .collect();
    assert_eq!(disabled, [shut_app]);

    // And once more, without the journal: the server says what it cannot know.
    let server_log = server.log.clone();
    server.kill().await;
    for file in [
        "chatsdk.db",
        "chatsdk.db-wal",
        "chatsdk.db-shm",
        "revocations.jsonl",
    ] {
        let path = data.join(file);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::copy(copy.join("chatsdk.db"), data.join("chatsdk.db")).unwrap();
    // Whoever looks first, or even changes something, leaves that to be said by the server; `doctor`
    // says it as well, each time.
    process::run(crate::common::binary(), data, &["app", "list"]).await;
    process::run(
        crate::common::binary(),
        data,
        &["user", "ban", "eve", "--app", &app],
    )
    .await;
    for _ in 0..2 {
        let findings = process::chatsdk(crate::common::binary(), data, &["doctor", "--json"])
            .output()
            .await
            .unwrap();
        let findings = String::from_utf8(findings.stdout).unwrap();
        let unknown = findings
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .find(|finding| finding["check"] == "revocations")
            .unwrap_or_else(|| panic!("doctor says nothing of it: {findings}"));
        assert_eq!(unknown["ok"], false, "{unknown}");
    }
    std::fs::remove_file(&server_log).unwrap();
    let server = serve().await;
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(
        log.contains("was restored from the backup of"),
        "the period is said: {log}"
    );
    let first = Backend {
        address: server.api,
        key: backend.key.clone(),
    };
    assert_eq!(
        first.mint(&json!({ "userId": "eve" })).await.outcome(),
        "403 user_banned"
    );
    let journal = std::fs::read_to_string(data.join("revocations.jsonl")).unwrap();
    assert!(
        journal.contains("eve"),
        "what a command changed meanwhile is in the server's journal: {journal}"
    );
    server.end().await;

    // It is said once.
    std::fs::remove_file(&server_log).unwrap();
    let server = serve().await;
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(!log.contains("revocation journal"), "{log}");
    server.kill().await;
}

/// A plain copy of the file is put back twice. The second time it is as old as the first.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_is_old_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let serve = async || {
        process::serve(
            crate::common::binary(),
            data,
            &[],
            &["--rate-limits", "off"],
        )
        .await
    };
    let server = serve().await;
    let backend = server.backend();
    let ann = backend.sign_in("ann").await;
    let signed_by_a_lost_key = backend.sign_in("bob").await;
    server.end().await;
    let copy = data.join("copy.db");
    std::fs::copy(data.join("chatsdk.db"), &copy).unwrap();
    let server = serve().await;
    let ann = Person {
        address: server.api,
        ..ann
    };
    ann.request("POST", "/auth/revoke")
        .json(&json!({}))
        .send()
        .await
        .ok();
    process::run(
        crate::common::binary(),
        data,
        &["signing-key", "rotate", "--emergency"],
    )
    .await;
    server.end().await;
    for _ in 0..3 {
        std::fs::copy(&copy, data.join("chatsdk.db")).unwrap();
        let server = serve().await;
        let at = |person: &Person| Person {
            address: server.api,
            ..person.clone()
        };
        assert_eq!(at(&ann).refresh_standing().await, "401 session_revoked");
        let bob = at(&signed_by_a_lost_key);
        assert_eq!(bob.standing().await, "401 token_expired");
        assert_eq!(
            bob.refreshed().await.standing().await,
            "200",
            "and nobody is signed out by it"
        );
        server.end().await;
    }
}
