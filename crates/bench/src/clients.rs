//! Ten thousand clients of the Rust crate whose access tokens have expired come back to one node at once; and ten thousand
//! sockets of one user are closed by one revocation. Real server, SQLite, real sockets.
//!
//! The clients are what a program would run: a [`TokenManager`] and a [`Realtime`] each, with a storage of its own. Each finds
//! its token expired, exchanges its refresh token at `POST /auth/refresh`, and opens its socket with what it got. The floor
//! of a client that comes back is one request to the bare echo and one bare handshake, a connection each, as many at a time;
//! that of a revocation is the same bytes, written to as many sockets in a loop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatsdk_client::native::{MemoryStorage, Native, NativeSignals};
use chatsdk_client::platform::{HttpReply, Platform, Unreachable};
use chatsdk_client::realtime::{ConnectionState, Realtime};
use chatsdk_client::{Credentials, TokenManager, TokenManagerOptions, TokenState, Tokens};
use chatsdk_types::Millis;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::floors;
use crate::load::wire::WireError;
use crate::load::{Script, Wire, script};
use crate::process::{ProcessError, cpu_time};
use crate::product::{Product, ProductError, Setup};
use crate::program::{Program, ProgramError};
use crate::realtime::client::handshake;
use crate::realtime::frames::{Frames, Message, client_text};
use crate::stats::median;

/// How many clients come back, and how many sockets one user has.
pub const CLIENTS: usize = 10_000;
/// How long the clients may take to be back, by the design.
pub const WAVE_LIMIT: Duration = Duration::from_secs(15);
/// How long a revocation may take until the last socket is closed, by the design.
pub const REVOKE_LIMIT: Duration = Duration::from_secs(1);
/// How many HTTP connections, and how many sockets that are being opened, there are at a time. Beside ten thousand sockets
/// they have to fit into the files that a process may have open; a real wave comes from as many machines.
pub const AT_ONCE: usize = 512;
/// After so long nobody comes any more.
const PATIENCE: Duration = Duration::from_mins(2);
/// Where the sockets are.
const SOCKETS: &str = "/connection/websocket";

/// A wave, from the moment at which all begin.
#[derive(Debug, Clone, Copy)]
pub struct Wave {
    /// Until the last is there, in seconds.
    pub seconds: f64,
    /// Until half of them are, in seconds.
    pub half: f64,
    /// CPU of the servers for each, in microseconds.
    pub server_cpu: f64,
    /// CPU of the generator for each, in microseconds.
    pub own_cpu: f64,
}

