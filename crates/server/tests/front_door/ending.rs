//! What a server that is ending says.

use chatsdk_testkit::{Database, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks over a connection that is kept, and reads one reply: its head and its body.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "it was hung up on: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return text;
            }
        }
    }
}

/// A balancer that keeps its connection learns that the server is ending before it learns that it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_denied_on_a_kept_connection() {
    let mut server = TestServer::start(Database::Sqlite).await;
    let mut kept = TcpStream::connect(server.api()).await.unwrap();
    let mut idle = TcpStream::connect(server.api()).await.unwrap();
    for stream in [&mut kept, &mut idle] {
        let ready = ask(stream, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
        assert!(!ready.contains("connection: close"), "{ready}");
    }
    let ending = tokio::spawn(async move { server.stop().await });
    let denied = loop {
        let told = ask(&mut kept, "/readyz").await;
        if !told.starts_with("HTTP/1.1 200 ") {
            break told;
        }
    };
    assert!(denied.starts_with("HTTP/1.1 503 "), "{denied}");
    assert!(denied.contains("\"code\":\"unavailable\""), "{denied}");
    assert!(denied.contains("connection: close"), "{denied}");
    // Both are ended: the one that was told so, and the one that asked nothing more.
    for mut stream in [kept, idle] {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
    ending.await.unwrap();
}
