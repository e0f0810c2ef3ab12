//! One session of a [`TokenManager`](super::TokenManager), from its start to its stop or end: *when* to
//! refresh, *whose* pair counts and *what is told to whom*.
//!
//! Its tasks are polled by one [`Driver`](super::Driver) and never beside each other, so that between two
//! awaits nothing changes under their hands. Closing a session drops them, and with them every request,
//! timer and lock: nothing is saved, told or scheduled for a session that is over.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatsdk_types::Millis;
use futures_util::future::select;
use tokio::sync::{Notify, oneshot};

use super::attempt::{Outcome, attempt};
use super::clocks::Now;
use super::manager::{Shared, TokenState};
use super::pair::{Origin, Pair, Tokens};
use super::request::{Trouble, Verdict, request_pair};
use super::revoke::revoke_later;
use super::schedule::{backoff, effective_buffer, floor, jitter};
use super::vault::{Saved, Stored, Vault};
use crate::error::{EndReason, Error, RefreshError, RefreshErrorKind};
use crate::events::Event;
use crate::platform::{PeerMessage, Platform, Signal, Signals as _};
use crate::within::{hold, within};

/// Something that goes on by itself.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long the host's `on_token_refresh` is waited for, in ms.
const CALLBACK_TIMEOUT: Millis = 5_000;
/// How long somebody else's refresh is waited for, in ms.
const LOCK_WAIT: Millis = 5_000;
/// How long the host's `refresh_tokens` is waited for, in ms.
const HOST_TIMEOUT: Millis = 10_000;
/// Pauses before a failed save is tried again, in ms; the last one again and again, because a pair that is in
/// memory alone is lost with the process.
const SAVE_RETRIES: [Millis; 4] = [1_000, 5_000, 30_000, 300_000];
/// So many refreshes in a minute may be forced before they are due.
const EARLY_PER_MINUTE: usize = 10;
/// The longest that a failure is waited after, in ms.
const LONGEST_PAUSE: Millis = 3_600_000;

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
    /// The rank of the newest pair that the host was told of. Pairs are told of one at a time, in order.
    told: tokio::sync::Mutex<i64>,
}

#[derive(Default)]
struct State {
    pair: Option<Arc<Pair>>,
    /// The rank of a pair that the storage did not take: nobody can have it from there.
    memory_only: Option<i64>,
    /// Drawn once for each pair.
    jitter: Millis,
    /// The last pair that somebody else told of; in use once the host was told of it too.
    heard: Option<Arc<Pair>>,
    /// Somebody asks for a refresh before it is due.
    wanted: bool,
    running: bool,
    /// When a failed refresh is tried again, by the monotonic clock.
    retry_at: Option<Millis>,
    /// Not before this moment of the monotonic clock may a retry come: the server said so.
    retry_not_before: Millis,
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

/// What the schedule does next.
enum Step {
    Refresh,
    Wait(Millis),
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
            told: tokio::sync::Mutex::new(i64::MIN),
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

    // ---- what attempts ask ------------------------------------------------------------------------------

    pub(crate) fn now(&self) -> Now {
        self.shared.clock.now(self.platform())
    }

    pub(crate) fn platform(&self) -> &P {
        &self.shared.platform
    }

    pub(crate) fn vault(&self) -> &Vault<P> {
        &self.shared.vault
    }

    /// The newest pair that this process knows of.
    pub(crate) fn newest_here(&self) -> Option<Arc<Pair>> {
        let state = self.state();
        match (&state.pair, &state.heard) {
            (Some(pair), Some(heard)) if heard.rank > pair.rank => Some(heard.clone()),
            (pair, _) => pair.clone(),
        }
    }

    /// Whether `pair` is in the memory of this process alone.
    pub(crate) fn is_memory_only(&self, pair: &Pair) -> bool {
        self.state().memory_only == Some(pair.rank)
    }

    fn note_stored(&self, pair: &Pair, stored: bool) {
        self.state().memory_only = (!stored).then_some(pair.rank);
    }

