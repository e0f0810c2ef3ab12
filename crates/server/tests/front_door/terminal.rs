//! What commands take from a terminal and write to one.

use chatsdk_testkit::process;
use serde_json::{Value, json};

use crate::common::binary;

/// The command line takes what the API takes, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn commands_have_the_bounds_of_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let app = process::run(binary(), data, &["app", "create", "one"]).await[0].clone();
    let app = app["appId"].as_str().unwrap();
    let (name, reason) = ("x".repeat(128), "é".repeat(256));
    for name in [
        "\u{1b}[31mred",
        "two\nlines",
        "\u{9b}31m",
        &format!("{name}x"),
    ] {
        let arguments = ["key", "create", "--app", app, "--name", name];
        let error = process::refused(binary(), data, &arguments).await;
        assert_eq!(error["code"], "invalid_field", "{name:?}: {error}");
        assert!(
            error["detail"].as_str().unwrap().starts_with("--name"),
            "{error}"
        );
    }
    for reason in ["\u{1b}[31mx", "two\nlines", &format!("{reason}x")] {
        let arguments = ["user", "ban", "ann", "--app", app, "--reason", reason];
        let error = process::refused(binary(), data, &arguments).await;
        assert_eq!(error["code"], "invalid_field", "{reason:?}: {error}");
        assert!(
            error["detail"].as_str().unwrap().starts_with("--reason"),
            "{error}"
        );
    }
    let keys = process::run(binary(), data, &["key", "list", "--app", app]).await;
    assert_eq!(keys.len(), 1, "nothing was made of what was refused");
    process::run(
        binary(),
        data,
        &["key", "create", "--app", app, "--name", &name],
    )
    .await;
    let ban = ["user", "ban", "ann", "--app", app, "--reason", &reason];
    process::run(binary(), data, &ban).await;
    let ann = process::run(binary(), data, &["user", "show", "ann", "--app", app]).await;
    assert_eq!(ann[0]["banReason"], json!(reason));
    // An empty reason is none, as with the API.
    let ban = ["user", "ban", "bob", "--app", app, "--reason", ""];
    process::run(binary(), data, &ban).await;
    let bob = process::run(binary(), data, &["user", "show", "bob", "--app", app]).await;
    assert_eq!(bob[0]["banReason"], Value::Null);
}

/// What an earlier version let into the database does not drive the terminal.
#[tokio::test(flavor = "multi_thread")]
async fn no_escape_sequence_reaches_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let app = process::run(binary(), data, &["app", "create", "one"]).await[0].clone();
    let app = app["appId"].as_str().unwrap();
    let store =
        chatsdk_store::Store::open(chatsdk_store::Location::Sqlite(data.join("chatsdk.db")))
            .await
            .unwrap();
    let (id, user) = (app.parse().unwrap(), "ann".parse().unwrap());
    store
        .write(move |tx| {
            Box::pin(async move {
                let reason = Some("a\u{1b}[31mb\u{9b}c\u{202e}d");
                tx.ban_user(&id, &user, reason, 1).await
            })
        })
        .await
        .unwrap();
    store.close().await;
    let shown = process::chatsdk(binary(), data, &["user", "show", "ann", "--app", app])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains(r"a\u{1b}[31mb\u{9b}c\u{202e}d"), "{text:?}");
    assert!(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        "{text:?}"
    );
}
