//! Whom the routes open to.

use chatsdk_testkit::{Database, TestServer, operator_token};

use super::get;

#[tokio::test(flavor = "multi_thread")]
async fn the_token_opens_admin_and_nothing_else_does() {
    let settings = [("rate_limits", "on")];
    let server = TestServer::with(Database::Sqlite, &settings).await;
    let ann = server.backend.sign_in("ann").await;
    let right = operator_token(server.dir.path());
    let call = |header: Option<&str>| {
        let request = server.request("GET", "/admin/node");
        let request = match header {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        async move { request.send().await }
    };
    let reply = call(None).await;
    assert_eq!(reply.outcome(), "401 operator_token_missing");
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer realm=\"chatsdk\"")
    );
    for wrong in [&ann.access, &server.backend.key, &right[1..], "x"] {
        let reply = call(Some(&format!("Bearer {wrong}"))).await;
        assert_eq!(reply.outcome(), "401 operator_token_invalid");
    }
    let with_key = server.backend.request("GET", "/admin/node").send().await;
    assert_eq!(with_key.outcome(), "401 operator_token_missing");
    for sign in ["origin", "sec-fetch-site", "sec-fetch-dest"] {
        let reply = server
            .operator("GET", "/admin/node")
            .header(sign, "x")
            .send()
            .await;
        assert_eq!(reply.outcome(), "403 browser_forbidden");
    }
    let in_address = format!("/admin/node?token={right}");
    let reply = server.operator("GET", &in_address).send().await;
    assert_eq!(reply.outcome(), "400 invalid_request");
    let preflight = server
        .request("OPTIONS", "/admin/node")
        .header("origin", "https://app.example")
        .send()
        .await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);

    // Guessing is limited; whoever knows the token is not.
    let mut refused = 0;
    while call(Some("Bearer guess")).await.status == 401 {
        refused += 1;
        assert!(refused < 1000, "guesses are not limited");
    }
    let limited = call(Some("Bearer guess")).await;
    assert_eq!(limited.outcome(), "429 rate_limited");
    assert!(limited.header("retry-after").is_some());
    get(&server, "/admin/node").await;

    // Replacing the file rotates the token.
    let new = "n".repeat(48);
    std::fs::write(server.dir.path().join("operator-token"), &new).unwrap();
    assert_ne!(call(Some(&format!("Bearer {right}"))).await.status, 200);
    assert_eq!(call(Some(&format!("Bearer {new}"))).await.status, 200);
}
