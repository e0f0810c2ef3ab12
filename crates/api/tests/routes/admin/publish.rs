use serde_json::json;

use super::{post, server};

#[tokio::test]
async fn data_goes_as_it_was_sent() {
    let (server, node) = server(0).await;
    let body = json!({ "topic": "custom:a", "data": { "n": 1.0 }, "idempotencyKey": "k" });
    assert_eq!(
        post(&server, "/admin/publish", body).await.ok(),
        json!({ "offset": 1, "epoch": "abc", "subscribers": 2 })
    );
    assert_eq!(node.asked(), ["custom:a {\"n\":1.0} Some(\"k\")"]);
    for data in [json!("x"), json!(1), json!(false), json!([])] {
        let body = json!({ "topic": "custom:a", "data": data, "app": server.app.as_str() });
        post(&server, "/admin/publish", body).await.ok();
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_told() {
    let (server, node) = server(0).await;
    for (body, field) in [
        (json!({ "data": 1 }), "topic"),
        (json!({ "topic": "", "data": 1 }), "topic"),
        (json!({ "topic": 1, "data": 1 }), "topic"),
        (json!({ "topic": "chat:1", "data": 1 }), "topic"),
        (json!({ "topic": "custom:a" }), "data"),
        (json!({ "topic": "custom:a", "data": null }), "data"),
        (json!({ "topic": "custom:deep", "data": 1 }), "data"),
        (json!({ "topic": "custom:a", "data": 1, "app": 1 }), "app"),
        (
            json!({ "topic": "custom:a", "data": 1, "idempotencyKey": "a b" }),
            "idempotencyKey",
        ),
        (
            json!({ "topic": "custom:a", "data": 1, "idempotency_key": "a" }),
            "idempotencyKey",
        ),
        (
            json!({ "topic": "custom:a", "data": 1, "idempotencyKey": "x".repeat(129) }),
            "idempotencyKey",
        ),
    ] {
        post(&server, "/admin/publish", body).await.about(field);
    }
    let nowhere = json!({
        "topic": "custom:a", "data": 1, "app": "app_00000000000000000000000000",
    });
    post(&server, "/admin/publish", nowhere)
        .await
        .problem("app_not_found");
    assert!(node.asked().is_empty());
}