    /// Presents the refresh token of `pair`, as something that was begun at `stamp`.
    pub(crate) async fn present(&self, pair: &Pair, stamp: Now) -> Verdict {
        let shared = &self.shared;
        let Some(refresh_tokens) = &shared.options.refresh_tokens else {
            let (url, user) = (&shared.api_url, &shared.options.user_id);
            let token = &pair.tokens.refresh_token;
            return request_pair(self.platform(), &shared.clock, url, user, token, stamp).await;
        };
        let trouble = |kind, reason: String| Verdict::Trouble(Trouble::new(kind, reason));
        match within(self.platform(), HOST_TIMEOUT, refresh_tokens()).await {
            Some(Ok(body)) => {
                match Pair::from_reply(&shared.options.user_id, &body, self.now(), true) {
                    Ok(pair) => Verdict::Pair(pair),
                    Err(why) => {
                        trouble(RefreshErrorKind::Protocol, format!("refresh_tokens: {why}"))
                    }
                }
            }
            Some(Err(why)) => trouble(
                RefreshErrorKind::Network,
                format!("refresh_tokens failed: {why}"),
            ),
            None => trouble(
                RefreshErrorKind::Network,
                format!("refresh_tokens failed: no answer within {HOST_TIMEOUT} ms"),
            ),
        }
    }

    // ---- the beginning ----------------------------------------------------------------------------------

    /// Begins with the pair that the host gave, or with a newer one of the same session that is in storage.
    pub(crate) async fn begin(self: Arc<Self>, given: Arc<Pair>) {
        let (pair, stored) = self.vault().begin(given.clone()).await;
        self.note_stored(&pair, stored);
        let mine = pair.tokens.access_token == given.tokens.access_token;
        self.clone().listen();
        if mine {
            // Read again, now that the stored estimate of the server's clock is taken up.
            let again = self.read(given.tokens.clone(), Some(pair.received_at));
            self.publish(&again.unwrap_or(pair));
        } else {
            self.accept(pair).await;
        }
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
        self.spawn(async move {
            let waiting = shared.vault.outbox().await;
            revoke_later(&*shared.platform, &shared.api_url, &shared.vault, waiting).await;
        });
    }

    /// Takes up a pair that the host got meanwhile, where it is newer than the one in use.
    pub(crate) async fn offer(self: Arc<Self>, given: Arc<Pair>) {
        if self
            .state()
            .pair
            .as_ref()
            .is_some_and(|pair| given.rank > pair.rank)
        {
            let (newest, stored) = self.vault().begin(given).await;
            self.note_stored(&newest, stored);
            self.adopt(newest).await;
        }
    }

    // ---- what callers ask -------------------------------------------------------------------------------

    /// A token that works now; waits for a refresh where the one in use has ended.
    pub(crate) async fn token(
        self: Arc<Self>,
        min_ttl: Millis,
        reply: oneshot::Sender<Result<String, Error>>,
    ) {
        let _gone = reply.send(self.token_or_error(min_ttl).await);
    }

    async fn token_or_error(&self, min_ttl: Millis) -> Result<String, Error> {
        let flight = {
            let mut state = self.state();
            let pair = state.pair.clone().ok_or(Error::NotConnected)?;
            let left = pair.life_left(self.now());
            if left > 0 {
                let margin = min_ttl.min(effective_buffer(pair.ttl, self.shared.buffer()));
                if left <= margin && state.retry_at.is_none() {
                    self.want(&mut state);
                }
                return Ok(pair.tokens.access_token.clone());
            }
            // Within the pause after a failure nobody gets further than the failure did.
            if let (Some(_), Some(error)) = (state.retry_at, &state.last_error) {
                return Err(error.clone().into());
            }
            let (sender, flight) = oneshot::channel();
            state.flight.push(sender);
            self.want(&mut state);
            flight
        };
        let _settled = flight.await;
        let state = self.state();
        match (&state.pair, &state.last_error) {
            (Some(pair), _) if pair.is_usable(self.now()) => Ok(pair.tokens.access_token.clone()),
            (_, Some(error)) => Err(error.clone().into()),
            _ => Err(Error::Disconnected),
        }
    }

    /// A token that works and is not `refused`, however long that takes.
    pub(crate) fn token_other_than(
        &self,
        refused: Option<String>,
        reply: oneshot::Sender<Result<String, Error>>,
    ) {
        let mut state = self.state();
        if let Some(pair) = &state.pair
            && Some(&pair.tokens.access_token) != refused.as_ref()
            && pair.is_usable(self.now())
        {
            let _gone = reply.send(Ok(pair.tokens.access_token.clone()));
            return;
        }
        state.waiters.retain(|waiter| !waiter.reply.is_closed());
        state.waiters.push(Waiter {
            not: refused,
            reply,
        });
        if state.retry_at.is_none() {
            self.want(&mut state);
        }
    }

    fn want(&self, state: &mut State) {
        if !state.running {
            state.wanted = true;
            self.kick.notify_one();
        }
    }

    // ---- when -------------------------------------------------------------------------------------------

