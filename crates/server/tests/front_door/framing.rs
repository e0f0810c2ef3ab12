//! Requests whose end or whose addressee is in dispute.

use chatsdk_testkit::{Database, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Everything that is answered to `bytes` until the server hangs up.
async fn answers(server: &TestServer, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server.api()).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = String::new();
    // A reset is an end, too: the server does not read what it will not answer.
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

fn count(answers: &str) -> usize {
    answers.matches("HTTP/1.1 ").count()
}

/// A proxy that goes by the length takes what follows the empty chunk for the body of the first request; it must not
/// be a second one here.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_behind_a_request_with_two_lengths() {
    let server = TestServer::start(Database::Sqlite).await;
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", smuggled.len() + 5);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let request = |lengths: &str| {
        format!(
            "POST /auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lengths}\r\n0\r\n\r\n{smuggled}"
        )
    };
    let honest = answers(&server, &request(chunked)).await;
    assert_eq!(count(&honest), 2, "two requests: {honest}");
    for lengths in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let told = answers(&server, &request(&lengths)).await;
        assert_eq!(count(&told), 1, "{told}");
        assert!(told.to_lowercase().contains("connection: close"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_contradict_each_other_are_refused() {
    let server = TestServer::start(Database::Sqlite).await;
    for lengths in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: +2\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip\r\n",
    ] {
        let request = format!("POST /auth/refresh HTTP/1.1\r\nHost: x\r\n{lengths}\r\n{{}}");
        let told = answers(&server, &request).await;
        assert!(told.starts_with("HTTP/1.1 400 "), "{lengths:?}: {told}");
        assert_eq!(count(&told), 1, "{told}");
    }
}

/// A proxy may have gone by the other one, or by none.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_its_host_once() {
    let server = TestServer::start(Database::Sqlite).await;
    let good = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (line, hosts) in [
        ("GET /healthz HTTP/1.1", ""),
        ("GET /healthz HTTP/1.1", "Host: x\r\nHost: x\r\n"),
        ("GET /healthz HTTP/1.1", "Host: x\r\nhost: y\r\n"),
        ("GET /healthz HTTP/1.0", "Host: x\r\nHost: y\r\n"),
        ("GET http://x/healthz HTTP/1.1", ""),
        ("GET /nowhere HTTP/1.1", ""),
        ("GET /ws HTTP/1.1", ""),
    ] {
        let told = answers(
            &server,
            &format!("{line}\r\n{hosts}Connection: close\r\n\r\n"),
        )
        .await;
        let name = line.rsplit(' ').next().unwrap();
        assert!(
            told.starts_with(&format!("{name} 400 ")),
            "{line} {hosts:?}: {told}"
        );
        assert!(told.contains("application/problem+json"), "{told}");
        assert!(told.contains("\"code\":\"invalid_request\""), "{told}");
        let next = answers(&server, good).await;
        assert!(next.starts_with("HTTP/1.1 200 "), "{next}");
    }
    // The connection lives on: what was asked is not in dispute where it ends.
    let two = answers(&server, &format!("GET /healthz HTTP/1.1\r\n\r\n{good}")).await;
    assert_eq!(count(&two), 2, "{two}");
    for fine in [
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    ] {
        let told = answers(&server, fine).await;
        assert!(told.contains(" 200 "), "{fine}: {told}");
    }
}
