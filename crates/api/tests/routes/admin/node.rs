use serde_json::json;

use super::{get, server};
use crate::support::OPERATOR;

#[tokio::test]
async fn the_node_says_how_it_is() {
    let (server, _) = server(3).await;
    assert_eq!(
        get(&server, "/admin/node").await.ok(),
        json!({
            "version": "1.2.3", "startedAt": 7, "uptimeMs": 8, "draining": false, "sockets": 4,
            "connections": 3, "subscriptions": 3, "topics": 2, "publications": 1,
        })
    );
}

#[tokio::test]
async fn only_the_operator_token_opens_it() {
    let (server, _) = server(0).await;
    let call =
        async |headers: &[(&str, &str)]| server.send("GET", "/admin/node", headers, b"").await;
    let missing = call(&[]).await;
    missing.problem("operator_token_missing");
    assert_eq!(
        missing.header("www-authenticate"),
        Some("Bearer realm=\"chatsdk\"")
    );
    call(&[("Authorization", "Basic YTpi")])
        .await
        .problem("operator_token_missing");
    let invalid = call(&[("Authorization", "Bearer x")]).await;
    invalid.problem("operator_token_invalid");
    assert_eq!(
        invalid.header("www-authenticate"),
        Some("Bearer realm=\"chatsdk\", error=\"invalid_token\"")
    );
    let key = format!("Bearer {}", server.key);
    let detail = call(&[("Authorization", &key)]).await;
    let detail = detail.problem("operator_token_invalid")["detail"].to_string();
    assert!(
        detail.contains("API key") && !detail.contains(&server.key),
        "{detail}"
    );
    let right = format!("Bearer {OPERATOR}");
    call(&[("Authorization", &right), ("Authorization", &right)])
        .await
        .problem("invalid_request");
    for sign in ["Origin", "Sec-Fetch-Site", "Sec-Fetch-Dest"] {
        call(&[("Authorization", &right), (sign, "x")])
            .await
            .problem("browser_forbidden");
    }
    call(&[("Authorization", &right)]).await.ok();
}
