use std::sync::atomic::Ordering;

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn health_readiness_and_metrics() {
    let server = Server::start().await;
    assert_eq!(
        server.send("GET", "/healthz", &[], b"").await.ok(),
        json!({ "status": "ok" })
    );
    assert_eq!(
        server.send("GET", "/readyz", &[], b"").await.ok(),
        json!({ "status": "ok" })
    );
    let metrics = server.send("GET", "/metrics", &[], b"").await;
    assert_eq!((metrics.status, metrics.text.as_str()), (200, "up 1\n"));
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    server.draining.store(true, Ordering::Release);
    server
        .send("GET", "/readyz", &[], b"")
        .await
        .problem("unavailable");
    server.send("GET", "/healthz", &[], b"").await.ok();
}

#[tokio::test]
async fn without_a_database_nobody_is_signed_out() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    server.auth.close().await.unwrap();
    server
        .send("GET", "/readyz", &[], b"")
        .await
        .problem("unavailable");
    server
        .refresh(&tokens["refreshToken"])
        .await
        .problem("unavailable");
    server
        .mint(json!({ "userId": "ann" }))
        .await
        .problem("unavailable");
    let revoke = json!({ "refreshToken": tokens["refreshToken"] }).to_string();
    server
        .post("/auth/revoke", &[], &revoke)
        .await
        .problem("unavailable");
    server
        .bearer("GET", "/auth/sessions", &tokens)
        .await
        .problem("unavailable");
    server.send("GET", "/healthz", &[], b"").await.ok();
}

#[tokio::test]
async fn public_keys_may_be_kept() {
    let server = Server::start().await;
    let reply = server.send("GET", "/.well-known/jwks.json", &[], b"").await;
    let keys = reply.ok();
    assert_eq!(reply.header("cache-control"), Some("public, max-age=600"));
    assert_eq!(reply.header("pragma"), None);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let key = &keys["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (
            &json!("OKP"),
            &json!("Ed25519"),
            &json!("EdDSA"),
            &json!("sig")
        )
    );
    assert!(key.get("d").is_none(), "no private member");
}

#[tokio::test]
async fn the_reference_is_served() {
    let server = Server::start().await;
    let document = server.send("GET", "/openapi.json", &[], b"").await;
    assert_eq!(document.text, chatsdk_api::openapi());
    for (path, kind) in [
        ("/docs", "text/html"),
        ("/docs/errors", "text/html"),
        ("/docs/style.css", "text/css"),
    ] {
        let page = server.send("GET", path, &[], b"").await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").unwrap().starts_with(kind));
        if kind == "text/html" {
            assert!(
                page.header("content-security-policy")
                    .unwrap()
                    .contains("default-src 'none'")
            );
            assert_eq!(page.header("x-frame-options"), Some("DENY"));
            assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        }
    }
}
