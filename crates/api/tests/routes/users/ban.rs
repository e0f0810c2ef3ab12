use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_ban_holds_until_it_is_lifted() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    for _ in 0..2 {
        server
            .backend(
                "POST",
                "/auth/users/ann/ban",
                Some(json!({ "reason": "spam", "later": true })),
            )
            .await
            .ok();
    }
    server
        .refresh(&tokens["refreshToken"])
        .await
        .problem("user_banned");
    for _ in 0..2 {
        server
            .backend("DELETE", "/auth/users/ann/ban", None)
            .await
            .ok();
    }
    server.refresh(&tokens["refreshToken"]).await.ok();
    server
        .backend("DELETE", "/auth/users/nobody/ban", None)
        .await
        .ok();
}

#[tokio::test]
async fn reasons() {
    let server = Server::start().await;
    for bad in [json!("x".repeat(257)), json!("a\nb"), json!(1)] {
        server
            .backend(
                "POST",
                "/auth/users/ann/ban",
                Some(json!({ "reason": bad })),
            )
            .await
            .about("reason");
    }
    for good in [json!(null), json!(""), json!("x".repeat(256))] {
        server
            .backend(
                "POST",
                "/auth/users/ann/ban",
                Some(json!({ "reason": good })),
            )
            .await
            .ok();
    }
}
