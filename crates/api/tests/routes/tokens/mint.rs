use chatsdk_auth::Peer;
use chatsdk_types::Scope;
use serde_json::{Value, json};

use crate::support::{BEGIN, Server, With};

#[tokio::test]
async fn the_specifications_request_is_answered_as_documented() {
    let server = Server::start().await;
    let reply = server
        .mint(json!({ "userId": "test-user-123", "name": "Test User", "avatar": "https://example.com/avatar.jpg" }))
        .await;
    let tokens = reply.ok();
    assert!(tokens["accessToken"].as_str().unwrap().starts_with("eyJ"));
    assert!(tokens["refreshToken"].as_str().unwrap().starts_with("eyJ"));
    assert_eq!(tokens["expiresAt"], BEGIN + 3_600_000);
    assert_eq!(tokens["expiresIn"], 3600);
    assert_eq!(tokens["refreshExpiresAt"], BEGIN + 7 * 86_400_000);
    assert_eq!(tokens["serverTime"], BEGIN);
    assert!(tokens["sessionId"].as_str().unwrap().starts_with("ses_"));
    assert_eq!(
        tokens["user"],
        json!({ "id": "test-user-123", "name": "Test User", "avatar": "https://example.com/avatar.jpg", "custom": null })
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("pragma"), Some("no-cache"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("access-control-allow-origin"), None);
    assert!(reply.header("x-request-id").is_some());
}

#[tokio::test]
async fn keys_that_are_no_keys() {
    let server = Server::start().await;
    let body = r#"{"userId":"ann"}"#;
    let post = |headers: Vec<(&'static str, String)>| {
        let server = &server;
        async move {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            server.post("/auth/tokens", &headers, body).await
        }
    };
    let key = server.key.clone();
    let with_key = |key: &str| vec![("X-API-Key", key.to_owned())];

    post(vec![]).await.problem("api_key_missing");
    post(with_key("")).await.problem("api_key_missing");
    let mut flipped = key.clone();
    let last = flipped.pop().unwrap();
    flipped.push(if last == 'A' { 'B' } else { 'A' });
    for bad in [
        "x",
        &key[..key.len() - 1],
        &key.to_lowercase(),
        &flipped,
        &key.replace("_test_", "_live_"),
        "csk_live_\u{e9}",
    ] {
        let document = post(with_key(bad)).await.problem("api_key_invalid");
        assert!(
            document["detail"]
                .as_str()
                .unwrap()
                .starts_with("API key invalid")
        );
        assert!(
            !document.to_string().contains(bad) || bad == "x",
            "it is not repeated"
        );
    }
    post(vec![("X-API-Key", key.clone()), ("X-API-Key", key.clone())])
        .await
        .problem("invalid_request");
    post(with_key(&format!("{key}, {key}")))
        .await
        .problem("invalid_request");
    post(vec![("Authorization", format!("Bearer {key}"))])
        .await
        .problem("api_key_missing");
    post(vec![("Cookie", format!("X-API-Key={key}"))])
        .await
        .problem("api_key_missing");

    let in_query = server
        .post(
            &format!("/auth/tokens?apiKey={key}"),
            &[("X-API-Key", &key)],
            body,
        )
        .await;
    assert!(
        !in_query
            .problem("invalid_request")
            .to_string()
            .contains(&key)
    );
    let in_body = server.mint(json!({ "userId": "ann", "apiKey": key })).await;
    assert!(
        !in_body
            .problem("invalid_request")
            .to_string()
            .contains(&key)
    );

    post(with_key(&key)).await.ok();
}

#[tokio::test]
async fn browsers_get_nothing_and_may_read_nothing() {
    let server = Server::start().await;
    for (name, value) in [
        ("Origin", "https://app.example"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Dest", "empty"),
    ] {
        let reply = server
            .post(
                "/auth/tokens",
                &[("X-API-Key", &server.key), (name, value)],
                r#"{"userId":"ann"}"#,
            )
            .await;
        reply.problem("browser_forbidden");
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    let preflight = server
        .send(
            "OPTIONS",
            "/auth/tokens",
            &[
                ("Origin", "https://app.example"),
                ("Access-Control-Request-Method", "POST"),
            ],
            b"",
        )
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    assert_eq!(preflight.header("allow"), Some("POST"));
    server
        .post(
            "/auth/tokens",
            &[("X-API-Key", &server.key), ("Sec-Fetch-Mode", "cors")],
            r#"{"userId":"ann"}"#,
        )
        .await
        .ok();
}

#[tokio::test]
async fn keys_without_a_future_or_a_scope() {
    let server = Server::start().await;
    let (id, key) = server.key_with(&[Scope::SessionsRevoke]).await;
    let post = async || {
        server
            .post(
                "/auth/tokens",
                &[("X-API-Key", &key)],
                r#"{"userId":"ann"}"#,
            )
            .await
    };
    let document = post().await.problem("api_key_scope");
    assert!(document["detail"].as_str().unwrap().contains("tokens:mint"));
    assert!(
        server
            .auth
            .revoke_key(&id, false, "test", &Peer::default())
            .await
            .unwrap()
            .is_some_and(|done| done.revoked)
    );
    post().await.problem("api_key_revoked");
}

#[tokio::test]
async fn user_ids() {
    let server = Server::start().await;
    for (given, id) in [
        (json!("x".repeat(128)), "x".repeat(128)),
        (json!(42), "42".into()),
        (json!("👩‍👩‍👧"), "👩‍👩‍👧".into()),
        (json!("Ann"), "Ann".into()),
        (json!("ann"), "ann".into()),
    ] {
        assert_eq!(
            server.mint(json!({ "userId": given })).await.ok()["user"]["id"],
            id
        );
    }
    for bad in [
        json!(""),
        json!("  "),
        json!(" ann"),
        json!("x".repeat(129)),
        json!("a\0b"),
        json!("a\u{202e}b"),
        json!(1.5),
        json!(-1),
        json!(9_007_199_254_740_993_i64),
        json!(true),
        json!([]),
        json!({}),
        Value::Null,
    ] {
        server.mint(json!({ "userId": bad })).await.about("userId");
    }
    server.mint(json!({})).await.about("userId");
    for near in ["userID", "user_id", "UserId"] {
        let document = server.mint(json!({ near: "ann" })).await.about("userId");
        assert!(document["detail"].as_str().unwrap().contains("`userId`"));
        server
            .mint(json!({ near: "ann", "userId": "bob" }))
            .await
            .about("userId");
    }
}

#[tokio::test]
async fn what_is_said_of_a_person() {
    let server = Server::start().await;
    let user = async |body: Value| server.mint(body).await.ok()["user"].clone();
    assert_eq!(
        user(json!({ "userId": "ann" })).await["name"],
        "ann",
        "a new person is called by their id"
    );
    assert_eq!(
        user(json!({ "userId": "ann", "name": "Ann", "custom": { "role": "admin" } })).await["name"],
        "Ann"
    );
    let kept = user(json!({ "userId": "ann" })).await;
    assert_eq!(
        (&kept["name"], &kept["custom"]),
        (&json!("Ann"), &json!({ "role": "admin" })),
        "absent keeps"
    );
    let replaced = user(json!({ "userId": "ann", "name": null, "custom": { "team": 1 } })).await;
    assert_eq!(
        (&replaced["name"], &replaced["custom"]),
        (&Value::Null, &json!({ "team": 1 })),
        "null clears, custom is replaced"
    );

    for (field, bad) in [
        ("name", json!("x".repeat(129))),
        ("name", json!(1)),
        ("name", json!("a\nb")),
        ("avatar", json!("javascript:alert(1)")),
        ("avatar", json!("data:image/png,x")),
        ("avatar", json!("//host/a")),
        ("avatar", json!("http://example.com/a")),
        (
            "avatar",
            json!(format!("https://e.com/{}", "x".repeat(2040))),
        ),
        ("avatar", json!(7)),
        ("custom", json!([])),
        ("custom", json!("x")),
        ("custom", json!({ "a": "x".repeat(5000) })),
        ("custom", json!({ "__proto__": 1 })),
        (
            "custom",
            json!({"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}),
        ),
        ("deviceId", json!("")),
        ("deviceId", json!(1)),
        ("deviceName", json!("x".repeat(129))),
    ] {
        server
            .mint(json!({ "userId": "ann", field: bad }))
            .await
            .about(field);
    }
}

#[tokio::test]
async fn lifetimes() {
    let server = Server::start().await;
    let mint = async |access: Value, refresh: Value| {
        server.mint(json!({ "userId": "ann", "accessTokenExpiry": access, "refreshTokenExpiry": refresh })).await
    };
    for (access, seconds) in [
        (json!("1h"), 3600),
        (json!("90s"), 90),
        (json!(3600), 3600),
        (Value::Null, 3600),
    ] {
        assert_eq!(mint(access, Value::Null).await.ok()["expiresIn"], seconds);
    }
    assert_eq!(
        mint(Value::Null, json!("30d")).await.ok()["refreshExpiresAt"],
        BEGIN + 30 * 86_400_000
    );
    for bad in [
        json!("1 hour"),
        json!("0"),
        json!("-1h"),
        json!("999d"),
        json!("1e3h"),
        json!(0),
        json!(-5),
        json!(1.5),
        json!("59s"),
        json!("25h"),
        json!({}),
    ] {
        mint(bad, Value::Null).await.about("accessTokenExpiry");
    }
    mint(json!("7d"), json!("1h"))
        .await
        .about("accessTokenExpiry");
    mint(json!("2h"), json!("1h"))
        .await
        .about("accessTokenExpiry");
    mint(Value::Null, json!("91d"))
        .await
        .about("refreshTokenExpiry");
    let session = server
        .mint(json!({ "userId": "ann", "refreshTokenExpiry": "2d", "sessionExpiry": "1d" }))
        .await;
    session.about("refreshTokenExpiry");
    server
        .mint(json!({ "userId": "ann", "access_token_expiry": "1h" }))
        .await
        .about("accessTokenExpiry");
}

#[tokio::test]
async fn a_device_finds_its_session_again() {
    let server = Server::start().await;
    let first = server
        .mint(json!({ "userId": "ann", "deviceId": "phone", "deviceName": "Ann's phone" }))
        .await
        .ok();
    let again = server
        .mint(json!({ "userId": "ann", "deviceId": "phone" }))
        .await
        .ok();
    let other = server
        .mint(json!({ "userId": "ann", "deviceId": "tablet" }))
        .await
        .ok();
    assert_eq!(first["sessionId"], again["sessionId"]);
    assert_ne!(first["sessionId"], other["sessionId"]);
}

#[tokio::test]
async fn the_banned_get_nothing() {
    let server = Server::start().await;
    server
        .backend("POST", "/auth/users/eve/ban", None)
        .await
        .ok();
    let reply = server.mint(json!({ "userId": "eve" })).await;
    reply.problem("user_banned");
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_person_is_minted_for_at_a_bounded_rate() {
    let server = Server::with(With {
        rate_limits: true,
        ..With::default()
    })
    .await;
    for _ in 0..30 {
        server.mint(json!({ "userId": "ann" })).await.ok();
    }
    let reply = server.mint(json!({ "userId": "ann" })).await;
    reply.problem("rate_limited");
    assert_eq!(reply.header("retry-after"), Some("2"));
    assert_eq!(reply.header("ratelimit-limit"), Some("30"));
    assert_eq!(reply.header("ratelimit-remaining"), Some("0"));
    server.mint(json!({ "userId": "bob" })).await.ok();
    server.clock.advance(2000);
    server.mint(json!({ "userId": "ann" })).await.ok();
}

#[tokio::test]
async fn guessing_keys_is_limited_and_locks_nobody_out() {
    let server = Server::with(With {
        rate_limits: true,
        ..With::default()
    })
    .await;
    let guess = async || {
        server
            .post(
                "/auth/tokens",
                &[("X-API-Key", "csk_live_guess")],
                r#"{"userId":"ann"}"#,
            )
            .await
    };
    for _ in 0..30 {
        guess().await.problem("api_key_invalid");
    }
    guess().await.problem("rate_limited");
    server.mint(json!({ "userId": "ann" })).await.ok();
}
