//! A tab: a process of an app that uses the client as apps do.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chatsdk_client::platform::Platform as _;
use chatsdk_client::{Event, TokenManager, TokenManagerOptions};
use chatsdk_types::Millis;
use futures_util::future::{Either, select};

use crate::device::{Device, Point, Traits, VirtualPlatform};
use crate::life::{Life, MINUTE, Revoked, SECOND, USER, about_the_access_token};
use crate::server::claims;
use crate::world::ProcId;

/// The client of a tab.
pub type Manager = TokenManager<VirtualPlatform>;

/// Where the server is, as far as a tab knows.
const API: &str = "https://chat.example.com";

/// A tab.
#[derive(Debug)]
pub struct Tab {
    life: Arc<Life>,
    platform: Arc<VirtualPlatform>,
    manager: Manager,
}

impl Tab {
    /// Opens a tab that is open until it is killed.
    pub fn open(life: &Arc<Life>, device: &Arc<Device>, traits: Traits) -> (ProcId, Manager) {
        let process = life.world.reserve();
        let platform = platform(life, device, process, traits);
        let telling = platform.clone();
        let options = TokenManagerOptions::new(API, USER).on_token_refresh(move |_| {
            let platform = telling.clone();
            async move {
                platform.point(Point::Telling).await;
                Ok(())
            }
        });
        let (manager, driver) = TokenManager::new(platform.clone(), options);
        let tab = Self {
            life: life.clone(),
            platform,
            manager: manager.clone(),
        };
        life.world.begin(process, async move {
            select(pin!(driver), pin!(tab.run())).await;
        });
        (process, manager)
    }

    /// The user logs out, in a tab that is open for nothing else.
    pub fn log_out(life: &Arc<Life>, device: &Arc<Device>, traits: Traits) {
        let process = life.world.reserve();
        let platform = platform(life, device, process, traits);
        let (manager, driver) =
            TokenManager::new(platform.clone(), TokenManagerOptions::new(API, USER));
        let life = life.clone();
        let world = life.world.clone();
        world.begin(process, async move {
            let script = async {
                if !matches!(manager.resume().await, Ok(true)) {
                    return;
                }
                let tokens = manager.tokens();
                life.tell(|| {
                    let session = tokens
                        .as_ref()
                        .and_then(|tokens| claims(&tokens.access_token));
                    format!("{platform:?} logs out of {session:?}")
                });
                if let Some((session, ..)) = tokens.and_then(|tokens| claims(&tokens.access_token))
                {
                    let mut state = life.lock();
                    state.counts.logouts += 1;
                    // Whatever becomes of the revocation, nobody may call it an accident from now on.
                    state
                        .revoked
                        .entry(session.clone())
                        .or_insert(Revoked::ByUser);
                    state.over.insert(session);
                }
                manager.logout().await;
                platform.sleep(10 * MINUTE).await;
            };
            select(pin!(driver), pin!(script)).await;
        });
    }

    async fn run(self) {
        loop {
            let mut events = self.manager.events();
            self.begin().await;
            let mut session = self
                .manager
                .tokens()
                .and_then(|tokens| claims(&tokens.access_token))
                .map(|(session, ..)| session);
            let life = &self.life;
            let platform = &self.platform;
            let ended = pin!(async move {
                loop {
                    match events.next().await {
                        Some(Event::Refreshed { session: next, .. }) => {
                            session = next.and_then(|session| session.parse().ok());
                        }
                        Some(Event::Ended { reason, .. }) => return (session, reason),
                        Some(Event::StorageFailed(error)) => {
                            life.tell(|| format!("{platform:?}: {error}"));
                        }
                        Some(_) => {}
                        None => pending().await,
                    }
                }
            });
            let used = pin!(async {
                loop {
                    self.use_after(self.think()).await;
                }
            });
            let (session, reason) = match select(ended, used).await {
                Either::Left((ended, _)) => ended,
                Either::Right((never, _)) => never,
            };
            if let Some(session) = &session {
                self.life.ended(session, Some(reason));
            }
            self.pause(5 * SECOND).await;
        }
    }

    /// Takes up what is stored; signs in where nothing is.
    async fn begin(&self) {
        loop {
            // What stands there before it is read; another tab may be signing in meanwhile.
            let kept = {
                let state = self.life.lock();
                let current = state.current.clone();
                current.filter(|session| {
                    state.kept.contains(session) || state.refused.contains(session)
                })
            };
            match self.manager.resume().await {
                Ok(true) => return,
                Ok(false) => {
                    let lost = kept.filter(|session| {
                        let state = self.life.lock();
                        !state.over.contains(session) && !state.revoked.contains_key(session)
                    });
                    if let Some(session) = lost {
                        self.life.ended(&session, None);
                    }
                    let tokens = self.life.sign_in();
                    self.platform.sleep(300).await;
                    if self.manager.start(tokens).await.is_ok() {
                        return;
                    }
                }
                // It cannot be known yet.
                Err(_) => {}
            }
            self.pause(20 * SECOND).await;
        }
    }

    fn think(&self) -> Millis {
        let mut state = self.life.lock();
        if state.rng.chance(0.3) {
            state.rng.wait(10 * SECOND)
        } else {
            state.rng.wait(25 * MINUTE)
        }
    }

    async fn pause(&self, mean: Millis) {
        let wait = self.life.lock().rng.wait(mean);
        self.platform.sleep(wait).await;
    }

    /// Waits, and then calls the server as the user.
    async fn use_after(&self, think: Millis) {
        self.platform.sleep(think).await;
        let Ok(token) = self.manager.access_token().await else {
            return;
        };
        if self.call(&token).await {
            return;
        }
        let again = pin!(self.manager.token_other_than(Some(&token)));
        let patience = pin!(self.platform.sleep(MINUTE));
        if let Either::Left((Ok(token), _)) = select(again, patience).await {
            self.call(&token).await;
        }
    }

    /// Calls with `token`, and answers whether it was taken.
    async fn call(&self, token: &str) -> bool {
        let way = self.life.lock().rng.between(5, 2 * SECOND);
        self.platform.sleep(way).await;
        let now = self.life.world.now();
        let mut state = self.life.lock();
        let weather = &state.weather;
        if now < weather.offline_until || now < weather.server_down_until {
            return true;
        }
        state.counts.uses += 1;
        let verified = state.server.verify(token, now);
        self.life.tell(|| {
            let rc = claims(token).map_or(0, |(_, rc, _)| rc);
            format!(
                "{:?} uses {rc}: {:?}",
                self.platform,
                verified.as_ref().err()
            )
        });
        if let Some((session, rc, _)) = claims(token) {
            if let Some(theft) = state.thefts.get_mut(&session) {
                theft.used(rc);
            }
            let used = state.used.entry(session).or_default();
            *used = rc.max(*used);
        }
        !matches!(verified, Err(code) if about_the_access_token(code))
    }
}

fn platform(
    life: &Arc<Life>,
    device: &Arc<Device>,
    process: ProcId,
    traits: Traits,
) -> Arc<VirtualPlatform> {
    let chance = life.clone();
    Arc::new(VirtualPlatform::new(
        device.clone(),
        process,
        life.storage.clone(),
        traits,
        move || chance.lock().rng.unit(),
        Arc::new(AtomicBool::new(true)),
    ))
}
