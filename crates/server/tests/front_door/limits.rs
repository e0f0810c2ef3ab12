//! Rate limits: who meets them, who does not, and what they are told.

use chatsdk_realtime::{Payload, Whom};
use chatsdk_testkit::{Backend, Database, Event, Reply, Socket, TestServer};
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

/// Asks until it is refused for the first time. Answers how many were answered before, and the refusal.
async fn until_limited(ask: impl AsyncFn(usize) -> Reply) -> (usize, Reply) {
    let mut answered = 0;
    loop {
        let reply = ask(answered).await;
        if reply.status != 200 {
            return (answered, reply);
        }
        answered += 1;
        assert!(answered < 5_000, "there is no limit");
    }
}

/// The clock stands while they are asked, so that what is answered is the burst, and then what moments add.
#[tokio::test(flavor = "multi_thread")]
async fn mints_are_limited_by_key() {
    let server = server().await;
    let other = crate::common::another_app(&server).await;
    let mint = async |user: usize| {
        let user = user.to_string();
        server.backend.mint(&json!({ "userId": user })).await
    };
    let (answered, refused) = until_limited(mint).await;
    assert_eq!(answered, 500);
    limited(&refused);
    assert_eq!(refused.header("ratelimit-limit"), Some("500"));
    let detail = refused.field("detail");
    assert!(detail.contains("API key"), "{detail}");
    other.sign_in("0").await;

    server.clock.advance(10);
    let (answered, refused) = until_limited(mint).await;
    assert_eq!(answered, 1, "a hundred a second");
    limited(&refused);
    server.clock.advance(1_000);
    assert_eq!(until_limited(mint).await.0, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn introspections_are_limited_by_key() {
    let server = server().await;
    let other = crate::common::another_app(&server).await;
    let token = json!({ "token": server.backend.sign_in("ann").await.access });
    let ask = async |backend: &Backend| {
        let request = backend.request("POST", "/auth/introspect");
        request.json(&token).send().await
    };
    let introspect = async |_| ask(&server.backend).await;
    let (answered, refused) = until_limited(introspect).await;
    assert_eq!(answered, 1_000);
    limited(&refused);
    assert_eq!(refused.header("ratelimit-limit"), Some("1000"));
    let detail = refused.field("detail");
    assert!(detail.contains("introspections"), "{detail}");
    ask(&other).await.ok();
    server.backend.sign_in("bob").await;

    server.clock.advance(7);
    assert_eq!(until_limited(introspect).await.0, 7, "one a millisecond");
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

/// A client is told how long it may be without a ping before it takes the connection for dead.
#[tokio::test(flavor = "multi_thread")]
async fn pings_come_as_often_as_the_operator_says() {
    for (settings, seconds) in [(&[][..], 25), (&[("realtime.ping_interval", "1m")], 60)] {
        let server = TestServer::with(Database::Sqlite, settings).await;
        let ann = server.backend.sign_in("ann").await;
        let (_socket, event) = Socket::connect(server.realtime(), &ann.access).await;
        let Event::Reply(reply) = event else {
            panic!("{event:?}")
        };
        assert_eq!(reply["connect"]["ping"], seconds, "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_limited_by_user_by_server_and_by_the_second() {
    let connect = async |server: &TestServer, user: &str| {
        let signed_in = server.backend.sign_in(user).await;
        Socket::connect(server.realtime(), &signed_in.access).await
    };
    let server = TestServer::with(
        Database::Sqlite,
        &[
            ("realtime.max_connections", "2"),
            ("realtime.max_connections_per_user", "1"),
        ],
    )
    .await;
    let (_ann, event) = connect(&server, "ann").await;
    assert!(matches!(event, Event::Reply(_)), "{event:?}");
    let (_, event) = connect(&server, "ann").await;
    assert!(matches!(event, Event::Closed(3504, _)), "{event:?}");
    let handle = server.server().engine().handle().clone();
    while handle.count(&Whom::Everyone) > 1 {
        tokio::task::yield_now().await;
    }
    let (_bob, event) = connect(&server, "bob").await;
    assert!(matches!(event, Event::Reply(_)), "{event:?}");
    assert_eq!(
        Socket::open(server.realtime(), "/ws", &[]).await.err(),
        Some(503)
    );

    let server = TestServer::with(
        Database::Sqlite,
        &[
            ("rate_limits", "on"),
            ("realtime.connections_per_second", "1"),
        ],
    )
    .await;
    let mut opened = Vec::new();
    while let Ok(socket) = Socket::open(server.realtime(), "/ws", &[]).await {
        opened.push(socket);
    }
    let unlimited = TestServer::with(
        Database::Sqlite,
        &[("realtime.connections_per_second", "1")],
    )
    .await;
    for _ in 0..20 {
        opened.push(
            Socket::open(unlimited.realtime(), "/ws", &[])
                .await
                .unwrap(),
        );
    }
}

/// A client of HTTP-streaming that reads nothing: the server gives up its connection, and then lets go of
/// the socket, which it would otherwise have for as long as the client likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_does_not_keep_its_socket() {
    use tokio::io::AsyncWriteExt as _;
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.realtime()).await.unwrap();
    let body = json!({ "id": 1, "connect": { "token": ann.access } }).to_string();
    let request = format!(
        "POST /connection/http_stream HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let handle = server.server().engine().handle().clone();
    let app = server.app.to_string();
    let whom = Whom::App { app: &app };
    while handle.count(&whom) == 0 {
        tokio::task::yield_now().await;
    }
    let message = Payload::new(format!("\"{}\"", "x".repeat(100_000)));
    while handle.stats().closes().is_empty() {
        handle.message(&whom, &message);
        tokio::task::yield_now().await;
    }
    let port = |address: std::net::SocketAddr| format!("0100007F:{:04X}", address.port());
    let ends = (port(server.realtime()), port(stream.local_addr().unwrap()));
    let is_held = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // A socket that no file descriptor stands for has no inode.
            columns.get(1..3) == Some(&[ends.0.as_str(), ends.1.as_str()])
                && columns.get(9).is_some_and(|inode| *inode != "0")
        })
    };
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
    while is_held() {
        ticks.tick().await;
    }
}
