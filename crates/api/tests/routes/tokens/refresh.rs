use std::collections::HashSet;

use serde_json::json;

use crate::support::{BEGIN, Server, With};

#[tokio::test]
async fn a_pair_is_exchanged_for_the_next() {
    let server = Server::start().await;
    let first = server.sign_in("ann").await;
    server.clock.advance(3_300_000);
    let reply = server.refresh(&first["refreshToken"]).await;
    let next = reply.ok();
    assert_ne!(next["accessToken"], first["accessToken"]);
    assert_ne!(next["refreshToken"], first["refreshToken"]);
    assert_eq!(next["sessionId"], first["sessionId"]);
    assert_eq!(next["expiresAt"], BEGIN + 3_300_000 + 3_600_000);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    server.bearer("GET", "/auth/sessions", &first).await.ok();

    server.clock.advance(59_000);
    let again = server.refresh(&first["refreshToken"]).await.ok();
    assert_eq!(
        again["refreshToken"], next["refreshToken"],
        "the same successor within a minute"
    );
}

#[tokio::test]
async fn a_hundred_at_once_are_one() {
    let server = std::sync::Arc::new(Server::start().await);
    let first = server.sign_in("ann").await;
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (server, token) = (server.clone(), first["refreshToken"].clone());
            tokio::spawn(
                async move { server.refresh(&token).await.ok()["refreshToken"].to_string() },
            )
        })
        .collect();
    let mut successors = HashSet::new();
    for task in tasks {
        successors.insert(task.await.unwrap());
    }
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn a_token_that_comes_back_too_late_ends_the_session() {
    let server = Server::start().await;
    let first = server.sign_in("ann").await;
    let next = server.refresh(&first["refreshToken"]).await.ok();
    server.bearer("GET", "/auth/sessions", &next).await.ok();
    server.clock.advance(61_000);
    server
        .refresh(&first["refreshToken"])
        .await
        .problem("refresh_token_reused");
    server
        .refresh(&next["refreshToken"])
        .await
        .problem("session_revoked");
    server
        .bearer("GET", "/auth/sessions", &next)
        .await
        .problem("token_revoked");
}

#[tokio::test]
async fn what_cannot_be_a_token_is_no_reason_to_sign_anybody_out() {
    let server = Server::start().await;
    for body in [
        r#"{"refreshToken":null}"#,
        "{}",
        r#"{"refreshToken":1}"#,
        r#"{"refreshToken":[]}"#,
        r#"{"refreshToken":""}"#,
    ] {
        server
            .post("/auth/refresh", &[], body)
            .await
            .about("refreshToken");
    }
    server
        .post("/auth/refresh", &[], r#"{"refresh_token":"x"}"#)
        .await
        .about("refreshToken");
    server
        .post("/auth/refresh", &[], "[]")
        .await
        .problem("invalid_request");
    let form = server
        .send(
            "POST",
            "/auth/refresh",
            &[("Content-Type", "application/x-www-form-urlencoded")],
            b"refreshToken=x",
        )
        .await;
    form.problem("unsupported_media_type");
    server
        .send("POST", "/auth/refresh", &[], b"")
        .await
        .problem("unsupported_media_type");
    let huge = format!(r#"{{"refreshToken":"{}"}}"#, "x".repeat(1_000_000));
    server
        .post("/auth/refresh", &[], &huge)
        .await
        .problem("payload_too_large");

    let tokens = server.sign_in("ann").await;
    server
        .refresh(&json!("x"))
        .await
        .problem("refresh_token_invalid");
    server
        .refresh(&tokens["accessToken"])
        .await
        .problem("refresh_token_invalid");
    server.refresh(&tokens["refreshToken"]).await.ok();
}

#[tokio::test]
async fn a_stray_authorization_header_is_not_read() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    let body = json!({ "refreshToken": tokens["refreshToken"] }).to_string();
    let headers = [
        ("Authorization", "Bearer junk"),
        ("Authorization", "Basic junk"),
        ("X-API-Key", "junk"),
        ("Origin", "https://app.example"),
    ];
    server.post("/auth/refresh", &headers, &body).await.ok();
}

#[tokio::test]
async fn a_late_request_is_told_the_time() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    let send = async |sent_at: serde_json::Value| {
        let body = json!({ "refreshToken": tokens["refreshToken"], "sentAt": sent_at });
        server.post("/auth/refresh", &[], &body.to_string()).await
    };
    for sent_at in [BEGIN - 15_001, BEGIN + 5_001, 0] {
        let reply = send(json!(sent_at)).await;
        assert_eq!(reply.problem("request_stale")["serverTime"], BEGIN);
        assert_eq!(reply.status, 408);
    }
    for bad in [json!("now"), json!(1.5), json!(true), json!(i64::MAX)] {
        send(bad).await.about("sentAt");
    }
    send(json!(BEGIN - 15_000)).await.ok();
    send(serde_json::Value::Null).await.ok();
}

#[tokio::test]
async fn sessions_end_in_time() {
    let server = Server::start().await;
    let tokens = server
        .mint(json!({ "userId": "ann", "refreshTokenExpiry": "2h" }))
        .await
        .ok();
    server.clock.advance(7_200_001);
    server
        .refresh(&tokens["refreshToken"])
        .await
        .problem("refresh_token_expired");
}

#[tokio::test]
async fn a_session_is_refreshed_at_a_bounded_rate() {
    let server = Server::with(With {
        rate_limits: true,
        ..With::default()
    })
    .await;
    let tokens = server.sign_in("ann").await;
    let other = server.sign_in("bob").await;
    let mut refused = None;
    for done in 0..130 {
        let reply = server.refresh(&tokens["refreshToken"]).await;
        if reply.status == 429 {
            reply.problem("rate_limited");
            refused = Some(done);
            break;
        }
        reply.ok();
    }
    assert_eq!(refused, Some(120));
    server.refresh(&other["refreshToken"]).await.ok();
}

#[tokio::test]
async fn preflights_are_answered() {
    let server = Server::start().await;
    let reply = server
        .send(
            "OPTIONS",
            "/auth/refresh",
            &[
                ("Origin", "https://app.example"),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "content-type"),
            ],
            b"",
        )
        .await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert!(
        reply
            .header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
    assert!(
        reply
            .header("access-control-allow-headers")
            .unwrap()
            .contains("content-type")
    );
}
