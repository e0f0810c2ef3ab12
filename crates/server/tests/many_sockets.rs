//! As many sockets as a process may open. A program of its own: beside other tests they would take the files that
//! those need.

use std::collections::HashSet;

use chatsdk_testkit::{Database, Socket, TestServer};
use serde_json::json;
use tokio::sync::Mutex;

/// Each test needs all of them.
static TURN: Mutex<()> = Mutex::const_new(());

/// How many sockets, both of whose ends are in this process, may be open at once: up to 10,000.
fn sockets_that_fit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    (files.unwrap_or(1024_usize).saturating_sub(200) / 2).min(10_000)
}

/// A server with as many sockets of ann's as fit.
async fn crowded() -> (TestServer, Vec<Socket>) {
    let server = TestServer::with(
        Database::Sqlite,
        &[
            ("realtime.max_connections_per_user", "0"),
            // Here nobody answers pings until all of them are open.
            ("realtime.ping_interval", "10m"),
        ],
    )
    .await;
    let ann = server.backend.sign_in("ann").await;
    let mut sockets = Vec::new();
    for _ in 0..sockets_that_fit() {
        sockets.push(Socket::connected(server.realtime(), &ann.access).await);
    }
    (server, sockets)
}

/// Ten thousand sockets of one user, all closed within a second of the revocation. Each is two open
/// files here, so the test takes as many as this process may open, up to that.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_reaches_every_socket() {
    let _turn = TURN.lock().await;
    let (server, mut sockets) = crowded().await;
    let begun = std::time::Instant::now();
    server
        .backend
        .request("DELETE", "/auth/users/ann/sessions")
        .send()
        .await
        .ok();
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, (3503, "session_revoked".to_owned()));
    }
    println!(
        "{} sockets closed within {:?} of the request",
        sockets.len(),
        begun.elapsed()
    );
}

/// As many connections as this machine allows are listed page by page while a topic that all of them listen
/// to is published in: nobody is missed, nobody is there twice, and every subscriber hears everything in
/// order.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_in_pages_while_messages_fly() {
    const MESSAGES: u64 = 30;
    let _turn = TURN.lock().await;
    let (server, mut sockets) = crowded().await;
    let publishing = async {
        for number in 1..=MESSAGES {
            let body = json!({ "topic": "user:ann", "data": number });
            let reply = server
                .operator("POST", "/admin/publish")
                .json(&body)
                .send()
                .await
                .ok()
                .json();
            assert_eq!(reply["offset"], number);
        }
    };
    let listing = async {
        let (mut seen, mut pages) = (HashSet::new(), 0);
        let mut from = Some("0".to_owned());
        while let Some(place) = from {
            let path = format!("/admin/connections?limit=500&user=ann&from={place}");
            let page = server.operator("GET", &path).send().await.ok().json();
            let connections = page["connections"].as_array().unwrap();
            assert!(connections.len() <= 500);
            for connection in connections {
                let client = connection["client"].as_str().unwrap().to_owned();
                assert!(seen.insert(client), "nobody is there twice");
            }
            pages += 1;
            from = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(seen.len(), sockets.len(), "nobody is missed");
        assert!(pages >= sockets.len() / 500);
    };
    tokio::join!(publishing, listing);
    for socket in &mut sockets {
        for number in 1..=MESSAGES {
            assert_eq!(socket.push().await["pub"]["data"], number);
        }
    }
}
