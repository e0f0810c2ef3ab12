//! What the scenarios cannot say, on a clock that is moved: storages that are volatile or late, callbacks that panic, backends
//! that keep the refresh token, and calls that are dropped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_client::platform::{
    HttpReply, Platform, Signal, Signals, Storage, StorageFault, Unreachable,
};
use chatsdk_client::{
    EndReason, Event, Events, HostError, TokenManager, TokenManagerOptions, TokenState, Tokens,
};
use chatsdk_types::{ErrorCode, Millis};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const START: Millis = 1_704_835_200_000;
const HOUR: Millis = 3_600_000;

/// A pair of the `nth` rotation, minted at `at`.
fn pair(nth: i64, at: Millis) -> Tokens {
    let claims = json!({
        "sub": "ann", "sid": "ses_1", "rc": nth, "iat": at / 1_000, "exp": (at + HOUR) / 1_000,
    });
    Tokens {
        access_token: format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string())),
        refresh_token: format!("refresh-{nth}"),
        expires_at: at + HOUR,
    }
}

#[derive(Default)]
struct Place {
    text: Mutex<Option<String>>,
    volatile: bool,
    alone: bool,
    /// How long each write takes, the first one first; none where the list has ended.
    delays: Mutex<Vec<u64>>,
    /// Whether what is written is refused.
    full: Mutex<bool>,
}

impl Place {
    fn record(&self) -> Value {
        let text = self.text.lock().unwrap().clone().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Storage for Place {
    async fn get(&self) -> Result<Option<String>, StorageFault> {
        Ok(self.text.lock().unwrap().clone())
    }

    async fn set(&self, text: String) -> Result<(), StorageFault> {
        let delay = self.delays.lock().unwrap().pop();
        if let Some(delay) = delay {
            sleep(Duration::from_secs(delay)).await;
        }
        if *self.full.lock().unwrap() {
            return Err(StorageFault("full".to_owned()));
        }
        *self.text.lock().unwrap() = Some(text);
        Ok(())
    }

    async fn remove(&self) -> Result<(), StorageFault> {
        *self.text.lock().unwrap() = None;
        Ok(())
    }

    fn is_volatile(&self) -> bool {
        self.volatile
    }

    fn is_shared(&self) -> bool {
        !self.alone
    }
}

/// A device whose server rotates whatever it is shown.
struct Fake {
    storage: Arc<Place>,
    began: Instant,
    rotations: AtomicUsize,
}

struct Silence;

impl Signals for Silence {
    async fn next(&mut self) -> Signal {
        pending().await
    }
}

impl Platform for Fake {
    type Storage = Place;
    type Guard = ();
    type Signals = Silence;

    fn wall(&self) -> Millis {
        START + self.mono()
    }

    fn mono(&self) -> Millis {
        self.began.elapsed().as_millis() as Millis
    }

    fn random(&self) -> f64 {
        0.5
    }

    async fn sleep(&self, ms: Millis) {
        sleep(Duration::from_millis(ms.max(0) as u64)).await;
    }

    async fn post(
        &self,
        url: &str,
        _authorization: Option<&str>,
        _body: String,
    ) -> Result<HttpReply, Unreachable> {
        let body = if url.ends_with("/auth/refresh") {
            let nth = self.rotations.fetch_add(1, Ordering::Relaxed) as i64 + 1;
            let mut reply = serde_json::to_value(pair(nth, self.wall())).unwrap();
            reply["serverTime"] = self.wall().into();
            reply["expiresIn"] = (HOUR / 1_000).into();
            reply
        } else {
            json!({})
        };
        Ok(HttpReply {
            status: 200,
            content_type: "application/json".to_owned(),
            retry_after: String::new(),
            body: body.to_string(),
        })
    }

    fn storage(&self) -> &Place {
        &self.storage
    }

    async fn lock(&self, _name: &str) {}

    fn signals(&self) -> Silence {
        Silence
    }
}

type Manager = TokenManager<Fake>;

fn manager(
    storage: &Arc<Place>,
    configure: impl FnOnce(TokenManagerOptions) -> TokenManagerOptions,
) -> Manager {
    let platform = Arc::new(Fake {
        storage: storage.clone(),
        began: Instant::now(),
        rotations: AtomicUsize::new(0),
    });
    let options = TokenManagerOptions::new("https://chat.example.com", "ann");
    let (manager, driver) = TokenManager::new(platform, configure(options));
    tokio::spawn(driver);
    manager
}

/// Time passes, by the clock of the test.
async fn pass(time: Duration) {
    sleep(time).await;
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn in_use(manager: &Manager) -> String {
    manager.tokens().unwrap().refresh_token
}

fn ends(events: &mut Events) -> Vec<EndReason> {
    let mut ends = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::Ended { reason, .. } = event {
            ends.push(reason);
        }
    }
    ends
}

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

/// A client whose backend keeps the refresh token, and says `answer`.
async fn hosted(
    answer: impl Fn(usize) -> Result<Value, HostError> + Send + Sync + 'static,
) -> (Manager, Events) {
    let asked = AtomicUsize::new(0);
    let manager = manager(&Arc::default(), |options| {
        options.refresh_tokens(move || {
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
