use serde_json::{Value, json};

use crate::support::Server;

async fn revoke(server: &Server, body: Value) -> crate::support::Reply {
    server.post("/auth/revoke", &[], &body.to_string()).await
}

#[tokio::test]
async fn this_device_and_no_other() {
    let server = Server::start().await;
    let (a, b) = (server.sign_in("ann").await, server.sign_in("ann").await);
    let reply = revoke(&server, json!({ "refreshToken": a["refreshToken"] })).await;
    assert_eq!(reply.ok(), json!({}));
    server
        .bearer("GET", "/auth/sessions", &a)
        .await
        .problem("token_revoked");
    server
        .refresh(&a["refreshToken"])
        .await
        .problem("session_revoked");
    server.refresh(&b["refreshToken"]).await.ok();
    revoke(&server, json!({ "refreshToken": a["refreshToken"] }))
        .await
        .ok();
}

#[tokio::test]
async fn an_old_token_signs_out_and_rubbish_is_answered_the_same() {
    let server = Server::start().await;
    let first = server.sign_in("ann").await;
    let next = server.refresh(&first["refreshToken"]).await.ok();
    server.clock.advance(8 * 86_400_000);
    revoke(
        &server,
        json!({ "refreshToken": first["refreshToken"], "scope": null }),
    )
    .await
    .about("scope");
    revoke(&server, json!({ "refreshToken": first["refreshToken"] }))
        .await
        .ok();
    server
        .refresh(&next["refreshToken"])
        .await
        .problem("session_revoked");
    for rubbish in ["x", "eyJhbGciOiJIUzI1NiJ9.e30.x", "a.b.c"] {
        revoke(&server, json!({ "refreshToken": rubbish }))
            .await
            .ok();
    }
}

#[tokio::test]
async fn other_devices_take_a_live_proof() {
    let server = Server::start().await;
    let (a, b, c) = (
        server.sign_in("ann").await,
        server.sign_in("ann").await,
        server.sign_in("ann").await,
    );
    let bob = server.sign_in("bob").await;
    revoke(&server, json!({ "refreshToken": "x", "scope": "others" }))
        .await
        .problem("refresh_token_invalid");
    revoke(
        &server,
        json!({ "refreshToken": a["refreshToken"], "scope": "others" }),
    )
    .await
    .ok();
    server
        .refresh(&b["refreshToken"])
        .await
        .problem("session_revoked");
    server
        .refresh(&c["refreshToken"])
        .await
        .problem("session_revoked");
    let bearer = format!("Bearer {}", a["accessToken"].as_str().unwrap());
    server
        .post(
            "/auth/revoke",
            &[("Authorization", &bearer)],
            r#"{"scope":"user"}"#,
        )
        .await
        .ok();
    server
        .refresh(&a["refreshToken"])
        .await
        .problem("session_revoked");
    server.refresh(&bob["refreshToken"]).await.ok();
}

#[tokio::test]
async fn an_access_token_is_a_proof_without_a_body() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    let bearer = format!("bearer {}", tokens["accessToken"].as_str().unwrap());
    server
        .send("POST", "/auth/revoke", &[("Authorization", &bearer)], b"")
        .await
        .ok();
    // A logout whose reply was lost is sent again, and is answered the same.
    server
        .send("POST", "/auth/revoke", &[("Authorization", &bearer)], b"")
        .await
        .ok();
    server
        .send("GET", "/auth/sessions", &[("Authorization", &bearer)], b"")
        .await
        .problem("token_revoked");
}

#[tokio::test]
async fn no_proof_and_bad_input() {
    let server = Server::start().await;
    server
        .send("POST", "/auth/revoke", &[], b"")
        .await
        .problem("invalid_request");
    revoke(&server, json!({})).await.problem("invalid_request");
    revoke(&server, json!({ "refreshToken": 1 }))
        .await
        .about("refreshToken");
    revoke(&server, json!({ "refreshToken": "" }))
        .await
        .about("refreshToken");
    revoke(
        &server,
        json!({ "refreshToken": "x", "scope": "everything" }),
    )
    .await
    .about("scope");
    server
        .send(
            "POST",
            "/auth/revoke",
            &[("Content-Type", "text/plain")],
            b"{}",
        )
        .await
        .problem("unsupported_media_type");
    let tokens = server.sign_in("ann").await;
    let body = json!({ "refreshToken": tokens["refreshToken"] }).to_string();
    server
        .post("/auth/revoke", &[("Authorization", "Bearer junk")], &body)
        .await
        .ok();
}
