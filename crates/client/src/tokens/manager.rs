//! The handle of a session.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use chatsdk_types::Millis;
use tokio::sync::{mpsc, oneshot};

use super::background::Background;
use super::clocks::ServerClock;
use super::driver::Driver;
use super::lock;
use super::options::TokenManagerOptions;
use super::pair::{Pair, Tokens, User};
use super::revoke::Revoker;
use super::schedule::effective_buffer;
use super::vault::Vault;
use crate::error::{Error, RefreshError, StorageError};
use crate::events::{Emitter, Event, Events};
use crate::platform::{Platform, StorageFault};

/// How long a token that is asked for should live, unless the caller says otherwise, in ms.
const MIN_TTL: Millis = 30_000;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

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

/// What callers see without asking the driver.
pub(super) struct View {
    state: TokenState,
    pub(super) pair: Option<Arc<Pair>>,
    last_error: Option<Arc<RefreshError>>,
}

/// What handles, driver and session have in common.
pub(crate) struct Shared<P> {
    pub(crate) platform: Arc<P>,
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) events: Arc<Emitter>,
    pub(crate) vault: Arc<Vault<P>>,
    pub(crate) revoker: Revoker,
    pub(crate) options: TokenManagerOptions,
    pub(crate) api_url: String,
    pub(crate) refresh_lock: String,
    pub(super) view: Mutex<View>,
    pub(crate) background: Arc<Background>,
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
            // The app's panic is its own: the session must not die of it.
            let _its_own = catch_unwind(AssertUnwindSafe(|| on_refresh_error(error)));
        }
    }

    pub(crate) fn callback_failed(&self, why: &str) {
        let error = StorageError {
            what: "on_token_refresh failed",
            cause: StorageFault(crate::redact::redact(why)),
        };
        self.events.emit(&Event::StorageFailed(Arc::new(error)));
    }

    /// Why there is no token.
    pub(super) fn why_not(&self) -> Error {
        let view = lock(&self.view);
        match &view.last_error {
            Some(error) if view.state == TokenState::Ended => error.clone().into(),
            _ => Error::NotConnected,
        }
    }
}

/// What a handle asks of the driver.
pub(super) enum Command {
    Start(Tokens, Reply<()>),
    Resume(Reply<bool>),
    Token(Millis, Reply<String>),
    OtherThan {
        not: Option<String>,
        /// It was not refused, but is about to end: it will do where nothing can replace it.
        ending: bool,
        reply: Reply<String>,
    },
    Stop(oneshot::Sender<()>),
    Logout {
        /// The tombstone stands.
        noted: oneshot::Sender<()>,
        /// The server was asked.
        asked: oneshot::Sender<()>,
    },
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
    /// process would be. It ends by itself when the last handle is gone, and what was begun is done: a write that
    /// hangs, and a logout that the server was not told of yet, keep it.
    ///
    /// Every method is safe to drop at any point: what it asked for is done all the same, or was never asked for, and
    /// nothing is lost of a session by it.
    pub fn new(platform: Arc<P>, options: TokenManagerOptions) -> (Self, Driver<P>) {
        let name = format!("chatsdk:{}:{}", options.api_url, options.user_id);
        let clock = Arc::new(ServerClock::default());
        let events = Arc::new(Emitter::default());
        let background = Arc::new(Background::default());
        let vault = Arc::new(Vault::new(
            platform.clone(),
            clock.clone(),
            events.clone(),
            background.clone(),
            &options,
            format!("{name}:save"),
        ));
        let shared = Arc::new(Shared {
            platform,
            clock,
            events,
            vault,
            revoker: Revoker::default(),
            api_url: options.api_url.clone(),
            options,
            refresh_lock: format!("{name}:refresh"),
            view: Mutex::new(View {
                state: TokenState::Unauthenticated,
                pair: None,
                last_error: None,
            }),
            background,
        });
        let (commands, receiver) = mpsc::unbounded_channel();
        let driver = Driver::new(shared.clone(), receiver);
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
    /// Does not wait for a refresh. Started already, or just being started, it takes the pair up where that is newer.
    pub async fn start(&self, given: Tokens) -> Result<(), Error> {
        self.ask(|reply| Command::Start(given, reply)).await
    }

    /// Begins with the pair that is in storage, and answers whether there is one.
    pub async fn resume(&self) -> Result<bool, Error> {
        self.ask(Command::Resume).await
    }

    /// A token that works now. At once while the one in use lives, and refreshed behind where its end is
    /// near; waits for a refresh where it has ended. Where there is nothing to refresh it with, the token in use,
    /// whatever this device takes for the time.
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
        if !self.shared.options.can_refresh(&pair.tokens) {
            return Ok(pair.tokens.access_token.clone());
        }
        if left > 0 && left > min_ttl.min(effective_buffer(pair.ttl, self.shared.buffer())) {
            return Ok(pair.tokens.access_token.clone());
        }
        self.ask(|reply| Command::Token(min_ttl, reply)).await
    }

    /// A token that works now and is not `refused`, which the server would not have, however long that takes. Fails when
    /// the session ends or is closed. Where there is nothing to get another one with, this ends the session.
    pub async fn token_other_than(&self, refused: Option<&str>) -> Result<String, Error> {
        self.other_than(refused, false).await
    }

    /// Another token than the one in use, however long that takes; the same where nothing can replace it.
    pub async fn refresh(&self) -> Result<String, Error> {
        let tokens = self.tokens().ok_or_else(|| self.shared.why_not())?;
        self.other_than(Some(&tokens.access_token), true).await
    }

    /// See [`Self::token_other_than`]; `ending` says that it was not refused and is about to end.
    pub(crate) async fn other_than(
        &self,
        not: Option<&str>,
        ending: bool,
    ) -> Result<String, Error> {
        let not = not.map(str::to_owned);
        self.ask(|reply| Command::OtherThan { not, ending, reply })
            .await
    }

    /// Closes the session here. What is stored stays, for the next start.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).is_ok() {
            let _driver_gone = stopped.await;
        }
    }

    /// Ends the session for every process that shares the storage, and has the server revoke it: done when it
    /// was asked, and goes on asking where it did not answer. Works without a start too, for the session that is stored.
    pub async fn logout(&self) {
        let _driver_gone = self.begin_logout().1.await;
    }

    /// Logs out. The first is told when that is noted in the storage, the second when the server was asked.
    pub(crate) fn begin_logout(&self) -> (oneshot::Receiver<()>, oneshot::Receiver<()>) {
        let (noted, when_noted) = oneshot::channel();
        let (asked, when_asked) = oneshot::channel();
        // Where the driver is gone, both are told so.
        let _gone = self.commands.send(Command::Logout { noted, asked });
        (when_noted, when_asked)
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
