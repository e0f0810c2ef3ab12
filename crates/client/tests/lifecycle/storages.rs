//! Storages that fail, and writes that land after they were given up.

use chatsdk_client::Event;
use chatsdk_client::TokenState;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use super::device::{
    Manager, Place, START, device, in_use, manager, manager_on, minutes, pair, pass,
};

#[tokio::test(start_paused = true)]
async fn a_write_that_lands_after_a_logout_is_undone() {
    let storage = Arc::new(Place {
        delays: Mutex::new(vec![8]),
        ..Place::default()
    });
    let manager = manager(&storage, |options| options);
    // The pair is on its way to the storage for longer than anybody waits.
    let starting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.start(pair(0, START)).await }
    });
    pass(Duration::from_secs(1)).await;
    manager.logout().await;
    let _disconnected = starting.await.unwrap();
    assert_eq!(storage.record()["generation"], 1);
    pass(Duration::from_secs(20)).await;
    assert_eq!(storage.record()["accessToken"], Value::Null);
    assert_eq!(storage.record()["generation"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_lands_late_does_not_take_the_place_of_a_newer_pair() {
    let storage = Arc::<Place>::default();
    let manager = manager(&storage, |options| options);
    manager.start(pair(0, START)).await.unwrap();
    // The first rotation takes nine seconds to be written, so that it counts as lost; the next one is written at once.
    *storage.delays.lock().unwrap() = vec![9];
    pass(minutes(60)).await;
    let stored = storage.record()["refreshToken"].clone();
    assert_eq!(manager.state(), TokenState::Valid);
    assert_eq!(stored, in_use(&manager));
    pass(minutes(10)).await;
    assert_eq!(storage.record()["refreshToken"], stored);
}

/// A manager whose first new pair is on its way to the storage for fifty minutes. Fifteen minutes later another process
/// writes `text` there.
async fn overtaken(text: String) -> (Arc<Place>, Manager) {
    let storage = Arc::<Place>::default();
    let device = device(&storage);
    let manager = manager_on(&device, |options| options);
    manager.start(pair(0, START)).await.unwrap();
    *storage.delays.lock().unwrap() = vec![50 * 60];
    pass(minutes(70)).await;
    *storage.text.lock().unwrap() = Some(text);
    device.changed.notify_one();
    pass(minutes(40)).await;
    (storage, manager)
}

#[tokio::test(start_paused = true)]
async fn a_write_that_lands_late_gives_way_to_a_pair_that_another_process_got_since() {
    let theirs = pair(5, START + 70 * 60_000);
    let (storage, manager) = overtaken(serde_json::to_string(&theirs).unwrap()).await;
    assert_eq!(in_use(&manager), theirs.refresh_token);
    assert_eq!(storage.record()["refreshToken"], theirs.refresh_token);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_lands_late_gives_way_to_a_logout_in_another_process() {
    let tombstone = json!({ "v": 1, "userID": "ann", "generation": 1 });
    let (storage, manager) = overtaken(tombstone.to_string()).await;
    assert_eq!(manager.state(), TokenState::Ended);
    assert_eq!(storage.record()["accessToken"], Value::Null);
    assert_eq!(storage.record()["generation"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_nobody_else_uses_may_be_full() {
    let storage = Arc::new(Place {
        alone: true,
        ..Place::default()
    });
    let manager = manager(&storage, |options| options);
    manager.start(pair(0, START)).await.unwrap();
    *storage.full.lock().unwrap() = true;
    pass(minutes(56)).await;
    assert_eq!(manager.state(), TokenState::Valid);
    assert_eq!(in_use(&manager), "refresh-1");
    assert_eq!(
        *storage.text.lock().unwrap(),
        None,
        "no restart finds the old one"
    );
    *storage.full.lock().unwrap() = false;
    pass(minutes(10)).await;
    assert_eq!(storage.record()["refreshToken"], "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn what_a_storage_says_of_its_failure_shows_no_token() {
    let storage = Arc::<Place>::default();
    *storage.full.lock().unwrap() = true;
    let manager = manager(&storage, |options| options);
    let mut events = manager.events();
    manager.start(pair(0, START)).await.unwrap();
    let mut causes = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::StorageFailed(error) = event {
            causes.push(error.cause.0.clone());
        }
    }
    assert_eq!(causes, ["no room for [redacted]"]);
}
