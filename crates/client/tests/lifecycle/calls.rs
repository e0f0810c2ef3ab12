//! What is asked of a manager: from any thread, dropped half-way, one right after the other.

use chatsdk_client::Events;
use chatsdk_client::TokenState;
use chatsdk_client::Tokens;
use futures_util::FutureExt as _;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use super::device::{
    Fake, Manager, Place, START, device, in_use, manager, manager_on, minutes, pair, pair_of, pass,
};

fn is_shareable<T: Send + Sync>() {}
fn is_sendable<T: Send>() {}

#[test]
fn handles_go_between_threads() {
    is_shareable::<Manager>();
    is_sendable::<chatsdk_client::Driver<Fake>>();
    is_sendable::<Events>();
    is_shareable::<chatsdk_client::Error>();
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_are_done_all_the_same() {
    let storage = Arc::new(Place {
        delays: Mutex::new(vec![0, 2]),
        ..Place::default()
    });
    let manager = manager(&storage, |options| options);
    assert!(manager.start(pair(0, START)).now_or_never().is_none());
    pass(Duration::from_secs(1)).await;
    // While the write is on its way.
    assert!(manager.stop().now_or_never().is_none());
    pass(Duration::from_secs(2)).await;
    assert_eq!(manager.state(), TokenState::Unauthenticated);
    assert_eq!(
        storage.record()["refreshToken"],
        "refresh-0",
        "what was begun is there"
    );
    assert!(manager.resume().await.unwrap());
    assert!(manager.access_token().now_or_never().is_some());
    assert!(manager.logout().now_or_never().is_none());
    pass(Duration::from_secs(1)).await;
    assert_eq!(storage.record()["accessToken"], Value::Null);
    assert_eq!(
        storage.record()["revoke"],
        Value::Null,
        "the server was asked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_asked_for_after_a_logout_comes_after_it() {
    let storage = Arc::<Place>::default();
    let device = device(&storage);
    let manager = manager_on(&device, |options| options);
    manager.start(pair(0, START)).await.unwrap();
    // Both wait before the driver takes up either.
    assert!(manager.logout().now_or_never().is_none());
    let next = Tokens {
        refresh_token: "of-the-next".to_owned(),
        ..pair_of("ses_2", 1, START)
    };
    manager.start(next).await.unwrap();
    pass(Duration::from_secs(1)).await;
    assert_eq!(in_use(&manager), "of-the-next");
    assert_eq!(storage.record()["refreshToken"], "of-the-next");
    pass(minutes(1)).await;
    let asked = device.asked.lock().unwrap().clone();
    assert_eq!(asked, [json!({ "refreshToken": "refresh-0" })]);
}
