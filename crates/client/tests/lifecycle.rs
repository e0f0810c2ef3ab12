//! What the scenarios cannot say, on a clock that is moved: storages that are volatile or late, callbacks that panic, backends
//! that keep the refresh token, and calls that are dropped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
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
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

const START: Millis = 1_704_835_200_000;
const HOUR: Millis = 3_600_000;

/// A pair of the `nth` rotation, minted at `at`.
fn pair(nth: i64, at: Millis) -> Tokens {
    pair_of("ses_1", nth, at)
}

/// The same, of the session `sid`.
fn pair_of(sid: &str, nth: i64, at: Millis) -> Tokens {
    let claims = json!({
        "sub": "ann", "sid": sid, "rc": nth, "iat": at / 1_000, "exp": (at + HOUR) / 1_000,
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
    /// What another process saves here.
    fn put(&self, tokens: &Tokens) {
        *self.text.lock().unwrap() = Some(serde_json::to_string(tokens).unwrap());
    }

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
            return Err(StorageFault(
                "no room for eyJhbGci.eyJz-dWI.c2ln".to_owned(),
            ));
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
    /// Whether it refuses every refresh token instead.
    refuses: AtomicBool,
    /// What it was asked.
    asked: Mutex<Vec<Value>>,
    hidden: AtomicBool,
    /// Wakes whoever listens: the storage changed.
    changed: Arc<Notify>,
}

struct Changes(Arc<Notify>);

impl Signals for Changes {
    async fn next(&mut self) -> Signal {
        self.0.notified().await;
        Signal::StorageChanged
    }
}

impl Platform for Fake {
    type Storage = Place;
    type Guard = ();
    type Signals = Changes;

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
        body: String,
    ) -> Result<HttpReply, Unreachable> {
        let asked = serde_json::from_str(&body).unwrap();
        self.asked.lock().unwrap().push(asked);
        let refused = url.ends_with("/auth/refresh") && self.refuses.load(Ordering::Relaxed);
        let body = if refused {
            json!({ "code": "session_revoked", "status": 401, "requestId": "req_1" })
        } else if url.ends_with("/auth/refresh") {
            let nth = self.rotations.fetch_add(1, Ordering::Relaxed) as i64 + 1;
            let mut reply = serde_json::to_value(pair(nth, self.wall())).unwrap();
            reply["serverTime"] = self.wall().into();
            reply["expiresIn"] = (HOUR / 1_000).into();
            reply
        } else {
            json!({})
        };
        Ok(HttpReply {
            status: if refused { 401 } else { 200 },
            content_type: if refused {
                "application/problem+json".to_owned()
            } else {
                "application/json".to_owned()
            },
            retry_after: String::new(),
            body: body.to_string(),
        })
    }

    fn storage(&self) -> &Place {
        &self.storage
    }

    async fn lock(&self, _name: &str) {}

    fn signals(&self) -> Changes {
        Changes(self.changed.clone())
    }

    fn visible(&self) -> bool {
        !self.hidden.load(Ordering::Relaxed)
    }
}

type Manager = TokenManager<Fake>;

fn manager(
    storage: &Arc<Place>,
    configure: impl FnOnce(TokenManagerOptions) -> TokenManagerOptions,
) -> Manager {
    manager_on(&device(storage), configure)
}

fn device(storage: &Arc<Place>) -> Arc<Fake> {
    Arc::new(Fake {
        storage: storage.clone(),
        began: Instant::now(),
        rotations: AtomicUsize::new(0),
        refuses: AtomicBool::new(false),
        asked: Mutex::default(),
        hidden: AtomicBool::new(false),
        changed: Arc::default(),
    })
}

fn manager_on(
    device: &Arc<Fake>,
    configure: impl FnOnce(TokenManagerOptions) -> TokenManagerOptions,
) -> Manager {
    let options = TokenManagerOptions::new("https://chat.example.com", "ann");
    let (manager, driver) = TokenManager::new(device.clone(), configure(options));
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

/// A token of the session `sid`, newer than `pair(0)` to `pair(8)`, that nothing can replace.
fn token_only(sid: &str, at: Millis) -> Tokens {
    Tokens {
        refresh_token: String::new(),
        ..pair_of(sid, 9, at)
    }
}

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
    // The new session may ask for what the logout is still asking for; that is the old one either way.
    let mut asked = device.asked.lock().unwrap().clone();
    asked.dedup();
    assert_eq!(asked, [json!({ "refreshToken": "refresh-0" })]);
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
