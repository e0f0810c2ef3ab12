//! Rate limits: who meets them, who does not, and what they are told.

use chatsdk_testkit::{Database, Reply, TestServer};
use serde_json::json;

async fn server() -> TestServer {
    TestServer::with(Database::Sqlite, &[("rate_limits", "on")]).await
}

#[track_caller]
fn limited(reply: &Reply) {
    assert_eq!(reply.outcome(), "429 rate_limited");
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    let millis = reply.json()["retryAfterMs"].as_u64().unwrap();
    assert!(
        seconds >= 1 && seconds == millis.div_ceil(1000),
        "{seconds} s, {millis} ms"
    );
    assert!(
        reply.header("ratelimit-limit").is_some()
            && reply.header("ratelimit-remaining") == Some("0"),
        "{:?}",
        reply.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_refresh_often_but_not_without_end() {
    let server = server().await;
    let (ann, bob) = (
        server.backend.sign_in("ann").await,
        server.backend.sign_in("bob").await,
    );
    let mut answered = 0;
    let mut last = None;
    for _ in 0..130 {
        let reply = ann.present(&ann.refresh).await;
        if reply.status == 200 {
            answered += 1;
        } else {
            last = Some(reply);
        }
    }
    assert_eq!(answered, 120);
    limited(&last.unwrap());
    assert_eq!(
        bob.refresh_standing().await,
        "200",
        "the same address, another session"
    );
    server.clock.advance(60_000);
    assert_eq!(ann.refresh_standing().await, "200", "a minute is one more");
}

#[tokio::test(flavor = "multi_thread")]
async fn mints_are_limited_by_user() {
    let server = server().await;
    for _ in 0..30 {
        server.backend.sign_in("ann").await;
    }
    limited(&server.backend.mint(&json!({ "userId": "ann" })).await);
    server.backend.sign_in("bob").await;
    server.clock.advance(2_000);
    server.backend.sign_in("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_fails_is_limited_by_address() {
    let server = server().await;
    let ann = server.backend.sign_in("ann").await;
    for _ in 0..30 {
        assert_eq!(
            ann.present("forged").await.outcome(),
            "401 refresh_token_invalid"
        );
    }
    limited(&ann.present("forged").await);
    let wrong = chatsdk_testkit::Backend {
        key: "csk_live_nonsense".into(),
        ..server.backend.clone()
    };
    limited(&wrong.mint(&json!({ "userId": "x" })).await);
    assert_eq!(
        ann.refresh_standing().await,
        "200",
        "an office behind one address is not locked out"
    );
    server.backend.sign_in("bob").await;
}

/// What a proxy that nobody trusts says of the caller's address is ignored.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_forwarding_header_buys_nothing() {
    let server = server().await;
    let forged = async |number: u32| {
        let request = server
            .request("POST", "/auth/refresh")
            .header("x-forwarded-for", &format!("203.0.113.{number}"));
        request
            .json(&json!({ "refreshToken": "forged" }))
            .send()
            .await
    };
    for number in 0..30 {
        assert_eq!(forged(number).await.status, 401);
    }
    limited(&forged(31).await);

    let behind = TestServer::with(
        Database::Sqlite,
        &[("rate_limits", "on"), ("trusted_proxies", "127.0.0.0/8")],
    )
    .await;
    for number in 0..60 {
        let request = behind.request("POST", "/auth/refresh").header(
            "x-forwarded-for",
            &format!("198.51.100.7, 203.0.113.{number}"),
        );
        assert_eq!(
            request
                .json(&json!({ "refreshToken": "forged" }))
                .send()
                .await
                .status,
            401,
            "each is another caller"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_can_be_lifted_for_load_tests() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    for _ in 0..200 {
        ann.present(&ann.refresh).await.ok();
    }
}
