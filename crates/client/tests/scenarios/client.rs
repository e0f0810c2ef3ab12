//! A client of a scenario: the real manager in a process of the device, and what it told of.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chatsdk_client::platform::Unreachable;
use chatsdk_client::{
    Credentials, Event, Events, RefreshError, TokenManager, TokenManagerOptions, Tokens,
};
use chatsdk_simulator::device::{Device, Point, SharedStorage, Traits, VirtualPlatform};
use chatsdk_simulator::world::ProcId;
use serde_json::Value;
use tokio::sync::oneshot;

use super::format::{Fallible, Object, duration, flag, only, text, unreadable};
use super::link::{Kind, Link};

const KEYS: &[&str] = &[
    "user",
    "refreshBuffer",
    "random",
    "locks",
    "channel",
    "storageEvents",
    "storage",
    "visible",
    "socket",
    "hostRefresh",
    "onTokenRefresh",
    "onRefreshError",
];

pub(crate) type Manager = TokenManager<VirtualPlatform>;

/// What a client told of since the last `mark`.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) told: Vec<Tokens>,
    pub(crate) errors: Vec<RefreshError>,
    pub(crate) ends: Vec<&'static str>,
    pub(crate) storage_errors: i64,
}

pub(crate) struct Client {
    pub(crate) user: String,
    pub(crate) process: ProcId,
    pub(crate) manager: Manager,
    /// What the last connect failed with.
    pub(crate) connect_error: Arc<Mutex<Option<&'static str>>>,
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) visible: Arc<AtomicBool>,
    events: Events,
    session: Arc<Mutex<String>>,
    options: Object,
    device: Arc<Device>,
    link: Arc<Link>,
    place: Arc<SharedStorage>,
}

impl Client {
    pub(crate) fn new(
        world: &Object,
        own: &Object,
        device: &Arc<Device>,
        link: &Arc<Link>,
        place: impl FnOnce(&str) -> Arc<SharedStorage>,
    ) -> Fallible<Self> {
        let mut options = Object::new();
        for name in ["random", "locks", "channel", "storageEvents"] {
            if let Some(value) = world.get(name) {
                options.insert(name.to_owned(), value.clone());
            }
        }
        options.extend(own.clone());
        only(&options, KEYS)?;
        let user = options.get("user").map_or(Ok("ann"), text)?.to_owned();
        let storage = match options.get("storage") {
            Some(name) => text(name)?.to_owned(),
            None if user == "ann" => "shared".to_owned(),
            None => format!("shared:{user}"),
        };
        let place = place(&storage);
        let (log, session) = <(Arc<Mutex<Log>>, Arc<Mutex<String>>)>::default();
        let visible = Arc::new(AtomicBool::new(flag(&options, "visible", true)?));
        let begun = begin(
            &options, &user, device, link, &place, &log, &session, &visible,
        )?;
        let (process, manager) = begun;
        Ok(Self {
            events: manager.events(),
            user,
            process,
            manager,
            connect_error: Arc::default(),
            log,
            visible,
            session,
            options,
            device: device.clone(),
            link: link.clone(),
            place,
        })
    }

    /// The app calls `connect`. A process that is gone is started anew.
    pub(crate) fn connect(&mut self, pair: &Tokens, given: &Object, session: &str) -> Fallible<()> {
        if !self.device.world.lives(self.process) {
            self.take_events();
            (self.process, self.manager) = begin(
                &self.options,
                &self.user,
                &self.device,
                &self.link,
                &self.place,
                &self.log,
                &self.session,
                &self.visible,
            )?;
            self.events = self.manager.events();
        }
        session.clone_into(&mut self.session.lock().unwrap());
        *self.connect_error.lock().unwrap() = None;
        let credentials = self.credentials(pair, given)?;
        let tokens = match credentials.read(self.device.wall()) {
            Ok(tokens) => tokens,
            Err(error) => {
                *self.connect_error.lock().unwrap() = Some(error.code());
                return Ok(());
            }
        };
        let (manager, failed) = (self.manager.clone(), self.connect_error.clone());
        self.call(async move {
            if let Err(error) = manager.start(tokens).await {
                *failed.lock().unwrap() = Some(error.code());
            }
        });
        Ok(())
    }

    fn credentials(&self, pair: &Tokens, given: &Object) -> Fallible<Credentials> {
        only(given, &["token", "refreshToken", "expiresAt"])?;
        let mut credentials = Credentials {
            user_id: self.user.clone(),
            token: pair.access_token.clone(),
            refresh_token: Some(pair.refresh_token.clone()),
            expires_at: Some(pair.expires_at),
        };
        if let Some(token) = given.get("token") {
            text(token)?.clone_into(&mut credentials.token);
        }
        if let Some(token) = given.get("refreshToken") {
            credentials.refresh_token = token.as_str().map(str::to_owned);
        }
        if flag(&self.options, "hostRefresh", false)? {
            credentials.refresh_token = None;
        }
        credentials.expires_at = match given.get("expiresAt") {
            None => credentials.expires_at,
            Some(Value::Number(number)) => number.as_i64(),
            Some(value) => match text(value)? {
                "seconds" => Some(pair.expires_at / 1_000),
                // What is no number cannot be passed.
                _ => None,
            },
        };
        Ok(credentials)
    }

