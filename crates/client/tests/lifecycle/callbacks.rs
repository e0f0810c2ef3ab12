//! What an app takes note of, and what it does not.

use chatsdk_client::Event;
use chatsdk_client::TokenState;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::device::{Place, START, device, in_use, manager, manager_on, minutes, pair, pass};

#[tokio::test(start_paused = true)]
async fn a_pair_that_the_app_alone_keeps_is_not_used_before_it_took_note() {
    let storage = Arc::new(Place {
        volatile: true,
        ..Place::default()
    });
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let manager = manager(&storage, |options| {
        options.on_token_refresh(move |_| {
            let nth = count.fetch_add(1, Ordering::Relaxed);
            async move {
                match nth {
                    0 => Err("the disk of the app is full".to_owned()),
                    1 => panic!("the app does not know what it does"),
                    _ => Ok(()),
                }
            }
        })
    });
    manager.start(pair(0, START)).await.unwrap();
    pass(minutes(55) + Duration::from_millis(15_200)).await;
    assert_eq!(in_use(&manager), "refresh-0", "as good as ever");
    assert_eq!(manager.state(), TokenState::Stale);
    pass(minutes(2)).await;
    assert_eq!(tries.load(Ordering::Relaxed), 3);
    assert_eq!(manager.state(), TokenState::Valid);
    assert_ne!(in_use(&manager), "refresh-0");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_never_takes_note_does_not_lock_its_users_out() {
    let storage = Arc::new(Place {
        volatile: true,
        ..Place::default()
    });
    let manager = manager(&storage, |options| {
        options.on_token_refresh(|_| async { Err("never".to_owned()) })
    });
    manager.start(pair(0, START)).await.unwrap();
    pass(minutes(75)).await;
    assert_eq!(manager.state(), TokenState::Valid);
    assert_ne!(in_use(&manager), "refresh-0");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_panics_costs_nothing_where_the_storage_keeps_the_pair() {
    let storage = Arc::<Place>::default();
    let manager = manager(&storage, |options| {
        options.on_token_refresh(|_| -> std::future::Ready<_> { panic!("the app fails") })
    });
    let mut events = manager.events();
    manager.start(pair(0, START)).await.unwrap();
    pass(minutes(56)).await;
    assert_eq!(in_use(&manager), "refresh-1");
    assert_eq!(storage.record()["refreshToken"], "refresh-1");
    let mut told = false;
    while let Some(event) = events.try_next() {
        told |= matches!(event, Event::StorageFailed(_));
    }
    assert!(told, "that the app could not take note");
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_heard_of_answers_who_waits_for_a_refresh_that_has_not_begun() {
    let storage = Arc::<Place>::default();
    let device = device(&storage);
    // Nobody looks, and nothing is in use: the token may expire.
    device.hidden.store(true, Ordering::Relaxed);
    let noted = Arc::<Notify>::default();
    let note = noted.clone();
    let manager = manager_on(&device, |options| {
        options.in_use(|| false).on_token_refresh(move |_| {
            let note = note.clone();
            async move {
                note.notified().await;
                // Whoever is ready comes first.
                let mut yielded = false;
                poll_fn(|context| {
                    if std::mem::replace(&mut yielded, true) {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                Ok(())
            }
        })
    });
    manager.start(pair(0, START)).await.unwrap();
    pass(minutes(65)).await;
    let theirs = pair(1, START + 65 * 60_000);
    storage.put(&theirs);
    device.changed.notify_one();
    pass(Duration::from_secs(1)).await;
    // The app takes note of it just as somebody asks.
    noted.notify_one();
    let token = timeout(Duration::from_secs(2), manager.access_token()).await;
    assert_eq!(token.unwrap().unwrap(), theirs.access_token);
    assert_eq!(device.asked.lock().unwrap().len(), 0);
}
