//! The binary is killed, again and again, under load. What it answered, it must know afterwards; and
//! whoever retries with what they have is never signed out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chatsdk_testkit::http::request;
use chatsdk_testkit::{Backend, process};
use serde_json::json;
use tokio::sync::watch;

/// How often the server dies.
const KILLS: usize = 200;
/// How many clients refresh, one after the other as fast as they are answered.
const CLIENTS: usize = 24;
/// The load under which each kill falls, in refreshes since the start of the server.
const REFRESHES_BETWEEN_KILLS: u64 = 60;

/// One honest client: presents what it has until it is answered, then keeps the successor.
async fn client(
    mut token: String,
    mut server: watch::Receiver<Option<std::net::SocketAddr>>,
    done: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> (String, u64) {
    let mut refreshes = 0;
    while !done.load(Ordering::Acquire) {
        let Some(address) = *server.borrow_and_update() else {
            if server.changed().await.is_err() {
                break;
            }
            continue;
        };
        let asked =
            request(address, "POST", "/auth/refresh").json(&json!({ "refreshToken": token }));
        // A connection that breaks or is refused is weather: the reply is lost, the token stays.
        let Ok(reply) = asked.try_send().await else {
            if *server.borrow() == Some(address) {
                tokio::task::yield_now().await;
            }
            continue;
        };
        match reply.status {
            200 => {
                token = reply.field("refreshToken");
                refreshes += 1;
                count.fetch_add(1, Ordering::AcqRel);
            }
            500..=599 => {}
            _ => panic!("an honest client was answered {}", reply.text),
        }
    }
    (token, refreshes)
}

async fn start(dir: &Path) -> process::Process {
    process::serve(crate::common::binary(), dir, &[], &["--rate-limits", "off"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_sign_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path()).await;
    let backend = server.backend();
    let (tell, told) = watch::channel(Some(server.api));
    let (done, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let person = backend.sign_in(&format!("user-{number}")).await;
        clients.spawn(client(
            person.refresh,
            told.clone(),
            Arc::clone(&done),
            Arc::clone(&count),
        ));
    }
    let begun = std::time::Instant::now();
    for _ in 0..KILLS {
        let before = count.load(Ordering::Acquire);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while count.load(Ordering::Acquire) < before + REFRESHES_BETWEEN_KILLS {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the clients are stuck"
            );
            if let Some(ended) = clients.try_join_next() {
                panic!("a client ended early: {ended:?}");
            }
            tokio::task::yield_now().await;
        }
        server.kill().await;
        tell.send_replace(None);
        server = start(dir.path()).await;
        tell.send_replace(Some(server.api));
    }
    done.store(true, Ordering::Release);
    let elapsed = begun.elapsed();
    let mut refreshes = 0;
    while let Some(ended) = clients.join_next().await {
        let (token, count) = ended.unwrap();
        refreshes += count;
        // What was answered last still works: nothing that was answered is lost.
        let reply = request(server.api, "POST", "/auth/refresh")
            .json(&json!({ "refreshToken": token }))
            .send()
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    println!("{KILLS} kills, {refreshes} refreshes in {elapsed:?}, nobody signed out");
    server.kill().await;
}

/// A revocation that was answered holds, whenever the process dies after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_stays_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path()).await;
    let key = server.key.clone().unwrap();
    for round in 0..10 {
        let backend = Backend {
            address: server.api,
            key: key.clone(),
        };
        let ann = backend.sign_in("ann").await;
        let bob = backend.sign_in(&format!("bob-{round}")).await;
        ann.request("POST", "/auth/revoke")
            .json(&json!({}))
            .send()
            .await
            .ok();
        backend
            .request("POST", &format!("/auth/users/bob-{round}/ban"))
            .json(&json!({}))
            .send()
            .await
            .ok();
        server.kill().await;
        server = start(dir.path()).await;
        let at = |person: &chatsdk_testkit::Person| chatsdk_testkit::Person {
            address: server.api,
            ..person.clone()
        };
        assert_eq!(at(&ann).refresh_standing().await, "401 session_revoked");
        assert_eq!(at(&ann).standing().await, "401 token_revoked");
        assert_eq!(at(&bob).standing().await, "403 user_banned");
    }
    server.kill().await;
}
