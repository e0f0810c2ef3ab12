//! What is true of every route.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chatsdk_api::{ApiConfig, Network};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Reply, Server, With};

#[tokio::test]
async fn paths_are_exact() {
    let server = Server::start().await;
    for path in [
        "/",
        "/auth",
        "/auth/tokens/",
        "/auth//tokens",
        "/Auth/tokens",
        "/api/auth/tokens",
        "/tokens",
        "/auth/sessions/",
        "/.well-known/jwks",
        "/docs/",
        "/healthz/x",
        "/%2e%2e/x",
    ] {
        let reply = server.send("POST", path, &[], b"").await;
        assert_eq!(reply.status, 404, "{path}");
        reply.problem("not_found");
    }
}

#[tokio::test]
async fn methods_are_listed() {
    let server = Server::start().await;
    for (method, path, allow) in [
        ("GET", "/auth/tokens", "POST"),
        ("PUT", "/auth/refresh", "POST"),
        ("HEAD", "/auth/revoke", "POST"),
        ("POST", "/auth/sessions", "GET,HEAD"),
        ("PATCH", "/auth/users/a/sessions", "GET,HEAD,DELETE"),
        ("GET", "/auth/users/a/ban", "POST,DELETE"),
        ("BREW", "/auth/tokens", "POST"),
        ("TRACE", "/healthz", "GET,HEAD"),
    ] {
        let reply = server.send(method, path, &[], b"").await;
        assert_eq!(reply.status, 405, "{method} {path}");
        let mut allowed: Vec<_> = reply.header("allow").unwrap().split(',').collect();
        let mut expected: Vec<_> = allow.split(',').collect();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{method} {path}");
        if method != "HEAD" {
            reply.problem("method_not_allowed");
        }
    }
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let server = Server::start().await;
    let post = async |body: &[u8]| {
        server
            .send(
                "POST",
                "/auth/tokens",
                &[
                    ("X-API-Key", &server.key),
                    ("Content-Type", "application/json"),
                ],
                body,
            )
            .await
    };
    let deep = format!(
        r#"{{"userId":"a","x":{}{}}}"#,
        "[".repeat(7000),
        "]".repeat(7000)
    );
    for bad in [
        &b"{"[..],
        b"{\"userId\":\"a\"",
        b"{\"userId\":\"a\"} x",
        b"{\"userId\":\"a\",\"userId\":\"b\"}",
        b"{\"userId\":\"a\",\"\\u0075serId\":\"b\"}",
        b"{\"userId\":\"a\",\"custom\":{\"r\":1,\"r\":2}}",
        b"{\"userId\":\"a\",\"unknown\":[{\"r\":1,\"r\":2}]}",
        b"{\"userId\":\"\xff\"}",
        b"\xef\xbb\xbf{\"userId\":\"a\"}",
        b"{\"userId\":\"\\ud800\"}",
        b"{'userId':'a'}",
        b"userId=a",
        b"",
        b" ",
        deep.as_bytes(),
    ] {
        let document = post(bad).await.problem("invalid_json");
        assert!(
            !document.to_string().contains("userId"),
            "what was sent is not repeated"
        );
    }
    for odd in [&b"[]"[..], b"null", b"1", b"\"x\""] {
        post(odd).await.problem("invalid_request");
    }
    post(b" {\"userId\":\"a\",\"unknown\":{\"x\":[1,null]}} \n")
        .await
        .ok();

    let types = async |lines: &[&str]| {
        let mut headers = vec![("X-API-Key", server.key.as_str())];
        headers.extend(lines.iter().map(|line| ("Content-Type", *line)));
        server
            .send("POST", "/auth/tokens", &headers, b"{\"userId\":\"a\"}")
            .await
    };
    for good in ["application/json", "Application/JSON; charset=utf-8"] {
        types(&[good]).await.ok();
    }
    for bad in [
        &["text/plain"][..],
        &["application/x-www-form-urlencoded"],
        &["multipart/form-data"],
        &[],
        &["application/json", "text/plain"],
    ] {
        types(bad).await.problem("unsupported_media_type");
    }
    let packed = [
        ("X-API-Key", server.key.as_str()),
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
    ];
    server
        .send("POST", "/auth/tokens", &packed, b"\x1f\x8b")
        .await
        .problem("unsupported_media_type");
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = Server::start().await;
    let body = |length: usize| {
        let frame = r#"{"userId":"a","x":""}"#.len();
        format!(r#"{{"userId":"a","x":"{}"}}"#, "x".repeat(length - frame))
    };
    let headers = [("X-API-Key", server.key.as_str())];
    server
        .post("/auth/tokens", &headers, &body(16 * 1024))
        .await
        .ok();
    server
        .post("/auth/tokens", &headers, &body(16 * 1024 + 1))
        .await
        .problem("payload_too_large");
    server
        .post("/auth/tokens", &headers, &body(900 * 1024))
        .await
        .problem("payload_too_large");

    let announced = format!(
        "POST /auth/tokens HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-API-Key: {}\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n",
        server.key
    );
    server
        .send_bytes(announced.as_bytes())
        .await
        .problem("payload_too_large");

    let mut chunked = format!(
        "POST /auth/tokens HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-API-Key: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.key
    );
    for part in ["{\"userId\"", ":", "\"ann\"}"] {
        let chunk = format!("{:x}\r\n{part}\r\n", part.len());
        chunked.push_str(&chunk);
    }
    chunked.push_str("0\r\n\r\n");
    assert_eq!(
        server.send_bytes(chunked.as_bytes()).await.ok()["user"]["id"],
        "ann"
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let config = ApiConfig {
        body_timeout: Duration::from_millis(200),
        ..ApiConfig::default()
    };
    let server = Server::with(With {
        config,
        ..With::default()
    })
    .await;
    let head = "POST /auth/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"refresh";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let reply = Reply::read(&mut stream).await;
    reply.problem("request_timeout");
    assert_eq!(reply.status, 408);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_nothing() {
    let server = Server::start().await;
    let head = "POST /auth/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"refresh";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    server.sign_in("ann").await;
}

#[tokio::test]
async fn requests_have_ids_of_their_own() {
    let server = Server::start().await;
    let mine = [("x-request-id", "chosen-by-caller")];
    let first = server.send("GET", "/healthz", &mine, b"").await;
    let second = server.send("GET", "/healthz", &mine, b"").await;
    let (first, second) = (
        first.header("x-request-id").unwrap(),
        second.header("x-request-id").unwrap(),
    );
    assert!(first != "chosen-by-caller" && first != second);

    let trusted_proxies = vec![Network {
        address: "127.0.0.0".parse().unwrap(),
        prefix: 8,
    }];
    let behind = Server::with(With {
        config: ApiConfig {
            trusted_proxies,
            ..ApiConfig::default()
        },
        ..With::default()
    })
    .await;
    let reply = behind.send("GET", "/nowhere", &mine, b"").await;
    assert_eq!(reply.problem("not_found")["requestId"], "chosen-by-caller");
}

#[tokio::test]
async fn guesses_are_counted_by_the_address_that_proxies_vouch_for() {
    let trusted_proxies = vec![Network {
        address: "127.0.0.1".parse().unwrap(),
        prefix: 32,
    }];
    let config = ApiConfig {
        trusted_proxies,
        ..ApiConfig::default()
    };
    let server = Server::with(With {
        config,
        rate_limits: true,
        ..With::default()
    })
    .await;
    let guess = async |from: &str| {
        server
            .send(
                "GET",
                "/auth/sessions",
                &[("Authorization", "Bearer x"), ("X-Forwarded-For", from)],
                b"",
            )
            .await
    };
    for spoofed in 0..30 {
        guess(&format!("10.9.8.{spoofed}, 198.51.100.7"))
            .await
            .problem("token_invalid");
    }
    guess("203.0.113.1, 198.51.100.7")
        .await
        .problem("rate_limited");
    guess("198.51.100.8").await.problem("token_invalid");
}

#[tokio::test]
async fn listed_origins_are_named() {
    let config = ApiConfig {
        allowed_origins: Some(vec!["https://app.example".into()]),
        ..ApiConfig::default()
    };
    let server = Server::with(With {
        config,
        ..With::default()
    })
    .await;
    for (origin, allowed) in [
        ("https://app.example", Some("https://app.example")),
        ("https://evil.example", None),
        ("null", None),
    ] {
        let preflight = server
            .send(
                "OPTIONS",
                "/auth/sessions",
                &[("Origin", origin), ("Access-Control-Request-Method", "GET")],
                b"",
            )
            .await;
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("access-control-allow-origin"), allowed);
        assert_eq!(preflight.header("vary"), Some("Origin"));
        let reply = server
            .send("GET", "/auth/sessions", &[("Origin", origin)], b"")
            .await;
        reply.problem("token_missing");
        assert_eq!(reply.header("access-control-allow-origin"), allowed);
        assert_eq!(reply.header("vary"), Some("Origin"));
        assert_eq!(
            reply.header("access-control-expose-headers").is_some(),
            allowed.is_some()
        );
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_server_lives() {
    async fn broken() {
        panic!("a handler that breaks");
    }
    let more = Router::new().route("/broken", get(broken));
    let server = Server::with(With {
        more,
        ..With::default()
    })
    .await;
    let reply = server.send("GET", "/broken", &[], b"").await;
    assert!(!reply.problem("internal").to_string().contains("breaks"));
    server
        .send("POST", "/broken", &[], b"")
        .await
        .problem("method_not_allowed");
    server.send("GET", "/healthz", &[], b"").await.ok();
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start().await;
    let wrong = "POST /auth/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(format!("{wrong}{wrong}{last}").as_bytes())
        .await
        .unwrap();
    let both = Reply::read(&mut stream).await;
    assert_eq!(
        both.text.matches("HTTP/1.1 400").count(),
        1,
        "the first is the head of the reply"
    );
    assert!(both.status == 400 && both.text.contains("HTTP/1.1 200"));
}
