use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn all_but_one() {
    let server = Server::start().await;
    let (a, b) = (server.sign_in("ann").await, server.sign_in("ann").await);
    server
        .backend(
            "POST",
            "/auth/users/ann/revoke",
            Some(json!({ "except": a["sessionId"] })),
        )
        .await
        .ok();
    server
        .refresh(&b["refreshToken"])
        .await
        .problem("session_revoked");
    server.refresh(&a["refreshToken"]).await.ok();
    server
        .backend("POST", "/auth/users/ann/revoke", None)
        .await
        .ok();
    server
        .refresh(&a["refreshToken"])
        .await
        .problem("session_revoked");
    let again = server.sign_in("ann").await;
    server.refresh(&again["refreshToken"]).await.ok();
}

#[tokio::test]
async fn what_stays_is_a_session() {
    let server = Server::start().await;
    for bad in [json!("x"), json!(1), json!({})] {
        server
            .backend(
                "POST",
                "/auth/users/ann/revoke",
                Some(json!({ "except": bad })),
            )
            .await
            .about("except");
    }
    server
        .backend(
            "POST",
            "/auth/users/ann/revoke",
            Some(json!({ "except": null })),
        )
        .await
        .ok();
    server
        .backend("POST", "/auth/users/ann/revoke", Some(json!([])))
        .await
        .problem("invalid_request");
}
