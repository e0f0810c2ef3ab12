//! What operators get wrong.

use chatsdk_testkit::{Database, TestServer};
use serde_json::json;

use super::{get, post};

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
        let reply = server.operator("GET", &format!("/admin/connections?{query}"));
        assert_eq!(reply.send().await.outcome(), "400 invalid_field", "{query}");
    }
    for query in ["user=%FF", "user=a&user=b"] {
        let reply = server.operator("GET", &format!("/admin/connections?{query}"));
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
