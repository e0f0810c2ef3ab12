use serde_json::json;

use crate::support::{Server, With};

async fn dev() -> Server {
    Server::with(With {
        dev: true,
        ..With::default()
    })
    .await
}

#[tokio::test]
async fn there_is_nothing_unless_it_is_asked_for() {
    let server = Server::start().await;
    server
        .post("/dev/token", &[], r#"{"userId":"ann"}"#)
        .await
        .problem("not_found");
    for path in ["/dev", "/dev/", "/dev/config", "/dev/assets/x.js"] {
        server
            .send("GET", path, &[], b"")
            .await
            .problem("not_found");
    }
}

#[tokio::test]
async fn a_page_of_this_machine_gets_tokens() {
    let server = dev().await;
    let tokens = server
        .post(
            "/dev/token",
            &[("Origin", "http://localhost:5173")],
            r#"{"userId":"ann","accessTokenExpiry":"2m"}"#,
        )
        .await
        .ok();
    assert_eq!(tokens["expiresIn"], 120);
    server.bearer("GET", "/auth/sessions", &tokens).await.ok();
    let config = server.send("GET", "/dev/config", &[], b"").await.ok();
    assert_eq!(config["apiUrl"], "http://localhost:5500");
    assert_eq!(config["wsUrl"], "ws://localhost:8001/connection/websocket");
    assert_eq!(
        config["tokens"],
        json!({ "accessTokenExpiry": "1h", "minAccessTokenExpiry": "1m", "refreshTokenExpiry": "7d" })
    );
}

#[tokio::test]
async fn nobody_else_does() {
    let server = dev().await;
    let body = r#"{"userId":"ann"}"#;
    server
        .post("/dev/token", &[("Origin", "https://evil.example")], body)
        .await
        .problem("origin_forbidden");
    server
        .post("/dev/token", &[("Host", "evil.example:5500")], body)
        .await
        .problem("origin_forbidden");
    server
        .send("GET", "/dev/config", &[("Host", "evil.example")], b"")
        .await
        .problem("origin_forbidden");
    server
        .send("GET", "/dev/", &[("Host", "evil.example")], b"")
        .await
        .problem("origin_forbidden");
}

#[tokio::test]
async fn the_page_or_how_to_build_it() {
    let server = dev().await;
    let page = server.send("GET", "/dev/", &[], b"").await;
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.header("content-security-policy").is_some());
    match page.status {
        200 => {}
        404 => assert!(page.text.contains("npm ci &amp;&amp; npm run build")),
        other => panic!("{other}"),
    }
    assert_eq!(
        server
            .send("GET", "/dev", &[], b"")
            .await
            .header("location"),
        Some("/dev/")
    );
    for path in [
        "/dev/assets/none.js",
        "/dev/assets/../index.html",
        "/dev/assets/..%2F..%2Fpackage.json",
        "/dev/assets/.hidden",
        "/dev/assets/a//b",
    ] {
        server
            .send("GET", path, &[], b"")
            .await
            .problem("not_found");
    }
}
