//! The way in: wires tokens and socket together, and owns no logic of either.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use chatsdk_types::{Clock as _, SystemClock};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

use crate::address::{check, socket_of};
use crate::error::Error;
use crate::events::Events;
use crate::native::{MemoryStorage, Native, NativeStorage};
use crate::patience::settled;
use crate::realtime::{ConnectionState, Realtime};
use crate::tokens::{Credentials, TokenManager, TokenManagerOptions, User};

type Configure = Box<dyn Fn(TokenManagerOptions) -> TokenManagerOptions + Send + Sync>;

/// A chat client for one user at a time, on tokio. Making one starts nothing.
///
/// Every method is safe to drop at any point, inside of `select!` for instance: what it asked for is done all the same, or
/// was never asked for, and no session is lost by it. Dropping the client is a [`Self::disconnect`].
///
/// It keeps the connection, and takes no note of what the server says over it: programs that want to know open a
/// [`Realtime`] of their own, with a [`TokenManager`].
pub struct ChatSdk<S: NativeStorage = MemoryStorage> {
    api_url: String,
    ws_url: String,
    platform: Arc<Native<S>>,
    configure: Configure,
    /// Calls that change whose session it is take turns, in the order in which they came. None keeps its turn while an app's
    /// callback runs, which may call as well.
    turn: Arc<Mutex<()>>,
    session: std::sync::Mutex<Option<Session<S>>>,
    begun: AtomicU64,
}

struct Session<S> {
    /// Which one of this client's it is.
    number: u64,
    user_id: String,
    manager: TokenManager<Native<S>>,
    /// Ends by itself once the last handle of the manager is gone.
    _driver: JoinHandle<()>,
    realtime: Option<Realtime>,
}

impl<S: NativeStorage> std::fmt::Debug for ChatSdk<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatSdk")
            .field("api_url", &self.api_url)
            .finish_non_exhaustive()
    }
}

impl ChatSdk {
    /// A client of the server whose API is at `api_url` (`https://chat.example.com`), which keeps its tokens
    /// in memory.
    pub fn new(api_url: &str) -> Self {
        Self::with_storage(api_url, MemoryStorage::default())
    }
}

impl<S: NativeStorage> ChatSdk<S> {
    /// The same, keeping its tokens in `storage`.
    pub fn with_storage(api_url: &str, storage: S) -> Self {
        let api_url = api_url.trim_end_matches('/').to_owned();
        Self {
            ws_url: socket_of(&api_url),
            api_url,
            platform: Arc::new(Native::new(storage)),
            configure: Box::new(|options| options),
            turn: Arc::default(),
            session: std::sync::Mutex::default(),
            begun: AtomicU64::new(0),
        }
    }

