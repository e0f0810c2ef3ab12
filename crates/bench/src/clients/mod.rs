//! Ten thousand clients of the Rust crate whose access tokens have expired come back to one node at once; and ten thousand
//! sockets of one user are closed by one revocation. Real server, SQLite, real sockets.
//!
//! The clients are what a program would run: a [`TokenManager`] and a [`Realtime`] each, with a storage of its own. Each finds
//! its token expired, exchanges its refresh token at `POST /auth/refresh`, and opens its socket with what it got. The floor
//! of a client that comes back is one request to the bare echo and one bare handshake, a connection each, as many at a time;
//! that of a revocation is the same bytes, written to as many sockets in a loop.

mod back;
mod floors;
mod revocation;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chatsdk_client::Tokens;
use chatsdk_client::native::{MemoryStorage, Native};
use chatsdk_client::platform::Platform as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::floors::FloorServers;
use crate::load::wire::WireError;
use crate::load::{Script, Wire, script};
use crate::process::{ProcessError, cpu_time};
use crate::product::{Product, ProductError, Setup};
use crate::program::ProgramError;
use crate::realtime::client::handshake;
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
        let back = back::come_back(&server, expired).await?;
        eprintln!("a revocation, round {}", round + 1);
        let (revoked, answered, bytes) = revocation::revoke(&server, count).await?;
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

/// A connection whose request to become a WebSocket was answered.
async fn shaken(to: SocketAddr, host: &str) -> Result<TcpStream, ClientsError> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&handshake(host, SOCKETS)).await?;
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(ClientsError::Invalid("a handshake was refused".to_owned()));
        }
    }
    Ok(stream)
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
