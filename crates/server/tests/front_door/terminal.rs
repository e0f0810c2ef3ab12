//! What commands take from a terminal and write to one.

use chatsdk_testkit::process;
use serde_json::{Value, json};

use crate::common::binary;

/// A failure is one JSON line for programs, a sentence for people, and an exit code of its own kind.
async fn misuse(data: &std::path::Path, arguments: &[&str]) -> (Value, String) {
    let output = process::chatsdk(binary(), data, arguments)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text:?}");
    let said: Value = serde_json::from_str(&text).unwrap();
    (
        said["error"].clone(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Programs that asked for JSON lines read why their arguments were not taken, too.
#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_are_none_are_one_line_of_json() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let app = "app_00000000000000000000000000";
    for (arguments, about) in [
        (&["key", "create", "--app", "nope", "--json"][..], "--app"),
        (&["--json", "app", "create"], "NAME"),
        (
            &["key", "create", "--app", app, "--scope", "all", "--json"],
            "--scope",
        ),
        (
            &["session", "revoke", "--app", app, "ses_1", "--json"],
            "SESSION",
        ),
        (&["app", "--json"], "subcommand"),
        (&["nothing", "--json"], "nothing"),
        (
            &["app", "create", "x", "--access-ttl", "1e3", "--json"],
            "--access-ttl",
        ),
    ] {
        let (error, prose) = misuse(data, arguments).await;
        assert_eq!(error["code"], "invalid_argument", "{arguments:?}");
        let detail = error["detail"].as_str().unwrap();
        assert!(detail.contains(about), "{arguments:?}: {detail}");
        assert!(
            !detail.contains('\n') && !detail.starts_with("error"),
            "{detail}"
        );
        assert!(prose.contains("--help"), "{arguments:?}: {prose}");
    }
    // People who did not ask for it get none; behind `--` it is no flag.
    for arguments in [
        &["app", "create"][..],
        &["app", "create", "--env", "x", "--", "--json"],
    ] {
        let output = process::chatsdk(binary(), data, &[])
            .args(arguments)
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    // Help is help.
    let help = process::chatsdk(binary(), data, &["--help", "--json"])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success());
    assert!(text.starts_with("Self-hosted chat"), "{text}");
}

/// The pages for people are lines for programs where these ask for it.
#[tokio::test(flavor = "multi_thread")]
async fn reference_pages_are_json_lines_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let lines = async |arguments: &[&str]| process::run(binary(), dir.path(), arguments).await;
    let document = lines(&["openapi"]).await;
    assert_eq!(document.len(), 1);
    assert!(document[0]["openapi"].as_str().unwrap().starts_with("3.1"));
    let errors = lines(&["openapi", "--errors"]).await;
    let expired = errors.iter().find(|error| error["code"] == "token_expired");
    assert_eq!(expired.unwrap()["status"], 401);
    let settings = lines(&["config", "--reference"]).await;
    let listen = settings.iter().find(|setting| setting["key"] == "listen");
    assert_eq!(listen.unwrap()["env"], "CHATSDK_LISTEN");
    let metrics = lines(&["openapi", "--metrics"]).await;
    assert!(
        metrics
            .iter()
            .all(|metric| metric["metric"].is_string() && metric["kind"].is_string())
    );
    assert!(!metrics.is_empty());
}

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

/// Settings may change under the lifetimes of an app; doctor says so before its backend is refused.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_apps_that_nothing_can_be_minted_for() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let create = ["app", "create", "short", "--access-ttl", "2m"];
    let app = process::run(binary(), data, &create).await[0].clone();
    process::run(binary(), data, &["app", "create", "plain"]).await;
    let apps = async |least: &str| {
        let output = process::chatsdk(binary(), data, &["doctor", "--json"])
            .env("CHATSDK_TOKENS_MIN_ACCESS_TTL", least)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut findings = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let finding = findings.find(|finding| finding["check"] == "apps").unwrap();
        (
            finding["ok"].as_bool().unwrap(),
            finding["detail"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(apps("1m").await, (true, "2 of them".to_owned()));
    let (good, says) = apps("5m").await;
    assert!(
        !good && says.contains(app["appId"].as_str().unwrap()),
        "{says}"
    );
    assert!(
        says.contains("access lifetime") && says.matches("app_").count() == 1,
        "{says}"
    );
}