    /// Refreshes whenever it is time. Never sets a long timer: sleep, throttling and jumps show within a
    /// tick.
    async fn schedule(self: Arc<Self>) {
        loop {
            let step = self.next_step();
            match step {
                Step::Refresh => {
                    self.refresh().await;
                    let mut state = self.state();
                    state.running = false;
                    for waiting in std::mem::take(&mut state.flight) {
                        let _gone = waiting.send(());
                    }
                }
                Step::Wait(ms) => {
                    let sleep = pin!(self.platform().sleep(ms));
                    let kick = pin!(self.kick.notified());
                    select(sleep, kick).await;
                }
            }
        }
    }

    fn next_step(&self) -> Step {
        let (now, platform) = (self.now(), self.platform());
        let mut state = self.state();
        let Some(pair) = state.pair.clone() else {
            return Step::Wait(platform.tick());
        };
        let wait = if state.wanted {
            0
        } else if let Some(at) = state.retry_at {
            (at - now.mono).min(platform.tick())
        } else {
            let wait = self.due(&state, &pair) - pair.elapsed(now);
            let idle = !platform.visible() && !(self.shared.options.in_use)();
            match wait {
                1.. => wait.min(platform.tick()),
                _ if idle => platform.tick(),
                _ => 0,
            }
        };
        if wait > 0 {
            return Step::Wait(wait);
        }
        state.wanted = false;
        state.retry_at = None;
        state.running = true;
        Step::Refresh
    }

    /// When the pair in use is to be refreshed, in ms since it was taken up.
    fn due(&self, state: &State, pair: &Pair) -> Millis {
        if !self.can_refresh(pair) {
            return pair.left;
        }
        pair.left - effective_buffer(pair.ttl, self.shared.buffer()) + state.jitter
    }

    fn can_refresh(&self, pair: &Pair) -> bool {
        !pair.tokens.refresh_token.is_empty() || self.shared.options.refresh_tokens.is_some()
    }

    fn on_signal(self: Arc<Self>, signal: Signal) {
        match signal {
            Signal::Peer(message) => self.on_peer(message),
            Signal::StorageChanged => {
                let session = self.clone();
                self.spawn(async move { session.look().await });
            }
            // Everybody comes back at the same moment; not everybody has to ask at the same moment.
            Signal::Online(true) => self.resume((self.platform().random() * 3_000.0) as Millis),
            Signal::Online(false) => {}
            Signal::Resumed => self.resume(0),
        }
    }

    /// It may have slept, or the network is back: what waited for a retry goes `delay` ms from now.
    fn resume(&self, delay: Millis) {
        let mono = self.now().mono;
        let mut state = self.state();
        if state.retry_at.is_some() {
            state.retry_at = Some((mono + delay).max(state.retry_not_before));
        }
        drop(state);
        self.kick.notify_one();
    }

    fn on_peer(self: Arc<Self>, message: PeerMessage) {
        match message {
            PeerMessage::SignedOut => self.signed_out(),
            PeerMessage::Who => {
                let pair = self.state().pair.clone();
                if let Some(pair) = pair {
                    self.tell_peers(&pair);
                }
            }
            PeerMessage::Tokens {
                tokens,
                ttl,
                received_at,
                offset,
            } => {
                self.shared.clock.assume(offset);
                let origin = Origin {
                    ttl: Some(ttl),
                    received_at: Some(received_at),
                    ..Origin::default()
                };
                let user = &self.shared.options.user_id;
                if let Some(pair) = Pair::make(user, tokens, self.now(), origin) {
                    self.state().heard = Some(pair.clone());
                    let session = self.clone();
                    self.spawn(async move { session.adopt(pair).await });
                }
            }
        }
    }

    fn tell_peers(&self, pair: &Pair) {
        self.platform().tell(PeerMessage::Tokens {
            tokens: pair.tokens.clone(),
            ttl: pair.ttl,
            received_at: pair.received_at,
            offset: self.shared.clock.offset(),
        });
    }

    /// Somebody else changed the storage.
    async fn look(&self) {
        let known = self
            .state()
            .pair
            .as_ref()
            .map_or(i64::MIN, |pair| pair.rank);
        match self.vault().read(known).await {
            Stored::SignedOut => self.signed_out(),
            Stored::Pair(Some(pair)) => self.adopt(pair).await,
            Stored::Pair(None) | Stored::Unknown => {}
        }
    }

    // ---- the refresh ------------------------------------------------------------------------------------