    /// Calls the manager, from outside of its process.
    pub(crate) fn call(&self, work: impl Future<Output = ()> + Send + 'static) {
        let process = self.device.world.reserve();
        self.device.world.begin(process, work);
    }

    /// Notes the events that have happened.
    pub(crate) fn take_events(&mut self) {
        let mut log = self.log.lock().unwrap();
        while let Some(event) = self.events.try_next() {
            match event {
                Event::Ended { reason, .. } => log.ends.push(reason.as_str()),
                Event::StorageFailed(_) => log.storage_errors += 1,
                _ => {}
            }
        }
    }

    pub(crate) fn forget(&mut self) {
        self.take_events();
        *self.log.lock().unwrap() = Log::default();
    }

    pub(crate) fn show(&self, visible: bool) {
        self.visible.store(visible, Ordering::Relaxed);
    }
}

#[expect(clippy::too_many_arguments, reason = "all that a process begins with")]
fn begin(
    options: &Object,
    user: &str,
    device: &Arc<Device>,
    link: &Arc<Link>,
    place: &Arc<SharedStorage>,
    log: &Arc<Mutex<Log>>,
    session: &Arc<Mutex<String>>,
    visible: &Arc<AtomicBool>,
) -> Fallible<(ProcId, Manager)> {
    let process = device.world.reserve();
    let random = options.get("random").and_then(Value::as_f64).unwrap_or(0.5);
    let traits = Traits {
        channel: flag(options, "channel", true)?.then(|| user.to_owned()),
        locks: flag(options, "locks", true)?,
        storage_events: flag(options, "storageEvents", true)?,
        tick: 30_000,
    };
    let platform = Arc::new(VirtualPlatform::new(
        device.clone(),
        process,
        place.clone(),
        traits,
        move || random,
        visible.clone(),
    ));
    let socket = flag(options, "socket", true)?;
    let mut made =
        TokenManagerOptions::new("https://chat.example.com", user).in_use(move || socket);
    if let Some(buffer) = options.get("refreshBuffer") {
        made = made.refresh_buffer(duration(buffer)?);
    }
    if flag(options, "hostRefresh", false)? {
        let (link, session) = (link.clone(), session.clone());
        made = made.refresh_tokens(move |sent_at| {
            let (link, session) = (link.clone(), session.lock().unwrap().clone());
            async move {
                let token = link.lock().names.newest(&session)?.refresh_token;
                let (reply, answer) = oneshot::channel();
                link.request(Kind::Host, &token, Some(sent_at), process, reply);
                let answer = answer.await.unwrap_or(Err(Unreachable("gone".to_owned())));
                let answer = answer.map_err(|why| why.to_string())?;
                if !matches!(answer.status, 200 | 408) {
                    return Err(format!("the backend answered {}", answer.status).into());
                }
                let mut body: Value = serde_json::from_str(&answer.body).unwrap();
                body.as_object_mut().unwrap().remove("refreshToken");
                Ok(body)
            }
        });
    }
    let how = |name: &str| -> Fallible<String> {
        let how = options.get(name).map_or(Ok("ok"), text)?;
        match how {
            "ok" | "throw" | "hang" | "absent" => Ok(how.to_owned()),
            _ => Err(unreadable("a behaviour", &options[name])),
        }
    };
    let on_token = how("onTokenRefresh")?;
    if on_token != "absent" {
        let (log, platform) = (log.clone(), platform.clone());
        made = made.on_token_refresh(move |tokens| {
            let (log, platform, how) = (log.clone(), platform.clone(), on_token.clone());
            async move {
                platform.point(Point::Telling).await;
                log.lock().unwrap().told.push(tokens);
                match how.as_str() {
                    "throw" => Err("the callback of the app fails".to_owned()),
                    "hang" => pending().await,
                    _ => Ok(()),
                }
            }
        });
    }
    // Callbacks of errors cannot hang in Rust.
    let on_error = how("onRefreshError")?;
    if on_error != "absent" {
        let log = log.clone();
        made = made.on_refresh_error(move |error| {
            log.lock().unwrap().errors.push(error.clone());
            if on_error == "throw" {
                // A panic that the hook does not print.
                std::panic::resume_unwind(Box::new("the callback of the app fails"));
            }
        });
    }
    let (manager, driver) = TokenManager::new(platform, made);
    device.world.begin(process, driver);
    Ok((process, manager))
}
