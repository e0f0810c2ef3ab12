//! One session of a [`TokenManager`](super::TokenManager), from its start to its stop or end: *when* to
//! refresh, *whose* pair counts and *what is told to whom*.
//!
//! `callers`: what is asked of it. `timetable`: when to refresh. `refresh`: what follows from one. `pairs`: which
//! pair counts. `signals`: what it hears. `ends`: failures in a row, and the end.
//!
//! Its tasks are polled by one [`Driver`](super::Driver) and never beside each other, so that between two
//! awaits nothing changes under their hands. Closing a session drops them, and with them every request,
//! timer and lock: nothing is saved, told or scheduled for a session that is over.

mod callers;
mod ends;
mod pairs;
mod refresh;
mod signals;
mod timetable;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use chatsdk_types::Millis;
use tokio::sync::{Notify, oneshot, watch};

use super::clocks::Now;
use super::lock;
use super::manager::Shared;
use super::pair::Pair;
use super::vault::Vault;
use crate::error::{Error, RefreshError};
use crate::platform::{Platform, Signals as _};

/// Something that goes on by itself.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Session<P> {
    pub(crate) shared: Arc<Shared<P>>,
    state: Mutex<State>,
    /// Tasks that are not polled yet.
    spawned: Mutex<Vec<Task>>,
    closed: AtomicBool,
    /// Something changed that the schedule hangs on.
    kick: Notify,
    /// Lets the pause before a refresh end early.
    wake: Notify,
    /// Pairs are told of one at a time, in order.
    telling: tokio::sync::Mutex<()>,
    /// What it is being begun with, until it has begun.
    starting: watch::Sender<Option<Arc<Pair>>>,
}

#[derive(Default)]
struct State {
    pair: Option<Arc<Pair>>,
    /// Drawn once for each pair.
    jitter: Millis,
    /// The last pair that somebody else told of; in use once the host was told of it too.
    heard: Option<Arc<Pair>>,
    /// The rank of the newest pair that the host was told of.
    told: Option<i64>,
    /// How often in a row the host could not take note.
    misses: u32,
    /// Somebody asks for a refresh before it is due.
    wanted: bool,
    running: bool,
    /// When a failed refresh is tried again, by the monotonic clock.
    retry_at: Option<Millis>,
    /// Not before this moment of the monotonic clock may a retry come: the server said so.
    retry_not_before: Millis,
    /// Not before this moment is a retry brought forward again.
    calm_until: Millis,
    /// Who waits until the refresh that runs has come to something.
    flight: Vec<oneshot::Sender<()>>,
    waiters: Vec<Waiter>,
    failures: u32,
    failing_since: Millis,
    reported: bool,
    last_error: Option<Arc<RefreshError>>,
    early: Vec<Millis>,
}

/// Who waits for a token other than one that will not do.
struct Waiter {
    not: Option<String>,
    reply: oneshot::Sender<Result<String, Error>>,
}

/// What the driver asks.
impl<P> Session<P> {
    /// Whether tasks were begun since they were last taken.
    pub(crate) fn has_spawned(&self) -> bool {
        !lock(&self.spawned).is_empty()
    }

    /// The tasks that were begun since this was last asked.
    pub(crate) fn take_spawned(&self) -> Vec<Task> {
        std::mem::take(&mut *lock(&self.spawned))
    }
}