    /// Refreshes once for all who ask. Done when there is a pair, a failure or an end.
    async fn refresh(self: &Arc<Self>) {
        let Some(old) = self.state().pair.clone() else {
            return;
        };
        if !self.can_refresh(&old) {
            // Nothing can be asked for. A token that still works goes on doing so.
            if !old.is_usable(self.now()) {
                let why =
                    "The access token has expired and there is no refresh token: sign in again.";
                self.end(EndReason::RefreshTokenMissing, why, None, None);
            }
            return;
        }
        self.shared.set_state(TokenState::Refreshing);
        let pause = floor(old.ttl) - old.age(self.now());
        if pause > 0 {
            let sleep = pin!(self.platform().sleep(pause));
            let wake = pin!(self.wake.notified());
            select(sleep, wake).await;
        }
        let is_old = |pair: &Arc<Pair>| Arc::ptr_eq(pair, &old);
        if !self.state().pair.as_ref().is_some_and(is_old) {
            return self.settle();
        }
        if !self.may_force(&old) {
            return self.failed(Trouble {
                retry_after: 60_000,
                ..Trouble::new(
                    RefreshErrorKind::Protocol,
                    "the token was refused more than ten times in a minute",
                )
            });
        }
        // The lock is released before anything of the host's is called.
        let name = &self.shared.refresh_lock;
        let outcome = hold(self.platform(), name, LOCK_WAIT, attempt(self, &old)).await;
        match outcome {
            Outcome::SignedOut => self.signed_out(),
            // A pair that was adopted meanwhile needs no second try: it is not due.
            Outcome::Trouble(_) if self.has_newer_than(&old) => {}
            Outcome::Trouble(trouble) => self.failed(trouble),
            Outcome::Fatal { fatal, pair } => {
                let shared = self.shared.clone();
                self.shared
                    .background(async move { shared.vault.discard(&pair).await });
                let reason = EndReason::Refused(fatal.code);
                self.end(
                    reason,
                    fatal.code.title(),
                    Some(fatal.status),
                    fatal.request_id,
                );
            }
            Outcome::Pair { pair, stored } => {
                self.note_stored(&pair, stored);
                self.accept(pair.clone()).await;
                if stored {
                    self.tell_peers(&pair);
                } else {
                    self.save_later(pair);
                }
            }
        }
        self.settle();
    }

    /// Whether a pair that works has taken the place of `old`.
    fn has_newer_than(&self, old: &Pair) -> bool {
        let now = self.now();
        let state = self.state();
        let current = state.pair.as_ref();
        current.is_some_and(|pair| pair.rank > old.rank && pair.is_usable(now))
    }

    fn settle(&self) {
        if !self.is_closed() && self.shared.state() == TokenState::Refreshing {
            self.shared.set_state(TokenState::Valid);
        }
    }

    /// Counts refreshes that come before they are due, and stops them when something drives them in a
    /// circle.
    fn may_force(&self, old: &Pair) -> bool {
        let now = self.now();
        let mut state = self.state();
        if old.elapsed(now) >= self.due(&state, old) {
            return true;
        }
        state.early.retain(|at| now.mono - at < 60_000);
        if state.early.len() >= EARLY_PER_MINUTE {
            return false;
        }
        state.early.push(now.mono);
        true
    }

    // ---- pairs ------------------------------------------------------------------------------------------

    /// The pair that these tokens are, or `None` where they are not the user's.
    fn read(&self, tokens: Tokens, received_at: Option<Millis>) -> Option<Arc<Pair>> {
        let origin = Origin {
            received_at,
            ..Origin::default()
        };
        Pair::make(&self.shared.options.user_id, tokens, self.now(), origin)
    }

    /// Takes up a pair that somebody else got, where it is newer.
    async fn adopt(&self, pair: Arc<Pair>) {
        let newer = |current: &Arc<Pair>| pair.rank > current.rank;
        if self.state().pair.as_ref().is_some_and(newer) {
            self.accept(pair).await;
        }
    }

    /// Tells the host of `pair`, and then uses it. It is saved already.
    async fn accept(&self, pair: Arc<Pair>) {
        {
            let mut told = self.told.lock().await;
            if let Some(on_token_refresh) = &self.shared.options.on_token_refresh
                && pair.rank > *told
            {
                *told = pair.rank;
                let call = on_token_refresh(pair.tokens.clone());
                let why = match within(self.platform(), CALLBACK_TIMEOUT, call).await {
                    Some(Ok(())) => None,
                    Some(Err(why)) => Some(why),
                    None => Some(format!("no answer within {CALLBACK_TIMEOUT} ms")),
                };
                if let Some(why) = why {
                    self.shared.callback_failed(&why);
                }
            }
        }
        let newer = self
            .state()
            .pair
            .as_ref()
            .is_none_or(|current| pair.rank > current.rank);
        if newer {
            self.publish(&pair);
        }
    }

