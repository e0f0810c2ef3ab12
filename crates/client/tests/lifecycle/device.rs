//! A device on a clock that is moved, and managers on it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_client::EndReason;
use chatsdk_client::Event;
use chatsdk_client::Events;
use chatsdk_client::TokenManager;
use chatsdk_client::TokenManagerOptions;
use chatsdk_client::Tokens;
use chatsdk_client::platform::HttpReply;
use chatsdk_client::platform::Platform;
use chatsdk_client::platform::Signal;
use chatsdk_client::platform::Signals;
use chatsdk_client::platform::Storage;
use chatsdk_client::platform::StorageFault;
use chatsdk_client::platform::Unreachable;
use chatsdk_types::Millis;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio::time::sleep;

pub(crate) const START: Millis = 1_704_835_200_000;
pub(crate) const HOUR: Millis = 3_600_000;

/// A pair of the `nth` rotation, minted at `at`.
pub(crate) fn pair(nth: i64, at: Millis) -> Tokens {
    pair_of("ses_1", nth, at)
}

/// The same, of the session `sid`.
pub(crate) fn pair_of(sid: &str, nth: i64, at: Millis) -> Tokens {
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
pub(crate) struct Place {
    pub(crate) text: Mutex<Option<String>>,
    pub(crate) volatile: bool,
    pub(crate) alone: bool,
    /// How long each write takes, the first one first; none where the list has ended.
    pub(crate) delays: Mutex<Vec<u64>>,
    /// Whether what is written is refused.
    pub(crate) full: Mutex<bool>,
}

impl Place {
    /// What another process saves here.
    pub(crate) fn put(&self, tokens: &Tokens) {
        *self.text.lock().unwrap() = Some(serde_json::to_string(tokens).unwrap());
    }

    pub(crate) fn record(&self) -> Value {
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
pub(crate) struct Fake {
    pub(crate) storage: Arc<Place>,
    pub(crate) began: Instant,
    pub(crate) rotations: AtomicUsize,
    /// Whether it refuses every refresh token instead.
    pub(crate) refuses: AtomicBool,
    /// What it was asked.
    pub(crate) asked: Mutex<Vec<Value>>,
    pub(crate) hidden: AtomicBool,
    /// Wakes whoever listens: the storage changed.
    pub(crate) changed: Arc<Notify>,
}

pub(crate) struct Changes(Arc<Notify>);

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

pub(crate) type Manager = TokenManager<Fake>;

pub(crate) fn manager(
    storage: &Arc<Place>,
    configure: impl FnOnce(TokenManagerOptions) -> TokenManagerOptions,
) -> Manager {
    manager_on(&device(storage), configure)
}

pub(crate) fn device(storage: &Arc<Place>) -> Arc<Fake> {
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

pub(crate) fn manager_on(
    device: &Arc<Fake>,
    configure: impl FnOnce(TokenManagerOptions) -> TokenManagerOptions,
) -> Manager {
    let options = TokenManagerOptions::new("https://chat.example.com", "ann");
    let (manager, driver) = TokenManager::new(device.clone(), configure(options));
    tokio::spawn(driver);
    manager
}

/// Time passes, by the clock of the test.
pub(crate) async fn pass(time: Duration) {
    sleep(time).await;
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

pub(crate) fn in_use(manager: &Manager) -> String {
    manager.tokens().unwrap().refresh_token
}

pub(crate) fn ends(events: &mut Events) -> Vec<EndReason> {
    let mut ends = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::Ended { reason, .. } = event {
            ends.push(reason);
        }
    }
    ends
}

/// A token of the session `sid`, newer than `pair(0)` to `pair(8)`, that nothing can replace.
pub(crate) fn token_only(sid: &str, at: Millis) -> Tokens {
    Tokens {
        refresh_token: String::new(),
        ..pair_of(sid, 9, at)
    }
}
