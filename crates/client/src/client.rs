//! The way in: wires tokens and socket together, and owns no logic of either.

use std::sync::Arc;
use std::time::Duration;

use chatsdk_types::{Clock as _, SystemClock};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::events::Events;
use crate::native::{MemoryStorage, Native, NativeStorage};
use crate::realtime::{ConnectionState, Realtime};
use crate::tokens::{Credentials, TokenManager, TokenManagerOptions, User};

/// How long `connect` waits for a connection before it leaves the rest to the background.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

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
    session: Arc<Mutex<Option<Session<S>>>>,
}

struct Session<S> {
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
            ws_url: format!("{}/connection/websocket", api_url.replacen("http", "ws", 1)),
            api_url,
            platform: Arc::new(Native::new(storage)),
            configure: Box::new(|options| options),
            session: Arc::default(),
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

    /// Signs in with the tokens that your backend got, and connects. Done when connected; without a network,
    /// or after 10 s, done all the same while it goes on trying. An error where the input cannot work (nothing
    /// was sent then), or where the server said that the session is over. Called again for the same user
    /// it takes newer tokens up; for another user it disconnects first.
    pub async fn connect(&self, credentials: &Credentials) -> Result<User, Error> {
        let tokens = credentials.read(SystemClock.now())?;
        self.check()?;
        let mut session = self.session.lock().await;
        if let Some(other) = session.take_if(|open| open.user_id != credentials.user_id) {
            leave(other).await;
        }
        let open = session.get_or_insert_with(|| self.begin(&credentials.user_id));
        let manager = open.manager.clone();
        if let Err(error) = manager.start(tokens).await {
            *session = None;
            return Err(error);
        }
        let ready = self.open(&mut session);
        drop(session);
        ready.await;
        manager.user().ok_or_else(|| manager.why_not())
    }

    /// Goes on with the stored session of `user_id`, and connects. `None` where there is none.
    pub async fn resume(&self, user_id: &str) -> Result<Option<User>, Error> {
        self.check()?;
        let mut session = self.session.lock().await;
        if let Some(open) = session.take() {
            leave(open).await;
        }
        let manager = session.insert(self.begin(user_id)).manager.clone();
        match manager.resume().await {
            Ok(true) => {}
            Ok(false) => {
                *session = None;
                return Ok(None);
            }
            Err(error) => {
                *session = None;
                return Err(error);
            }
        }
        let ready = self.open(&mut session);
        drop(session);
        ready.await;
        manager.user().map(Some).ok_or_else(|| manager.why_not())
    }

    /// A token that works now, for calls of your own.
    pub async fn access_token(&self) -> Result<String, Error> {
        self.manager().await?.access_token().await
    }

    /// A token that works and is not `refused`, which the server would not have. Where nothing can replace that, the
    /// session is over.
    pub async fn token_other_than(&self, refused: &str) -> Result<String, Error> {
        let manager = self.manager().await?;
        manager.token_other_than(Some(refused)).await
    }

    /// Another token than the one in use, however long that takes; the same where nothing can replace it.
    pub async fn refresh(&self) -> Result<String, Error> {
        self.manager().await?.refresh().await
    }

    /// The current user.
    pub async fn user(&self) -> Option<User> {
        self.manager().await.ok()?.user()
    }

    /// How the connection stands; `None` where there is no session.
    pub async fn connectivity(&self) -> Option<ConnectionState> {
        let session = self.session.lock().await;
        Some(session.as_ref()?.realtime.as_ref()?.state())
    }

    /// What happens to the session from now on; an error before the first connect.
    pub async fn events(&self) -> Result<Events, Error> {
        Ok(self.manager().await?.events())
    }

    /// Closes the connection and forgets the tokens in memory. What is stored stays.
    pub async fn disconnect(&self) {
        let open = self.session.lock().await.take();
        if let Some(open) = open {
            leave(open).await;
        }
    }

    /// Disconnects, here and in the other processes that share the storage, forgets the stored tokens, and has
    /// the server revoke the session. Done when that was tried; it is tried again until it is answered.
    pub async fn logout(&self) {
        let mut session = self.session.clone().lock_owned().await;
        if let Some(open) = session.take() {
            log_out(open, session).await;
        }
    }

    /// The same for `user_id`, connected or not: ends the session that is stored, too.
    pub async fn logout_user(&self, user_id: &str) {
        let mut session = self.session.clone().lock_owned().await;
        let open = session.take_if(|open| open.user_id == user_id);
        log_out(open.unwrap_or_else(|| self.begin(user_id)), session).await;
    }

    /// Whether the address can be one.
    fn check(&self) -> Result<(), Error> {
        let read = self.api_url.parse::<hyper::Uri>().ok();
        let is_one = read.is_some_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some()
        });
        if is_one {
            return Ok(());
        }
        Err(Error::InvalidInput {
            field: "api_url",
            why: "Expected the address of the API, like https://chat.example.com.".to_owned(),
        })
    }

    async fn manager(&self) -> Result<TokenManager<Native<S>>, Error> {
        let session = self.session.lock().await;
        let session = session.as_ref().ok_or(Error::NotConnected)?;
        Ok(session.manager.clone())
    }

    fn begin(&self, user_id: &str) -> Session<S> {
        let options = (self.configure)(TokenManagerOptions::new(&self.api_url, user_id));
        let (manager, driver) = TokenManager::new(self.platform.clone(), options);
        Session {
            user_id: user_id.to_owned(),
            manager,
            _driver: tokio::spawn(driver),
            realtime: None,
        }
    }

    /// Opens the socket; what is answered waits until it is connected, closed, or has had time enough.
    fn open(&self, session: &mut Option<Session<S>>) -> impl Future<Output = ()> + use<S> {
        let watched = session.as_mut().map(|session| {
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
        async move {
            let Some(Some(mut watched)) = watched else {
                return;
            };
            let settled = watched.wait_for(|state| {
                matches!(state, ConnectionState::Connected | ConnectionState::Closed)
            });
            let _patience_is_over = tokio::time::timeout(CONNECT_PATIENCE, settled).await;
        }
    }
}

async fn leave<S: NativeStorage>(mut session: Session<S>) {
    session.realtime = None;
    session.manager.stop().await;
}

/// Logs out. Who connects next begins after the tombstone, also where this is dropped.
async fn log_out<S: NativeStorage>(
    mut session: Session<S>,
    turn: OwnedMutexGuard<Option<Session<S>>>,
) {
    session.realtime = None;
    let (noted, asked) = session.manager.begin_logout();
    tokio::spawn(async move {
        let _driver_gone = noted.await;
        drop(turn);
    });
    let _driver_gone = asked.await;
}
