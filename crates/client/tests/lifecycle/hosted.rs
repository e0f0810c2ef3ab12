//! Backends that keep the refresh token.

use chatsdk_client::EndReason;
use chatsdk_client::Events;
use chatsdk_client::HostError;
use chatsdk_client::TokenState;
use chatsdk_types::ErrorCode;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use super::device::{Manager, START, ends, manager, minutes, pair, pass};

/// A client whose backend keeps the refresh token, and says `answer`.
async fn hosted(
    answer: impl Fn(usize) -> Result<Value, HostError> + Send + Sync + 'static,
) -> (Manager, Events) {
    let asked = AtomicUsize::new(0);
    let manager = manager(&Arc::default(), |options| {
        options.refresh_tokens(move |_sent_at| {
            let nth = asked.fetch_add(1, Ordering::Relaxed);
            let answer = answer(nth);
            async move { answer }
        })
    });
    let events = manager.events();
    let mut given = pair(0, START);
    given.refresh_token.clear();
    manager.start(given).await.unwrap();
    pass(minutes(58)).await;
    (manager, events)
}

#[tokio::test(start_paused = true)]
async fn a_backend_where_nobody_is_signed_in_ends_the_session() {
    let (manager, mut events) = hosted(|_| Err(HostError::SessionEnded)).await;
    assert_eq!(manager.state(), TokenState::Ended);
    assert_eq!(ends(&mut events), [EndReason::HostSessionEnded]);
    assert_eq!(manager.why_not().code(), "host_session_ended");
    assert!(!manager.why_not().to_string().contains("Network"));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_passes_on_the_last_word_of_the_server_ends_the_session() {
    let document = json!({ "code": "session_revoked", "status": 401, "requestId": "req_1" });
    let (manager, mut events) = hosted(move |_| Ok(document.clone())).await;
    assert_eq!(manager.state(), TokenState::Ended);
    let revoked = EndReason::Refused(ErrorCode::SessionRevoked);
    assert_eq!(ends(&mut events), [revoked]);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_or_panics_is_asked_again() {
    let (manager, mut events) = hosted(|nth| match nth {
        0 => Err("it is down".into()),
        1 => panic!("the app fails"),
        2 => Ok(json!({ "code": "session_revoked", "status": 500 })),
        _ => {
            let next = pair(1, START + 56 * 60_000);
            // Backends say it in seconds.
            Ok(json!({ "accessToken": next.access_token, "expiresAt": next.expires_at / 1_000 }))
        }
    })
    .await;
    assert_eq!(manager.state(), TokenState::Valid);
    assert_eq!(ends(&mut events), []);
    assert_eq!(
        manager.tokens().unwrap().access_token,
        pair(1, START + 56 * 60_000).access_token
    );
}