impl<P: Platform> Session<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>) -> Self {
        Self {
            shared,
            state: Mutex::default(),
            spawned: Mutex::default(),
            closed: AtomicBool::new(false),
            kick: Notify::new(),
            wake: Notify::new(),
            telling: tokio::sync::Mutex::default(),
            starting: watch::Sender::new(None),
        }
    }

    /// Whether the session has ended by itself.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Lets go of everything. `reason` is what those hear who wait for a token.
    pub(crate) fn close(&self, reason: &Error) {
        self.closed.store(true, Ordering::Relaxed);
        let mut state = self.state();
        for waiter in std::mem::take(&mut state.waiters) {
            let _gone = waiter.reply.send(Err(reason.clone()));
        }
        *state = State {
            last_error: state.last_error.take(),
            ..State::default()
        };
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.spawned).push(Box::pin(task));
    }

    pub(crate) fn now(&self) -> Now {
        self.shared.clock.now(self.platform())
    }

    pub(crate) fn platform(&self) -> &P {
        &self.shared.platform
    }

    pub(crate) fn vault(&self) -> &Arc<Vault<P>> {
        &self.shared.vault
    }

    /// The newest pair that this process knows of.
    pub(crate) fn newest_here(&self) -> Option<Arc<Pair>> {
        let heard = self.state().heard.clone();
        heard
            .filter(|heard| self.is_newer(heard))
            .or_else(|| self.state().pair.clone())
    }

    /// Whether `pair` is newer than the one in use, and no worse: what nothing can replace, such as the pair of a
    /// process whose backend keeps the refresh token, does not take the place of what this one can refresh.
    fn is_newer(&self, pair: &Pair) -> bool {
        self.state().pair.as_ref().is_some_and(|mine| {
            pair.rank > mine.rank && (self.can_refresh(pair) || !self.can_refresh(mine))
        })
    }

    /// It is about to begin with `given`.
    pub(crate) fn start_with(&self, given: &Arc<Pair>) {
        self.starting.send_replace(Some(given.clone()));
    }

    /// What it is being begun with; `None` once it has begun.
    pub(crate) fn starting(&self) -> Option<Arc<Pair>> {
        self.starting.borrow().clone()
    }

    /// Waits until it has begun.
    pub(crate) async fn begun(&self) {
        let mut starting = self.starting.subscribe();
        let _never_closed = starting.wait_for(Option::is_none).await;
    }

    /// Begins with the pair that the host gave, or with a newer one of the same session that is in storage.
    pub(crate) async fn begin(self: Arc<Self>, given: Arc<Pair>) {
        let (pair, stored) = self.vault().begin(given.clone()).await;
        let mine = pair.tokens.access_token == given.tokens.access_token;
        self.clone().listen();
        if mine {
            // Read again, now that the stored estimate of the server's clock is taken up.
            let mut both = given.tokens.clone();
            // An app that relies on the storage need not have the refresh token.
            if both.refresh_token.is_empty() {
                both.refresh_token.clone_from(&pair.tokens.refresh_token);
            }
            let again = self.read(both, Some(pair.received_at));
            let pair = again.unwrap_or(pair);
            self.publish(&pair);
            if !stored {
                self.save_later(pair);
            }
        } else {
            let kept = self.vault().is_durable();
            self.accept(pair, kept).await;
        }
        self.starting.send_replace(None);
        self.clone().go_on();
    }

    /// Begins with the stored pair, which the host has been told of.
    pub(crate) fn begin_with(self: Arc<Self>, pair: &Arc<Pair>) {
        self.clone().listen();
        self.publish(pair);
        self.go_on();
    }

    fn listen(self: Arc<Self>) {
        let mut signals = self.platform().signals();
        self.clone().spawn(async move {
            loop {
                let signal = signals.next().await;
                self.clone().on_signal(signal);
            }
        });
    }

    fn go_on(self: Arc<Self>) {
        self.spawn(self.clone().schedule());
        let shared = self.shared.clone();
        // Goes on after the session.
        self.shared
            .background
            .add(async move { shared.revoker.go_on(&shared).await });
    }

    /// Takes up a pair that the host got meanwhile, where it is newer than the one in use.
    pub(crate) async fn offer(self: Arc<Self>, given: Arc<Pair>) {
        self.begun().await;
        if self.is_newer(&given) {
            let (newest, _stored) = self.vault().begin(given).await;
            // The app has it.
            self.adopt(newest, true).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