    /// Uses `pair` from now on.
    fn publish(&self, pair: &Arc<Pair>) {
        let usable = pair.is_usable(self.now());
        let mut state = self.state();
        let buffer = effective_buffer(pair.ttl, self.shared.buffer());
        state.jitter = jitter(buffer, self.platform().random());
        state.pair = Some(pair.clone());
        state.failures = 0;
        state.reported = false;
        state.last_error = None;
        state.retry_at = None;
        state.wanted = false;
        if usable {
            let token = &pair.tokens.access_token;
            for waiter in std::mem::take(&mut state.waiters) {
                if waiter.not.as_ref() == Some(token) {
                    state.waiters.push(waiter);
                } else {
                    let _gone = waiter.reply.send(Ok(token.clone()));
                }
            }
        }
        drop(state);
        self.wake.notify_waiters();
        self.kick.notify_one();
        self.shared.use_pair(pair, usable);
    }

    /// Tries again to save a pair that is in use though the storage failed.
    fn save_later(self: &Arc<Self>, pair: Arc<Pair>) {
        let session = self.clone();
        self.spawn(async move {
            let mut pauses = SAVE_RETRIES.into_iter();
            let mut pause = 0;
            loop {
                pause = pauses.next().unwrap_or(pause);
                session.platform().sleep(pause).await;
                let is_ours = |current: &Arc<Pair>| Arc::ptr_eq(current, &pair);
                if !session.state().pair.as_ref().is_some_and(is_ours) {
                    return;
                }
                match session.vault().save(&pair, || true).await {
                    Saved::Failed => {}
                    Saved::Newer(newer) => return session.adopt(newer).await,
                    Saved::SignedOut => return session.signed_out(),
                    Saved::Kept(_) | Saved::Late => return session.note_stored(&pair, true),
                }
            }
        });
    }

    // ---- failures and ends ------------------------------------------------------------------------------

    /// A refresh came to nothing. The session is kept, and the next try is set.
    fn failed(&self, trouble: Trouble) {
        let (now, platform) = (self.now(), self.platform());
        let mut state = self.state();
        let Some(pair) = state.pair.clone() else {
            return;
        };
        if state.failures == 0 {
            state.failing_since = now.mono;
        }
        state.failures += 1;
        let attempt = state.failures;
        let usable = pair.is_usable(now);
        let slow = trouble.kind == RefreshErrorKind::Configuration
            || trouble.status == Some(400)
            || !platform.online();
        let delay = backoff(attempt, platform.random())
            .max(trouble.retry_after)
            .max(if slow { 60_000 } else { 0 })
            .min(LONGEST_PAUSE);
        state.retry_not_before = now.mono + trouble.retry_after;
        state.retry_at = Some(now.mono + delay);
        let error = Arc::new(RefreshError {
            kind: trouble.kind,
            ended: None,
            message: crate::redact::redact(&format!(
                "Network error: could not refresh the chat session (attempt {attempt}; will keep retrying): {}",
                trouble.reason
            )),
            attempt,
            status: trouble.status,
            request_id: trouble.request_id,
        });
        state.last_error = Some(error.clone());
        // While the token works, nobody is told: it may be over before anybody would notice. An address that
        // is wrong does not get right by itself, so that is told as soon as it matters.
        let patient = attempt >= 5 && now.mono - state.failing_since >= 30_000;
        let tell = !usable
            && !state.reported
            && (patient || trouble.kind == RefreshErrorKind::Configuration);
        state.reported |= tell;
        drop(state);
        self.shared.set_state(if usable {
            TokenState::Stale
        } else {
            TokenState::Expired
        });
        if tell {
            self.shared.report(&error);
            self.shared.events.emit(&Event::RefreshFailed(error));
        }
    }

    fn end(
        &self,
        reason: EndReason,
        message: &str,
        status: Option<u16>,
        request_id: Option<String>,
    ) {
        let error = Arc::new(RefreshError {
            kind: RefreshErrorKind::Fatal,
            ended: Some(reason),
            message: message.to_owned(),
            attempt: self.state().failures + 1,
            status,
            request_id,
        });
        self.state().last_error = Some(error.clone());
        self.close(&error.clone().into());
        self.shared.over(TokenState::Ended, Some(error.clone()));
        self.shared.report(&error);
        self.shared.events.emit(&Event::Ended {
            reason,
            error: Some(error),
        });
    }

    fn signed_out(&self) {
        if self.is_closed() {
            return;
        }
        self.close(&Error::Disconnected);
        self.shared.over(TokenState::Ended, None);
        self.shared.events.emit(&Event::Ended {
            reason: EndReason::LoggedOut,
            error: None,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
