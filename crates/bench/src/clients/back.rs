//! Clients of the Rust crate, each from its expired token to its open socket.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatsdk_client::native::{MemoryStorage, Native, NativeSignals};
use chatsdk_client::platform::{HttpReply, Platform, Unreachable};
use chatsdk_client::realtime::{ConnectionState, Realtime};
use chatsdk_client::{Credentials, TokenManager, TokenManagerOptions, TokenState};
use chatsdk_types::Millis;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{AT_ONCE, ClientsError, Meter, Minted, PATIENCE, SOCKETS, Wave, joined, within};
use crate::product::Product;

/// The platform of a client: the native one, with as many HTTP connections in all as a machine of many clients has.
pub(super) struct Pooled {
    native: Native<MemoryStorage>,
    pool: Arc<Semaphore>,
}

impl Pooled {
    pub(super) fn new(pool: Arc<Semaphore>) -> Self {
        Self {
            native: Native::new(MemoryStorage::default()),
            pool,
        }
    }
}

impl Platform for Pooled {
    type Storage = MemoryStorage;
    type Guard = ();
    type Signals = NativeSignals<MemoryStorage>;

    fn wall(&self) -> Millis {
        self.native.wall()
    }

    fn mono(&self) -> Millis {
        self.native.mono()
    }

    fn random(&self) -> f64 {
        self.native.random()
    }

    fn sleep(&self, ms: Millis) -> impl Future<Output = ()> + Send {
        self.native.sleep(ms)
    }

    async fn post(
        &self,
        url: &str,
        authorization: Option<&str>,
        body: String,
    ) -> Result<HttpReply, Unreachable> {
        // Never closed.
        let _turn = self.pool.acquire().await;
        self.native.post(url, authorization, body).await
    }

    fn storage(&self) -> &MemoryStorage {
        self.native.storage()
    }

    async fn lock(&self, name: &str) {
        self.native.lock(name).await;
    }

    fn signals(&self) -> NativeSignals<MemoryStorage> {
        self.native.signals()
    }
}

/// All clients at once, each from its expired token to its open socket.
pub(super) async fn come_back(
    server: &Product,
    expired: Vec<Minted>,
) -> Result<Wave, ClientsError> {
    let (api, sockets) = (
        server.api(),
        server.api().replacen("http", "ws", 1) + SOCKETS,
    );
    let pool = Arc::new(Semaphore::new(AT_ONCE));
    let meter = Meter::start(&[server.pid()])?;
    let begun = Instant::now();
    let mut coming = JoinSet::new();
    for client in expired {
        coming.spawn(one_back(
            api.to_owned(),
            sockets.clone(),
            pool.clone(),
            client,
            begun,
        ));
    }
    let mut there = Vec::new();
    let mut times = Vec::new();
    let all = async {
        while let Some(came) = coming.join_next().await {
            let (time, client) = joined(came)?;
            times.push(time);
            there.push(client);
        }
        Ok::<_, ClientsError>(())
    };
    within(PATIENCE, "clients to come back", all).await??;
    let wave = meter.wave(&times)?;
    // Whoever was signed out, or lost its socket meanwhile, is not back.
    for (manager, realtime) in &there {
        let (state, socket) = (manager.state(), realtime.state());
        if state != TokenState::Valid || socket != ConnectionState::Connected {
            return Err(ClientsError::Invalid(format!(
                "a client that was back is {}, its socket {socket:?}",
                state.as_str()
            )));
        }
    }
    Ok(wave)
}

type Client = (TokenManager<Pooled>, Realtime);

async fn one_back(
    api: String,
    sockets: String,
    pool: Arc<Semaphore>,
    Minted { user, tokens }: Minted,
    begun: Instant,
) -> Result<(Duration, Client), ClientsError> {
    let platform = Arc::new(Pooled::new(pool));
    let old = tokens.access_token.clone();
    let credentials = Credentials {
        user_id: user.clone(),
        token: tokens.access_token,
        refresh_token: Some(tokens.refresh_token),
        expires_at: Some(tokens.expires_at),
    };
    let options = TokenManagerOptions::new(&api, &user);
    let (manager, driver) = TokenManager::new(platform.clone(), options);
    // Ends with the last handle.
    tokio::spawn(driver);
    manager.start(credentials.read(platform.wall())?).await?;
    let mut realtime = Realtime::open(&sockets, manager.clone(), platform);
    realtime.ignore_pushes();
    if !realtime.reaches(ConnectionState::Connected).await {
        return Err(manager.why_not().into());
    }
    if manager.tokens().is_none_or(|new| new.access_token == old) {
        let why = format!("{user} came back with the token that had expired");
        return Err(ClientsError::Invalid(why));
    }
    Ok((begun.elapsed(), (manager, realtime)))
}
