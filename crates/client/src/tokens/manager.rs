//! The handle of a session, and the future that keeps it alive.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use chatsdk_types::Millis;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::clocks::ServerClock;
use super::pair::{Origin, Pair, Tokens, User};
use super::revoke::{revoke_later, revoke_once};
use super::schedule::effective_buffer;
use super::session::{Session, Task, lock};
use super::vault::Vault;
use crate::error::{Error, RefreshError, StorageError};
use crate::events::{Emitter, Event, Events};
use crate::platform::{PeerMessage, Platform, StorageFault};

/// How long a token that is asked for should live, unless the caller says otherwise, in ms.
const MIN_TTL: Millis = 30_000;

type OnTokenRefresh = Box<dyn Fn(Tokens) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
type OnRefreshError = Box<dyn Fn(&RefreshError) + Send + Sync>;
type RefreshTokens = Box<dyn Fn() -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;
type InUse = Box<dyn Fn() -> bool + Send + Sync>;
type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Where the token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenState {
    /// Before the start and after the stop.
    Unauthenticated,
    /// The token works.
    Valid,
    /// A refresh is on its way.
    Refreshing,
    /// Refreshing fails, and the token still works.
    Stale,
    /// It works no longer, and the session is kept.
    Expired,
    /// The user has to sign in again.
    Ended,
}

impl TokenState {
    /// The stable name of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Valid => "valid",
            Self::Refreshing => "refreshing",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}

/// What a [`TokenManager`] is made of.
pub struct TokenManagerOptions {
    /// Address of the API, without a slash at its end.
    pub(crate) api_url: String,
    pub(crate) user_id: String,
    pub(crate) refresh_buffer: Millis,
    pub(crate) on_token_refresh: Option<OnTokenRefresh>,
    pub(crate) on_refresh_error: Option<OnRefreshError>,
    pub(crate) refresh_tokens: Option<RefreshTokens>,
    pub(crate) in_use: InUse,
}

impl TokenManagerOptions {
    /// The tokens of `user_id` at the server whose API is at `api_url`.
    pub fn new(api_url: &str, user_id: &str) -> Self {
        Self {
            api_url: api_url.trim_end_matches('/').to_owned(),
            user_id: user_id.to_owned(),
            refresh_buffer: 300_000,
            on_token_refresh: None,
            on_refresh_error: None,
            refresh_tokens: None,
            in_use: Box::new(|| true),
        }
    }

    /// How long before its end an access token is refreshed, in ms; five minutes unless this is called.
    #[must_use]
    pub fn refresh_buffer(mut self, ms: Millis) -> Self {
        self.refresh_buffer = ms.max(0);
        self
    }

    /// Told of each new pair before it is used, once and in order; waited for, up to 5 s. An error is
    /// reported as [`Event::StorageFailed`]; refreshing does not depend on it.
    #[must_use]
    pub fn on_token_refresh<F>(mut self, call: impl Fn(Tokens) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.on_token_refresh = Some(Box::new(move |tokens| Box::pin(call(tokens))));
        self
    }

    /// Told when the session ended, and once in each outage that outlives the access token.
    #[must_use]
    pub fn on_refresh_error(
        mut self,
        call: impl Fn(&RefreshError) + Send + Sync + 'static,
    ) -> Self {
        self.on_refresh_error = Some(Box::new(call));
        self
    }

    /// Asks your backend for the next pair, where it keeps the refresh token: answers a token reply, in
    /// which `refreshToken` may be absent.
    #[must_use]
    pub fn refresh_tokens<F>(mut self, call: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Value, String>> + Send + 'static,
    {
        self.refresh_tokens = Some(Box::new(move || Box::pin(call())));
        self
    }

    /// Whether the token is in use though nobody is looking, by an open socket for instance.
    #[must_use]
    pub fn in_use(mut self, call: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.in_use = Box::new(call);
        self
    }
}

impl fmt::Debug for TokenManagerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerOptions")
            .field("api_url", &self.api_url)
            .field("user_id", &self.user_id)
            .field("refresh_buffer", &self.refresh_buffer)
            .finish_non_exhaustive()
    }
}

/// What callers see without asking the driver.
struct View {
    state: TokenState,
    pair: Option<Arc<Pair>>,
    last_error: Option<Arc<RefreshError>>,
}

