//! Sockets and the life of their tokens.

use chatsdk_testkit::{Database, Event, Socket, TestServer};
use serde_json::{Value, json};

fn reply(event: &Event) -> &Value {
    let Event::Reply(reply) = event else {
        panic!("{event:?}")
    };
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_connects_on_both_ports_and_both_paths() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    for address in [server.api(), server.realtime()] {
        for path in [
            "/connection/websocket",
            "/ws",
            "/connection/websocket?cf_protocol_version=v2",
        ] {
            let mut socket = Socket::open(address, path, &[]).await.unwrap();
            let id = socket
                .command("connect", json!({ "token": ann.access, "name": "js" }))
                .await;
            let event = socket.event().await;
            let connected = &reply(&event)["connect"];
            assert_eq!(reply(&event)["id"], id);
            assert!(
                !connected["client"].as_str().unwrap().is_empty()
                    && !connected["version"].as_str().unwrap().is_empty()
            );
            assert_eq!(
                (connected["expires"].as_bool(), connected["pong"].as_bool()),
                (Some(true), Some(true))
            );
            assert!(
                (3590..=3600).contains(&connected["ttl"].as_i64().unwrap()),
                "{connected}"
            );
        }
    }
    let healthy = chatsdk_testkit::http::request(server.realtime(), "GET", "/healthz")
        .send()
        .await;
    assert_eq!(healthy.status, 200, "both listeners serve every route");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_is_109_and_bad_is_3500() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    server.clock.advance(3_600_000);
    let (_, event) = Socket::connect(server.realtime(), &ann.access).await;
    assert_eq!(reply(&event)["error"]["code"], 109);
    for bad in ["garbage", &ann.refresh, &format!("{}x", ann.access)] {
        let (_, event) = Socket::connect(server.realtime(), bad).await;
        assert!(matches!(event, Event::Closed(3500, _)), "{event:?}");
    }
    assert_eq!(
        ann.refresh_standing().await,
        "200",
        "a confused token ends nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_does_not_connect() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    server
        .backend
        .request("DELETE", "/auth/users/ann/sessions")
        .send()
        .await
        .ok();
    let (_, event) = Socket::connect(server.realtime(), &ann.access).await;
    assert_eq!(event, Event::Closed(3503, "token_revoked".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_refreshed_in_place_and_survives_its_first_token() {
    let server =
        TestServer::with(Database::Sqlite, &[("realtime.expired_close_delay", "1s")]).await;
    let ann = server
        .backend
        .sign_in_with(&json!({ "userId": "ann", "accessTokenExpiry": "2s" }))
        .await;
    let mut kept = Socket::connected(server.realtime(), &ann.access).await;
    let mut left = Socket::connected(server.realtime(), &ann.access).await;
    let longer = server
        .backend
        .sign_in_with(&json!({ "userId": "ann", "accessTokenExpiry": "1h" }))
        .await;
    let id = kept
        .command("refresh", json!({ "token": longer.access }))
        .await;
    let event = kept.event().await;
    assert_eq!(
        (&reply(&event)["id"], &reply(&event)["refresh"]["expires"]),
        (&json!(id), &json!(true))
    );
    server.clock.advance(4_000);
    server.server().engine().handle().recheck();
    assert_eq!(left.closed().await.0, 3005);
    kept.command("refresh", json!({ "token": longer.access }))
        .await;
    assert!(
        reply(&kept.event().await)["refresh"].is_object(),
        "the other one is still there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_for_somebody_else_is_refused() {
    let server = TestServer::start(Database::Sqlite).await;
    let (ann, bob) = (
        server.backend.sign_in("ann").await,
        server.backend.sign_in("bob").await,
    );
    let mut socket = Socket::connected(server.realtime(), &ann.access).await;
    socket
        .command("refresh", json!({ "token": bob.access }))
        .await;
    assert_eq!(socket.closed().await.0, 3500);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_does_not_kick_a_socket() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let mut socket = Socket::connected(server.realtime(), &ann.access).await;
    let newer = ann.refreshed().await.refreshed().await;
    socket
        .command("refresh", json!({ "token": newer.access }))
        .await;
    assert!(reply(&socket.event().await)["refresh"].is_object());
}

/// A socket's connect proves the pair that its token came with, as a request does.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_proves_the_pair() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    server.clock.advance(1000);
    let newer = ann.refreshed().await;
    Socket::connected(server.realtime(), &newer.access).await;
    server.clock.advance(61_000);
    assert_eq!(ann.refresh_standing().await, "401 refresh_token_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_are_checked() {
    let server = TestServer::with(
        Database::Sqlite,
        &[("allowed_origins", "https://app.example.com")],
    )
    .await;
    let open = async |headers: &[(&'static str, &str)]| {
        Socket::open(server.realtime(), "/ws", headers)
            .await
            .map(|_| ())
            .err()
    };
    assert_eq!(open(&[]).await, None, "a program sends no origin");
    assert_eq!(open(&[("origin", "https://app.example.com")]).await, None);
    let own = format!("http://{}", server.realtime());
    assert_eq!(
        open(&[("origin", &own)]).await,
        None,
        "the server's own pages"
    );
    for foreign in [
        "https://evil.example.com",
        "null",
        "https://app.example.com.evil.example",
    ] {
        assert_eq!(open(&[("origin", foreign)]).await, Some(403), "{foreign}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_address_is_refused() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let key = &server.backend.key;
    for query in [
        format!("access_token={}", ann.access),
        format!("x={}", ann.access),
        format!("x=%65{}", &ann.access[1..]),
        format!("x={}", ann.refresh),
        format!("x={key}"),
        format!("x=%63{}", &key[1..]),
    ] {
        for path in ["/ws", "/connection/websocket"] {
            let path = format!("{path}?{query}");
            let refused = Socket::open(server.realtime(), &path, &[]).await.err();
            assert_eq!(refused, Some(400), "{path}");
        }
        for path in ["/connection/http_stream", "/emulation"] {
            let path = format!("{path}?{query}");
            let reply = server.request("POST", &path).body("{}").send().await;
            assert_eq!(reply.outcome(), "400 invalid_request", "{path}");
        }
    }
}

/// A refused upgrade is a problem document, as any other refusal.
#[tokio::test(flavor = "multi_thread")]
async fn refused_upgrades_have_codes() {
    let server = TestServer::with(
        Database::Sqlite,
        &[("allowed_origins", "https://app.example.com")],
    )
    .await;
    let upgrade = |path: &str| {
        server
            .request("GET", path)
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    // The client's own `connection: close` makes it no upgrade; the other refusals come from real ones.
    assert_eq!(
        upgrade("/ws").send().await.outcome(),
        "426 upgrade_required"
    );
    assert_eq!(
        server.request("POST", "/ws").send().await.outcome(),
        "405 method_not_allowed"
    );
    let joined = |path: &str| upgrade(path).header("connection", "upgrade");
    assert_eq!(
        joined("/ws")
            .header("origin", "https://evil.example")
            .send()
            .await
            .outcome(),
        "403 origin_forbidden"
    );
    assert_eq!(
        joined("/ws?token=x").send().await.outcome(),
        "400 invalid_request"
    );
}

/// Guessing tokens over sockets counts as guessing them over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_on_sockets_are_counted() {
    let server = TestServer::with(Database::Sqlite, &[("rate_limits", "on")]).await;
    for _ in 0..30 {
        let (_, event) = Socket::connect(server.realtime(), "forged").await;
        assert!(matches!(event, Event::Closed(3500, _)));
    }
    let forged = server
        .request("GET", "/auth/sessions")
        .header("authorization", "Bearer forged")
        .send()
        .await;
    assert_eq!(forged.outcome(), "429 rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_connect_is_closed() {
    let server = TestServer::start(Database::Sqlite).await;
    let mut silent = Socket::open(server.realtime(), "/ws", &[]).await.unwrap();
    let mut nobody = Socket::open(server.realtime(), "/ws", &[]).await.unwrap();
    nobody.command("connect", json!({})).await;
    assert_eq!(nobody.closed().await.0, 3501);
    assert_eq!(silent.closed().await.0, 3502, "ten seconds without a word");
}

/// A signing key that is withdrawn makes its tokens expired: sockets come back, nobody is signed out.
#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_rotation_signs_nobody_out() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let mut socket = Socket::connected(server.realtime(), &ann.access).await;
    server
        .auth()
        .rotate_signing_key(true, "test")
        .await
        .unwrap();
    assert_eq!(socket.closed().await.0, 3005);
    assert_eq!(ann.standing().await, "401 token_expired");
    let (_, event) = Socket::connect(server.realtime(), &ann.access).await;
    assert_eq!(reply(&event)["error"]["code"], 109);
    let newer = ann.refreshed().await;
    assert_eq!(newer.standing().await, "200");
    Socket::connected(server.realtime(), &newer.access).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_sends_sockets_elsewhere() {
    let mut server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let mut socket = Socket::connected(server.realtime(), &ann.access).await;
    let (closed, ()) = tokio::join!(socket.closed(), server.stop());
    assert_eq!(closed.0, 3001, "a code that clients reconnect after");
}
