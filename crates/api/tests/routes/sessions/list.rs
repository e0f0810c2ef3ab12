use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_person_sees_their_devices() {
    let server = Server::start().await;
    let here = server
        .mint(json!({ "userId": "ann", "deviceName": "laptop" }))
        .await
        .ok();
    server.clock.advance(1000);
    let there = server.sign_in("ann").await;
    server.sign_in("bob").await;
    let list = server.bearer("GET", "/auth/sessions", &here).await.ok();
    let ids: Vec<_> = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["id"].clone())
        .collect();
    assert_eq!(
        ids,
        [there["sessionId"].clone(), here["sessionId"].clone()],
        "newest first"
    );
    assert_eq!(list["sessions"][1]["current"], true);
    assert_eq!(list["sessions"][1]["deviceName"], "laptop");
    assert_eq!(list["sessions"][0]["current"], false);
}

#[tokio::test]
async fn bearers() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    let access = tokens["accessToken"].as_str().unwrap();
    let get = async |lines: &[&str]| {
        let headers: Vec<_> = lines.iter().map(|line| ("Authorization", *line)).collect();
        server.send("GET", "/auth/sessions", &headers, b"").await
    };
    for scheme in ["Bearer", "bearer", "BEARER"] {
        get(&[&format!("{scheme} {access}")]).await.ok();
    }
    let missing = get(&[]).await;
    missing.problem("token_missing");
    assert_eq!(
        missing.header("www-authenticate"),
        Some("Bearer realm=\"chatsdk\"")
    );
    get(&["Basic YTpi"]).await.problem("token_missing");
    get(&["Bearer"]).await.problem("token_missing");
    let good = format!("Bearer {access}");
    get(&[&good, &good]).await.problem("invalid_request");
    get(&[&format!("{good}, {good}")])
        .await
        .problem("invalid_request");
    for bad in [
        "Bearer x",
        "Bearer a.b.c",
        "Bearer Bearer x",
        &format!("Bearer {}", tokens["refreshToken"].as_str().unwrap()),
        &format!("Bearer {access}x"),
        &format!("Bearer {}", server.key),
    ] {
        let reply = get(&[bad]).await;
        reply.problem("token_invalid");
        assert_eq!(
            reply.header("www-authenticate"),
            Some("Bearer realm=\"chatsdk\", error=\"invalid_token\"")
        );
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some("*"),
            "its page may read why"
        );
    }
    let query = server
        .send(
            "GET",
            &format!("/auth/sessions?access_token={access}"),
            &[],
            b"",
        )
        .await;
    query.problem("token_missing");
    server.clock.advance(3_600_000);
    get(&[&good]).await.problem("token_expired");
}

#[tokio::test]
async fn heads_are_answered_without_a_body() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    let reply = server.bearer("HEAD", "/auth/sessions", &tokens).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_ban_is_said() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    server
        .backend(
            "POST",
            "/auth/users/ann/ban",
            Some(json!({ "reason": "spam" })),
        )
        .await
        .ok();
    server
        .bearer("GET", "/auth/sessions", &tokens)
        .await
        .problem("user_banned");
    server
        .refresh(&tokens["refreshToken"])
        .await
        .problem("user_banned");
    server
        .backend("DELETE", "/auth/users/ann/ban", None)
        .await
        .ok();
    server.bearer("GET", "/auth/sessions", &tokens).await.ok();
}