/// What handles, driver and session have in common.
pub(crate) struct Shared<P> {
    pub(crate) platform: Arc<P>,
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) events: Arc<Emitter>,
    pub(crate) vault: Vault<P>,
    pub(crate) options: TokenManagerOptions,
    pub(crate) api_url: String,
    pub(crate) refresh_lock: String,
    view: Mutex<View>,
    /// What goes on after the session, and is not polled yet.
    background: Mutex<Vec<Task>>,
}

impl<P: Platform> Shared<P> {
    pub(crate) fn buffer(&self) -> Millis {
        self.options.refresh_buffer
    }

    pub(crate) fn state(&self) -> TokenState {
        lock(&self.view).state
    }

    pub(crate) fn set_state(&self, state: TokenState) {
        let before = std::mem::replace(&mut lock(&self.view).state, state);
        if before != state {
            self.events.emit(&Event::State(state));
        }
    }

    /// `pair` is the one in use from now on.
    pub(crate) fn use_pair(&self, pair: &Arc<Pair>, usable: bool) {
        {
            let mut view = lock(&self.view);
            view.pair = Some(pair.clone());
            view.last_error = None;
        }
        self.set_state(if usable {
            TokenState::Valid
        } else {
            TokenState::Expired
        });
        self.events.emit(&Event::Refreshed {
            user: pair.user.clone(),
            session: pair.sid.clone(),
        });
    }

    /// There is no pair any more.
    pub(crate) fn over(&self, state: TokenState, error: Option<Arc<RefreshError>>) {
        {
            let mut view = lock(&self.view);
            view.pair = None;
            view.last_error = error;
        }
        self.set_state(state);
    }

    pub(crate) fn report(&self, error: &RefreshError) {
        if let Some(on_refresh_error) = &self.options.on_refresh_error {
            on_refresh_error(error);
        }
    }

    pub(crate) fn callback_failed(&self, why: &str) {
        let error = StorageError {
            what: "on_token_refresh failed",
            cause: StorageFault(crate::redact::redact(why)),
        };
        self.events.emit(&Event::StorageFailed(Arc::new(error)));
    }

    pub(crate) fn background(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.background).push(Box::pin(task));
    }

    /// Why there is no token.
    fn why_not(&self) -> Error {
        let view = lock(&self.view);
        match &view.last_error {
            Some(error) if view.state == TokenState::Ended => error.clone().into(),
            _ => Error::NotConnected,
        }
    }
}

/// What a handle asks of the driver.
enum Command {
    Start(Tokens, Reply<()>),
    Resume(Reply<bool>),
    Token(Millis, Reply<String>),
    OtherThan(Option<String>, Reply<String>),
    Stop(oneshot::Sender<()>),
    Logout(oneshot::Sender<()>),
}

/// Keeps one user's access token alive from [`TokenManager::start`] to [`TokenManager::stop`], as long as
/// its [`Driver`] is polled. Clones are the same manager.
pub struct TokenManager<P> {
    shared: Arc<Shared<P>>,
    commands: mpsc::UnboundedSender<Command>,
}

impl<P> Clone for TokenManager<P> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            commands: self.commands.clone(),
        }
    }
}

