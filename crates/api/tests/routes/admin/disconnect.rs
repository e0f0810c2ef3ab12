use serde_json::json;

use super::{client, post, server};

#[tokio::test]
async fn whose_connections_end_and_how() {
    let (server, node) = server(35).await;
    let session = "ses_01h455vb4pex5vsknk084sn02q";
    for (body, asked) in [
        (json!({ "user": "ann" }), "User(UserId(\"ann\")) 3503 None"),
        (json!({ "user": 42 }), "User(UserId(\"42\")) 3503 None"),
        (
            json!({ "session": session, "code": 3011, "reason": "moving" }),
            &format!("Session(SessionId(\"{session}\")) 3011 Some(\"moving\")"),
        ),
        (
            json!({ "everyone": true, "app": server.app.as_str() }),
            "Everyone 3503 None",
        ),
    ] {
        let reply = post(&server, "/admin/disconnect", body).await.ok();
        assert_eq!(reply["disconnected"], 2);
        assert_eq!(node.asked(), [asked]);
    }
    let reply = post(
        &server,
        "/admin/disconnect",
        json!({ "client": client(34), "code": 3001 }),
    );
    assert_eq!(
        reply.await.ok(),
        json!({ "disconnected": 1, "code": 3001, "reconnects": true })
    );
    assert_eq!(node.asked(), ["34 3001"]);
    let reply = post(
        &server,
        "/admin/disconnect",
        json!({ "client": client(35) }),
    );
    assert_eq!(
        reply.await.ok(),
        json!({ "disconnected": 0, "code": 3503, "reconnects": false })
    );
}

#[tokio::test]
async fn what_is_not_clear_is_not_done() {
    let (server, node) = server(35).await;
    for (body, field) in [
        (json!({}), "client"),
        (json!({ "app": server.app.as_str() }), "client"),
        (json!({ "user": "ann", "everyone": true }), "client"),
        (json!({ "client": "X" }), "client"),
        (json!({ "client": client(1).replace('-', "") }), "client"),
        (json!({ "client": null }), "client"),
        (json!({ "user": null }), "user"),
        (json!({ "everyone": false }), "everyone"),
        (json!({ "everyone": 1 }), "everyone"),
        (json!({ "session": "x" }), "session"),
        (json!({ "user": "ann", "app": "x" }), "app"),
        (json!({ "user": "ann", "code": 4000 }), "code"),
        (json!({ "user": "ann", "code": null }), "code"),
        (json!({ "user": "ann", "reason": "" }), "reason"),
        (json!({ "user": "ann", "reason": "ä" }), "reason"),
        (json!({ "USER": "ann", "everyone": true }), "user"),
    ] {
        post(&server, "/admin/disconnect", body).await.about(field);
    }
    let nowhere = json!({ "user": "ann", "app": "app_00000000000000000000000000" });
    post(&server, "/admin/disconnect", nowhere)
        .await
        .problem("app_not_found");
    assert!(node.asked().is_empty());
}
