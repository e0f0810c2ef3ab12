//! Tokens that nothing can replace, beside a pair that can be refreshed.

use chatsdk_client::EndReason;
use chatsdk_client::TokenState;
use chatsdk_types::ErrorCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::device::{
    HOUR, Place, START, device, ends, in_use, manager, manager_on, minutes, pair, pass, token_only,
};

#[tokio::test(start_paused = true)]
async fn a_newer_token_that_nothing_can_replace_does_not_stand_in_for_a_refresh() {
    let storage = Arc::<Place>::default();
    let device = device(&storage);
    let manager = manager_on(&device, |options| options);
    manager.start(pair(0, START)).await.unwrap();
    storage.put(&token_only("ses_2", START + 50 * 60_000));
    pass(minutes(56)).await;
    assert_eq!(in_use(&manager), "refresh-1");
    assert_eq!(manager.state(), TokenState::Valid);
    assert_eq!(storage.record()["refreshToken"], "refresh-1");
    let asked = device.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["refreshToken"], "refresh-0");
}

#[tokio::test(start_paused = true)]
async fn a_newer_token_of_the_same_session_does_not_displace_the_pair_that_the_app_gives() {
    let storage = Arc::<Place>::default();
    storage.put(&token_only("ses_1", START));
    let manager = manager(&storage, |options| options);
    manager.start(pair(0, START)).await.unwrap();
    assert_eq!(in_use(&manager), "refresh-0");
    assert_eq!(storage.record()["refreshToken"], "refresh-0");
}

#[tokio::test(start_paused = true)]
async fn a_refused_session_ends_where_another_one_is_over_that_nothing_can_replace() {
    let storage = Arc::<Place>::default();
    let device = device(&storage);
    device.refuses.store(true, Ordering::Relaxed);
    storage.put(&token_only("ses_2", START - 2 * HOUR));
    let manager = manager_on(&device, |options| options);
    let mut events = manager.events();
    manager.start(pair(0, START)).await.unwrap();
    pass(minutes(57)).await;
    assert_eq!(manager.state(), TokenState::Ended);
    let revoked = EndReason::Refused(ErrorCode::SessionRevoked);
    assert_eq!(ends(&mut events), [revoked]);
    assert_eq!(device.asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_session_goes_on_with_another_one_that_lives() {
    let storage = Arc::<Place>::default();
    let device = device(&storage);
    device.refuses.store(true, Ordering::Relaxed);
    let manager = manager_on(&device, |options| options);
    manager.start(pair(0, START)).await.unwrap();
    let theirs = token_only("ses_2", START + 50 * 60_000);
    storage.put(&theirs);
    pass(minutes(57)).await;
    assert_eq!(manager.state(), TokenState::Valid);
    assert_eq!(manager.access_token().await.unwrap(), theirs.access_token);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_a_mint_gave_again_for_the_same_session_takes_the_place_of_the_older_one() {
    let storage = Arc::<Place>::default();
    let manager = manager(&storage, |options| options);
    manager.start(token_only("ses_1", START)).await.unwrap();
    pass(minutes(50)).await;
    let again = token_only("ses_1", START + 50 * 60_000);
    manager.start(again.clone()).await.unwrap();
    assert_eq!(manager.access_token().await.unwrap(), again.access_token);
    assert_eq!(storage.record()["accessToken"], again.access_token);
}