impl<P: Platform> fmt::Debug for TokenManager<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager")
            .field("user_id", &self.shared.options.user_id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl<P: Platform> TokenManager<P> {
    /// A manager, and the future that does its work: spawn it. Dropping the future is what the death of the
    /// process would be; it ends by itself when the last handle is gone.
    pub fn new(platform: Arc<P>, options: TokenManagerOptions) -> (Self, Driver<P>) {
        let name = format!("chatsdk:{}:{}", options.api_url, options.user_id);
        let clock = Arc::new(ServerClock::default());
        let events = Arc::new(Emitter::default());
        let vault = Vault::new(
            platform.clone(),
            clock.clone(),
            events.clone(),
            &options.user_id,
            format!("{name}:save"),
        );
        let shared = Arc::new(Shared {
            platform,
            clock,
            events,
            vault,
            api_url: options.api_url.clone(),
            options,
            refresh_lock: format!("{name}:refresh"),
            view: Mutex::new(View {
                state: TokenState::Unauthenticated,
                pair: None,
                last_error: None,
            }),
            background: Mutex::default(),
        });
        let (commands, receiver) = mpsc::unbounded_channel();
        let driver = Driver {
            shared: shared.clone(),
            commands: receiver,
            session: None,
            tasks: FuturesUnordered::new(),
            background: FuturesUnordered::new(),
        };
        (Self { shared, commands }, driver)
    }

    /// Where the token stands.
    pub fn state(&self) -> TokenState {
        self.shared.state()
    }

    /// The pair in use; `None` before the start, after the stop and after the end.
    pub fn tokens(&self) -> Option<Tokens> {
        lock(&self.shared.view)
            .pair
            .as_ref()
            .map(|pair| pair.tokens.clone())
    }

    /// Whom the token speaks for.
    pub fn user(&self) -> Option<User> {
        lock(&self.shared.view)
            .pair
            .as_ref()
            .map(|pair| pair.user.clone())
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.shared.events.listen()
    }

    /// Begins with the pair that the host gave, or with a newer one of the same session that is in storage.
    /// Does not wait for a refresh. Started already, it takes the pair up where that is newer.
    pub async fn start(&self, given: Tokens) -> Result<(), Error> {
        self.ask(|reply| Command::Start(given, reply)).await
    }

    /// Begins with the pair that is in storage, and answers whether there is one.
    pub async fn resume(&self) -> Result<bool, Error> {
        self.ask(Command::Resume).await
    }

    /// A token that works now. At once while the one in use lives, and refreshed behind where its end is
    /// near; waits for a refresh where it has ended.
    pub async fn access_token(&self) -> Result<String, Error> {
        self.access_token_for(MIN_TTL).await
    }

    /// The same, of a token that should live for `min_ttl` ms.
    pub async fn access_token_for(&self, min_ttl: Millis) -> Result<String, Error> {
        let pair = lock(&self.shared.view).pair.clone();
        let Some(pair) = pair else {
            return Err(self.shared.why_not());
        };
        let now = self.shared.clock.now(&*self.shared.platform);
        let left = pair.life_left(now);
        if left > 0 && left > min_ttl.min(effective_buffer(pair.ttl, self.shared.buffer())) {
            return Ok(pair.tokens.access_token.clone());
        }
        self.ask(|reply| Command::Token(min_ttl, reply)).await
    }

    /// A token that works now and is not `refused`, however long that takes. Fails when the session ends or
    /// is closed.
    pub async fn token_other_than(&self, refused: Option<&str>) -> Result<String, Error> {
        let refused = refused.map(str::to_owned);
        self.ask(|reply| Command::OtherThan(refused, reply)).await
    }

    /// Another token than the one in use, however long that takes.
    pub async fn refresh(&self) -> Result<String, Error> {
        let tokens = self.tokens().ok_or_else(|| self.shared.why_not())?;
        self.token_other_than(Some(&tokens.access_token)).await
    }

    /// Closes the session here. What is stored stays, for the next start.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).is_ok() {
            let _driver_gone = stopped.await;
        }
    }

    /// Ends the session for every process that shares the storage, and has the server revoke it: done when it
    /// was asked, and goes on asking where it did not answer.
    pub async fn logout(&self) {
        let (done, asked) = oneshot::channel();
        if self.commands.send(Command::Logout(done)).is_ok() {
            let _driver_gone = asked.await;
        }
    }

    /// Why there is no token: what ended the session, or that there is none.
    pub fn why_not(&self) -> Error {
        self.shared.why_not()
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .map_err(|_| Error::Disconnected)?;
        answer.await.unwrap_or(Err(Error::Disconnected))
    }
}

/// Does the work of a [`TokenManager`]: one future, which owns everything that the session waits for.
#[must_use = "nothing happens unless it is polled"]
pub struct Driver<P> {
    shared: Arc<Shared<P>>,
    commands: mpsc::UnboundedReceiver<Command>,
    session: Option<Arc<Session<P>>>,
    /// What the session does; dropped with it.
    tasks: FuturesUnordered<Task>,
    /// What outlives it: the end of a logout.
    background: FuturesUnordered<Task>,
}