/// What was measured: medians of the rounds.
#[derive(Debug, Clone, Copy)]
pub struct Clients {
    /// How many there were of each kind.
    pub count: usize,
    /// Clients with expired tokens.
    pub back: Wave,
    /// As many requests to the bare echo, and bare handshakes.
    pub floor: Wave,
    /// From sending the revocation until the last close frame was read, in seconds.
    pub revoked: f64,
    /// Until the reply to the revocation was read, in seconds.
    pub answered: f64,
    /// From the order until the last of as many bytes was read, in seconds.
    pub sends: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The server could not be used.
    #[error(transparent)]
    Product(#[from] ProductError),
    /// A floor could not be used.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A request could not be made.
    #[error("a request failed: {0}")]
    Wire(#[from] WireError),
    /// A process could not be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A socket could not be used.
    #[error("a socket failed: {0}")]
    Socket(#[from] std::io::Error),
    /// The database of the server could not be changed.
    #[error("the server's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A client did not come back as it should.
    #[error("a client did not come back: {0}")]
    Client(#[from] chatsdk_client::Error),
    /// A client is not where it should be.
    #[error("{0}")]
    Invalid(String),
}

/// Measures with `binary` in fresh directories under `work`, `count` clients and sockets.
pub async fn measure(
    binary: &Path,
    work: &Path,
    rounds: usize,
    count: usize,
) -> Result<Clients, ClientsError> {
    let own = std::env::current_exe()?;
    let floors = FloorServers::start(&own, work)?;
    let mut all = Vec::new();
    for round in 0..rounds {
        eprintln!("clients with expired tokens, round {}", round + 1);
        let setup = Setup {
            binary: binary.to_owned(),
            data: work.join(format!("clients-{round}")),
            database: None,
        };
        let (server, expired) = prepare(&setup, count).await?;
        let floor = floors.wave(count).await?;
        let back = come_back(&server, expired).await?;
        eprintln!("a revocation, round {}", round + 1);
        let (revoked, answered, bytes) = revoke(&server, count).await?;
        let sends = floors.sends(count, bytes).await?;
        server.stop()?;
        all.push(Clients {
            count,
            back,
            floor,
            revoked,
            answered,
            sends,
        });
    }
    let of = |field: fn(&Clients) -> f64| median(all.iter().map(field)).unwrap_or_default();
    let wave = |of_round: fn(&Clients) -> &Wave| {
        let of = |field: fn(&Wave) -> f64| {
            median(all.iter().map(|found| field(of_round(found)))).unwrap_or_default()
        };
        Wave {
            seconds: of(|wave| wave.seconds),
            half: of(|wave| wave.half),
            server_cpu: of(|wave| wave.server_cpu),
            own_cpu: of(|wave| wave.own_cpu),
        }
    };
    Ok(Clients {
        count,
        back: wave(|found| &found.back),
        floor: wave(|found| &found.floor),
        revoked: of(|found| found.revoked),
        answered: of(|found| found.answered),
        sends: of(|found| found.sends),
    })
}

/// A user, and the tokens that were minted for it.
struct Minted {
    user: String,
    tokens: Tokens,
}

/// A running server, and `count` clients whose access tokens have expired. What they get from now on lives for an hour: a
/// second would make them refresh again in the middle of the wave.
async fn prepare(setup: &Setup, count: usize) -> Result<(Product, Vec<Minted>), ClientsError> {
    let settings = [
        ("CHATSDK_TOKENS_MIN_ACCESS_TTL", "1s"),
        ("CHATSDK_REALTIME_MAX_CONNECTIONS_PER_USER", "0"),
    ];
    let server = setup.start_with(&settings)?;
    let key = server.api_key()?.to_owned();
    let to = server.address("/auth/tokens").await?;
    let head = script::head("POST", &to, &[format!("x-api-key: {key}")]);
    let mut wire = Wire::connect(to.socket).await?;
    let mut minted = Vec::with_capacity(count);
    for number in 0..count {
        let user = format!("client-{number}");
        let body = json!({ "userId": user, "name": "Test User", "accessTokenExpiry": "1s" });
        minted.push(mint(&mut wire, &head, &body).await?);
    }
    drop(wire);
    let last = minted.last().map_or(0, |minted| minted.tokens.expires_at);
    server.stop()?;
    rusqlite::Connection::open(setup.data.join("chatsdk.db"))?
        .execute("UPDATE sessions SET access_ttl = 3600000", [])?;
    let server = setup.start_with(&settings)?.with_api_key(key);
    // Until the last of them has expired, and the second that the server adds to short ones.
    let platform = Native::new(MemoryStorage::default());
    let left = last + 1_500 - platform.wall();
    platform.sleep(left.max(0)).await;
    Ok((server, minted))
}

async fn mint(wire: &mut Wire, head: &str, body: &Value) -> Result<Minted, ClientsError> {
    let request = Script::fixed(head, &body.to_string()).request().to_vec();
    let reply = wire.exchange(&request).await?;
    let refused = || ProductError::Mint {
        status: reply.status,
        body: String::from_utf8_lossy(reply.body).into_owned(),
    };
    Ok(Minted {
        user: body["userId"].as_str().unwrap_or_default().to_owned(),
        tokens: serde_json::from_slice(reply.body).map_err(|_| refused())?,
    })
}

/// The platform of a client: the native one, with as many HTTP connections in all as a machine of many clients has.
struct Pooled {
    native: Native<MemoryStorage>,
    pool: Arc<Semaphore>,
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
async fn come_back(server: &Product, expired: Vec<Minted>) -> Result<Wave, ClientsError> {
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
    let platform = Arc::new(Pooled {
        native: Native::new(MemoryStorage::default()),
        pool,
    });
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

/// From sending a revocation to the last close frame of `count` sockets of one user; when it was answered; and how many
/// bytes the frame has.
async fn revoke(server: &Product, count: usize) -> Result<(f64, f64, u32), ClientsError> {
    let to = server.address("/auth/tokens").await?;
    let head = script::head("POST", &to, &[format!("x-api-key: {}", server.api_key()?)]);
    let mut wire = Wire::connect(to.socket).await?;
    let body = json!({ "userId": "many-sockets" });
    let minted = mint(&mut wire, &head, &body).await?;
    let connect = json!({ "id": 1, "connect": { "token": minted.tokens.access_token } });
    let connect = client_text(&connect.to_string());
    let mut opening = JoinSet::new();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    for _ in 0..count {
        let (turns, connect) = (turns.clone(), connect.clone());
        let (address, host) = (to.socket, to.host.clone());
        opening.spawn(async move {
            let _turn = turns.acquire().await;
            Open::new(address, &host, &connect).await
        });
    }
    let mut closing = JoinSet::new();
    while let Some(opened) = opening.join_next().await {
        closing.spawn(joined(opened)?.closed());
    }
    let path = format!("/auth/users/{}/sessions", minted.user);
    let to = server.address(&path).await?;
    let head = script::head(
        "DELETE",
        &to,
        &[format!("x-api-key: {}", server.api_key()?)],
    );
    let request = Script::fixed(&head, "").request().to_vec();
    let begun = Instant::now();
    let answer = tokio::spawn(async move {
        let reply = wire.exchange(&request).await?;
        Ok::<_, WireError>((reply.status, Instant::now()))
    });
    let mut last = begun;
    let mut bytes = 0;
    let all = async {
        while let Some(closed) = closing.join_next().await {
            let (at, code, length) = joined(closed)?;
            if code != 3503 {
                return Err(ClientsError::Invalid(format!(
                    "a socket was closed with {code}"
                )));
            }
            last = last.max(at);
            bytes = length;
        }
        Ok::<_, ClientsError>(())
    };
    within(PATIENCE, "sockets to be closed", all).await??;
    let (status, answered) = answer
        .await
        .map_err(|error| ClientsError::Invalid(error.to_string()))??;
    if status != 200 {
        return Err(ClientsError::Invalid(format!(
            "the revocation was answered {status}"
        )));
    }
    let since = |at: Instant| (at - begun).as_secs_f64();
    Ok((since(last), since(answered), bytes))
}

/// A socket that the server has accepted.
struct Open {
    stream: TcpStream,
    frames: Frames,
}

impl Open {
    async fn new(to: SocketAddr, host: &str, connect: &[u8]) -> Result<Self, ClientsError> {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&handshake(host, SOCKETS)).await?;
        let mut head = Vec::with_capacity(512);
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Err(ClientsError::Invalid("a handshake was refused".to_owned()));
            }
        }
        stream.write_all(connect).await?;
        let mut open = Self {
            stream,
            frames: Frames::default(),
        };
        let mut accepted = None;
        while accepted.is_none() {
            open.hear(|message| {
                if let Message::Reply(line) = message {
                    accepted = Some(!crate::realtime::frames::is_error(line));
                }
            })
            .await?;
        }
        if accepted == Some(true) {
            Ok(open)
        } else {
            Err(ClientsError::Invalid("a connect was refused".to_owned()))
        }
    }

    /// Reads once, and answers how much. Nothing more is an error.
    async fn hear(&mut self, hear: impl FnMut(Message<'_>)) -> Result<usize, ClientsError> {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes).await? {
            0 => Err(ClientsError::Invalid(
                "a socket ended without a close frame".to_owned(),
            )),
            read => {
                self.frames.take(&bytes[..read], hear);
                Ok(read)
            }
        }
    }

    /// When the close frame was read, its code, and how many bytes came with it.
    async fn closed(mut self) -> Result<(Instant, u16, u32), ClientsError> {
        loop {
            let mut code = None;
            let read = self
                .hear(|message| {
                    if let Message::Close(with) = message {
                        code = Some(with);
                    }
                })
                .await?;
            if let Some(code) = code {
                return Ok((Instant::now(), code, read as u32));
            }
        }
    }
}

/// The servers of the floors.
struct FloorServers {
    echo: Program,
    url: String,
    shaker: Program,
    shakes: SocketAddr,
    /// Killed when this is dropped.
    _sends: Program,
    sockets: SocketAddr,
    orders: SocketAddr,
}

impl FloorServers {
    fn start(own: &Path, work: &Path) -> Result<Self, ClientsError> {
        let start = |floor: &str| {
            let log = work.join(format!("clients-{floor}.log"));
            let program = Program::start(Command::new(own).args(["floor", floor]), &log)?;
            let ready = program.event(&["ready"])?;
            Ok::<_, ProgramError>((program, ready))
        };
        let (echo, at) = start("http")?;
        let url = at["api"].as_str().unwrap_or_default().to_owned() + floors::http::PATH;
        let (shaker, shaking) = start("handshake")?;
        let (sends, sending) = start("sends")?;
        Ok(Self {
            echo,
            url,
            shaker,
            shakes: socket(&shaking, "sockets")?,
            _sends: sends,
            sockets: socket(&sending, "sockets")?,
            orders: socket(&sending, "orders")?,
        })
    }

    /// `count` times one request on a connection of its own, and one handshake.
    async fn wave(&self, count: usize) -> Result<Wave, ClientsError> {
        let pool = Arc::new(Semaphore::new(AT_ONCE));
        let platform = Arc::new(Pooled {
            native: Native::new(MemoryStorage::default()),
            pool: pool.clone(),
        });
        let meter = Meter::start(&[self.echo.pid(), self.shaker.pid()])?;
        let begun = Instant::now();
        let mut coming = JoinSet::new();
        for _ in 0..count {
            let (platform, url, shakes) = (platform.clone(), self.url.clone(), self.shakes);
            coming.spawn(async move {
                let echoed = platform.post(&url, None, floors::http::body()).await;
                let echoed = echoed.map_err(|why| ClientsError::Invalid(why.to_string()))?;
                if echoed.status != 200 {
                    let why = format!("the echo answered {}", echoed.status);
                    return Err(ClientsError::Invalid(why));
                }
                let mut stream = TcpStream::connect(shakes).await?;
                stream.set_nodelay(true)?;
                stream
                    .write_all(&handshake(&shakes.to_string(), SOCKETS))
                    .await?;
                let mut head = Vec::with_capacity(512);
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await? == 0 {
                        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                    }
                }
                Ok((begun.elapsed(), stream))
            });
        }
        let (mut times, mut open) = (Vec::new(), Vec::new());
        let all = async {
            while let Some(came) = coming.join_next().await {
                let (time, stream) = joined(came)?;
                times.push(time);
                open.push(stream);
            }
            Ok::<_, ClientsError>(())
        };
        within(PATIENCE, "handshakes", all).await??;
        meter.wave(&times)
    }

    /// From ordering `bytes` bytes for each of `count` sockets until the last has them.
    async fn sends(&self, count: usize, bytes: u32) -> Result<f64, ClientsError> {
        let mut orders = TcpStream::connect(self.orders).await?;
        orders.set_nodelay(true)?;
        orders.write_all(&(count as u32).to_be_bytes()).await?;
        let mut reading = JoinSet::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(self.sockets).await?;
            reading.spawn(async move {
                let mut buffer = vec![0; bytes as usize];
                stream.read_exact(&mut buffer).await?;
                Ok::<_, std::io::Error>((Instant::now(), stream))
            });
        }
        orders.read_exact(&mut [0]).await?;
        let begun = Instant::now();
        orders
            .write_all(&floors::sends::order(bytes, count as u32))
            .await?;
        let (mut last, mut open) = (begun, Vec::new());
        let all = async {
            while let Some(read) = reading.join_next().await {
                let (at, stream) = joined(read)?;
                last = last.max(at);
                open.push(stream);
            }
            Ok::<_, ClientsError>(())
        };
        within(PATIENCE, "bare sends", all).await??;
        Ok((last - begun).as_secs_f64())
    }
}

fn socket(ready: &Value, member: &'static str) -> Result<SocketAddr, ClientsError> {
    let address = ready[member]
        .as_str()
        .and_then(|address| address.parse().ok());
    address.ok_or_else(|| ClientsError::Invalid(format!("a floor does not say its {member}")))
}

/// CPU time of servers and of this process.
struct Meter {
    before: Vec<(u32, crate::process::CpuTime)>,
}

impl Meter {
    fn start(servers: &[u32]) -> Result<Self, ProcessError> {
        let own = std::process::id();
        let all = servers.iter().chain([&own]);
        let before = all.map(|&pid| Ok((pid, cpu_time(pid)?)));
        Ok(Self {
            before: before.collect::<Result<_, ProcessError>>()?,
        })
    }

    /// The wave of those who were there after `times`.
    fn wave(&self, times: &[Duration]) -> Result<Wave, ClientsError> {
        let count = times.len() as f64;
        let mut used = Vec::new();
        for (pid, before) in &self.before {
            used.push(cpu_time(*pid)?.since(before) / count);
        }
        let own_cpu = used.pop().unwrap_or_default();
        let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        Ok(Wave {
            seconds: seconds.iter().copied().fold(0.0, f64::max),
            half: median(seconds).unwrap_or_default(),
            server_cpu: used.iter().sum(),
            own_cpu,
        })
    }
}

/// What a task came to.
fn joined<T, E: Into<ClientsError>>(
    done: Result<Result<T, E>, tokio::task::JoinError>,
) -> Result<T, ClientsError> {
    match done {
        Ok(came) => came.map_err(Into::into),
        Err(died) => Err(ClientsError::Invalid(died.to_string())),
    }
}

async fn within<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = T>,
) -> Result<T, ClientsError> {
    let late = || ClientsError::Invalid(format!("waited {} s for {what}", limit.as_secs()));
    tokio::time::timeout(limit, work).await.map_err(|_| late())
}