    /// The address of the socket, where it is not `/connection/websocket` of the API.
    #[must_use]
    pub fn ws_url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.ws_url);
        self
    }

    /// Sets callbacks and the refresh buffer.
    #[must_use]
    pub fn configure(
        mut self,
        configure: impl Fn(TokenManagerOptions) -> TokenManagerOptions + Send + Sync + 'static,
    ) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Signs in with the tokens that your backend got, and connects. Done when connected; two seconds after a
    /// connection failed, or after 10 s, done all the same while it goes on trying. An error where the input cannot
    /// work (nothing was sent then), or where the server said that the session is over. Called again for the same
    /// user it takes newer tokens up; for another user it disconnects first.
    pub async fn connect(&self, credentials: &Credentials) -> Result<User, Error> {
        let tokens = credentials.read(SystemClock.now())?;
        check(&self.api_url, &self.ws_url)?;
        let turn = self.turn.lock().await;
        let (number, manager) = self.session_of(&credentials.user_id).await;
        drop(turn);
        if let Err(error) = manager.start(tokens).await {
            self.forget(number);
            return Err(error);
        }
        self.open(number).await;
        manager.user().ok_or_else(|| manager.why_not())
    }

    /// Goes on with the stored session of `user_id`, and connects. `None` where there is none. Where that user is signed
    /// in here already, with the session that is in use; another user is disconnected first.
    pub async fn resume(&self, user_id: &str) -> Result<Option<User>, Error> {
        check(&self.api_url, &self.ws_url)?;
        let turn = self.turn.lock().await;
        let (number, manager) = self.session_of(user_id).await;
        drop(turn);
        let found = manager.resume().await;
        if !matches!(found, Ok(true)) {
            self.forget(number);
            return found.map(|_nothing| None);
        }
        self.open(number).await;
        manager.user().map(Some).ok_or_else(|| manager.why_not())
    }

    /// A token that works now, for calls of your own.
    pub async fn access_token(&self) -> Result<String, Error> {
        self.manager()?.access_token().await
    }

    /// A token that works and is not `refused`, which the server would not have. Where nothing can replace that, the
    /// session is over.
    pub async fn token_other_than(&self, refused: &str) -> Result<String, Error> {
        self.manager()?.token_other_than(Some(refused)).await
    }

    /// Another token than the one in use, however long that takes; the same where nothing can replace it.
    pub async fn refresh(&self) -> Result<String, Error> {
        self.manager()?.refresh().await
    }

    /// The current user.
    #[expect(
        clippy::unused_async,
        reason = "like everything that is asked of a client"
    )]
    pub async fn user(&self) -> Option<User> {
        self.manager().ok()?.user()
    }

    /// How the connection stands; `None` where there is no session.
    #[expect(
        clippy::unused_async,
        reason = "like everything that is asked of a client"
    )]
    pub async fn connectivity(&self) -> Option<ConnectionState> {
        Some(self.current().as_ref()?.realtime.as_ref()?.state())
    }

    /// What happens to the session from now on; an error before the first connect.
    #[expect(
        clippy::unused_async,
        reason = "like everything that is asked of a client"
    )]
    pub async fn events(&self) -> Result<Events, Error> {
        Ok(self.manager()?.events())
    }

    /// Closes the connection and forgets the tokens in memory. What is stored stays.
    pub async fn disconnect(&self) {
        let _turn = self.turn.lock().await;
        let open = self.current().take();
        if let Some(open) = open {
            leave(open).await;
        }
    }

    /// Disconnects, here and in the other processes that share the storage, forgets the stored tokens, and has
    /// the server revoke the session. Done when that was tried; it is tried again until it is answered.
    pub async fn logout(&self) {
        let turn = self.turn.clone().lock_owned().await;
        let open = self.current().take();
        if let Some(open) = open {
            log_out(open, turn).await;
        }
    }

    /// The same for `user_id`, connected or not: ends the session that is stored, too.
    pub async fn logout_user(&self, user_id: &str) {
        let turn = self.turn.clone().lock_owned().await;
        let open = self.current().take_if(|open| open.user_id == user_id);
        log_out(open.unwrap_or_else(|| self.begin(user_id)), turn).await;
    }

    fn current(&self) -> MutexGuard<'_, Option<Session<S>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn manager(&self) -> Result<TokenManager<Native<S>>, Error> {
        let current = self.current();
        let session = current.as_ref().ok_or(Error::NotConnected)?;
        Ok(session.manager.clone())
    }

    /// The session of `user_id`, begun where there is none; another user's is left. The caller has the turn.
    async fn session_of(&self, user_id: &str) -> (u64, TokenManager<Native<S>>) {
        let other = self.current().take_if(|open| open.user_id != user_id);
        if let Some(other) = other {
            leave(other).await;
        }
        let mut current = self.current();
        let open = current.get_or_insert_with(|| self.begin(user_id));
        (open.number, open.manager.clone())
    }

    /// The session `number` did not come to anything, unless another call began it meanwhile.
    fn forget(&self, number: u64) {
        self.current()
            .take_if(|open| open.number == number && open.manager.user().is_none());
    }

    fn begin(&self, user_id: &str) -> Session<S> {
        let options = (self.configure)(TokenManagerOptions::new(&self.api_url, user_id));
        let (manager, driver) = TokenManager::new(self.platform.clone(), options);
        Session {
            number: self.begun.fetch_add(1, Ordering::Relaxed),
            user_id: user_id.to_owned(),
            manager,
            _driver: tokio::spawn(driver),
            realtime: None,
        }
    }

    /// Opens the socket of the session `number`, where that was not left meanwhile, and waits until it is connected, closed,
    /// or has had time enough.
    async fn open(&self, number: u64) {
        let watched = self.current().as_mut().and_then(|session| {
            if session.number != number {
                return None;
            }
            let closed = |open: &Realtime| open.state() == ConnectionState::Closed;
            // One that was closed when the last session ended does not open again.
            if session.realtime.as_ref().is_none_or(closed) {
                let manager = session.manager.clone();
                let mut opened = Realtime::open(&self.ws_url, manager, self.platform.clone());
                opened.ignore_pushes();
                session.realtime = Some(opened);
            }
            session.realtime.as_ref().map(Realtime::watch)
        });
        let Some(mut watched) = watched else {
            return;
        };
        settled(&mut watched).await;
    }
}

async fn leave<S: NativeStorage>(mut session: Session<S>) {
    session.realtime = None;
    session.manager.stop().await;
}

/// Logs out. Who connects next begins after the tombstone, also where this is dropped.
async fn log_out<S: NativeStorage>(mut session: Session<S>, turn: OwnedMutexGuard<()>) {
    session.realtime = None;
    let (noted, asked) = session.manager.begin_logout();
    tokio::spawn(async move {
        let _driver_gone = noted.await;
        drop(turn);
    });
    let _driver_gone = asked.await;
}