impl<P> fmt::Debug for Driver<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<P: Platform> Driver<P> {
    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(given, reply) => self.start(given, reply),
            Command::Resume(reply) => self.resume(reply),
            Command::Token(min_ttl, reply) => match &self.session {
                Some(session) => session.spawn(session.clone().token(min_ttl, reply)),
                None => self.refuse(reply),
            },
            Command::OtherThan(refused, reply) => match &self.session {
                Some(session) => session.token_other_than(refused, reply),
                None => self.refuse(reply),
            },
            Command::Stop(done) => {
                self.leave();
                let _gone = done.send(());
            }
            Command::Logout(done) => {
                let pair = lock(&self.shared.view).pair.clone();
                self.shared.platform.tell(PeerMessage::SignedOut);
                self.leave();
                let shared = self.shared.clone();
                self.shared.background(async move {
                    let (platform, url) = (&*shared.platform, &shared.api_url);
                    let waiting = shared.vault.end(pair.as_deref()).await;
                    let left = revoke_once(platform, url, &shared.vault, waiting).await;
                    let _gone = done.send(());
                    revoke_later(platform, url, &shared.vault, left).await;
                });
            }
        }
    }

    fn start(&mut self, given: Tokens, reply: Reply<()>) {
        let shared = &self.shared;
        let now = shared.clock.now(&*shared.platform);
        let user = &shared.options.user_id;
        let Some(pair) = Pair::make(user, given, now, Origin::default()) else {
            let _gone = reply.send(Err(Error::InvalidInput {
                field: "token",
                why: "The token is not an access token of this user.".to_owned(),
            }));
            return;
        };
        if let Some(session) = &self.session
            && lock(&shared.view).pair.is_some()
        {
            let again = session.clone();
            session.spawn(async move {
                again.offer(pair).await;
                let _gone = reply.send(Ok(()));
            });
            return;
        }
        let session = self.open();
        let first = session.clone();
        session.spawn(async move {
            first.begin(pair).await;
            let _gone = reply.send(Ok(()));
        });
    }

    fn resume(&mut self, reply: Reply<bool>) {
        if self.session.is_some() && lock(&self.shared.view).pair.is_some() {
            let _gone = reply.send(Ok(true));
            return;
        }
        let session = self.open();
        let first = session.clone();
        session.spawn(async move {
            let found = first.vault().resume().await;
            let answer = found.map_err(Error::from).map(|pair| {
                let is_there = pair.is_some();
                if let Some(pair) = pair {
                    first.begin_with(pair);
                }
                is_there
            });
            let _gone = reply.send(answer);
        });
    }

    fn open(&mut self) -> Arc<Session<P>> {
        self.leave();
        let session = Arc::new(Session::new(self.shared.clone()));
        self.session = Some(session.clone());
        session
    }

    fn leave(&mut self) {
        self.forget();
        self.shared.over(TokenState::Unauthenticated, None);
    }

    fn forget(&mut self) {
        self.tasks.clear();
        if let Some(session) = self.session.take() {
            session.close(&Error::Disconnected);
            session.take_spawned();
        }
    }

    fn refuse(&self, reply: Reply<String>) {
        let _gone = reply.send(Err(self.shared.why_not()));
    }
}

impl<P: Platform> Future for Driver<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let mut handles_gone = false;
            let mut progressed = false;
            while let Poll::Ready(command) = this.commands.poll_recv(context) {
                let Some(command) = command else {
                    handles_gone = true;
                    break;
                };
                progressed = true;
                this.obey(command);
            }
            if handles_gone {
                this.forget();
            }
            if let Some(session) = &this.session {
                this.tasks.extend(session.take_spawned());
                while let Poll::Ready(Some(())) = this.tasks.poll_next_unpin(context) {
                    progressed = true;
                }
                progressed |= this.tasks_were_begun();
            }
            let begun = std::mem::take(&mut *lock(&this.shared.background));
            this.background.extend(begun);
            while let Poll::Ready(Some(())) = this.background.poll_next_unpin(context) {
                progressed = true;
            }
            if this
                .session
                .as_ref()
                .is_some_and(|session| session.is_closed())
            {
                this.forget();
                progressed = true;
            }
            if handles_gone && this.background.is_empty() {
                return Poll::Ready(());
            }
            if !progressed {
                return Poll::Pending;
            }
        }
    }
}

impl<P> Driver<P> {
    fn tasks_were_begun(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.has_spawned())
    }
}

impl<P> Drop for Driver<P> {
    fn drop(&mut self) {
        // Tasks that were never polled hold the session that holds them.
        if let Some(session) = &self.session {
            session.take_spawned();
        }
        lock(&self.shared.background).clear();
    }
}
