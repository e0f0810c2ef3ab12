//! The servers: the product's engine, a peer, or one that runs already; and the floors.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use chatsdk_types::{Clock as _, SystemClock};
use serde_json::Value;

use super::RealtimeError;
use super::client::{EVERYBODY, KEPT, Wants, first_frame, handshake};
use super::pin::Pinned;
use super::source::{Api, Orders, Source};
use super::swarm::{Kind, Swarm};
use super::token::Signer;
use crate::floors::sends::GREETING;
use crate::load::{Address, script};
use crate::process::{self, CpuTime};
use crate::program::Program;

/// What the servers that this program starts are set to.
const SETTINGS: &str = include_str!("pubsub.toml");
/// The key of connection tokens there.
const TOKEN_SECRET: &str = "bench-token-secret";
/// The key of the API there.
const API_KEY: &str = "bench-api-key";
/// How long tokens hold, in seconds.
const TOKEN_TTL: i64 = 24 * 3600;
/// How many bytes a message has, quotes included.
pub const PAYLOAD: usize = 100;

/// A server that runs already.
#[derive(Debug, Clone)]
pub struct External {
    /// Its WebSocket, as an `http://` URL.
    pub url: String,
    /// Where publications are posted, as an `http://` URL.
    pub api: String,
    /// What is sent as `X-API-Key`.
    pub api_key: String,
    /// The key of connection tokens; without it no tokens are sent.
    pub token_secret: Option<String>,
    /// The process whose cost is told.
    pub pid: u32,
}

/// A server of the protocol.
#[derive(Debug)]
pub struct Server {
    /// What it is called on the page.
    pub name: String,
    socket: Address,
    api: Address,
    api_key: String,
    signer: Option<Signer>,
    pid: u32,
    /// Where this program has started it; it is ended when this is dropped.
    program: Option<Program>,
}

impl Server {
    /// Starts the product's engine, `examples/pubsub`.
    pub async fn product(
        binary: &Path,
        work: &Path,
        pinned: &Pinned,
    ) -> Result<Self, RealtimeError> {
        let settings = work.join("pubsub.toml");
        std::fs::write(&settings, SETTINGS).map_err(|source| RealtimeError::File {
            path: settings.clone(),
            source,
        })?;
        let mut command = pinned.command(binary);
        command.arg("--config").arg(settings);
        let program = Program::start(&mut command, &work.join("pubsub.log"))?;
        Self::started("ChatSDK", program).await
    }

    /// Starts another server, which takes the settings as options.
    pub async fn peer(binary: &Path, work: &Path, pinned: &Pinned) -> Result<Self, RealtimeError> {
        let mut command = pinned.command(binary);
        command
            .args(["--listen", "127.0.0.1:0", "--token-secret", TOKEN_SECRET])
            .args(["--api-key", API_KEY])
            // One thread for its code, like the product's.
            .env("GOMAXPROCS", "1");
        let program = Program::start(&mut command, &work.join("peer.log"))?;
        let name = binary
            .file_stem()
            .map_or_else(|| "peer".into(), |name| name.to_string_lossy());
        Self::started(&name, program).await
    }

    async fn started(name: &str, program: Program) -> Result<Self, RealtimeError> {
        let address = program.line("listening on ")?;
        let external = External {
            url: format!("http://{address}/connection/websocket"),
            api: format!("http://{address}/api/publish"),
            api_key: API_KEY.to_owned(),
            token_secret: Some(TOKEN_SECRET.to_owned()),
            pid: program.pid(),
        };
        let mut server = Self::at(&external).await?;
        name.clone_into(&mut server.name);
        server.program = Some(program);
        Ok(server)
    }

    /// A server that runs already.
    pub async fn at(external: &External) -> Result<Self, RealtimeError> {
        let signer = external.token_secret.as_ref().map(|secret| {
            let expires_at = SystemClock.now() / 1000 + TOKEN_TTL;
            Signer::new(secret, expires_at)
        });
        Ok(Self {
            name: external.url.clone(),
            socket: Address::resolve(&external.url).await?,
            api: Address::resolve(&external.api).await?,
            api_key: external.api_key.clone(),
            signer,
            pid: external.pid,
            program: None,
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// No clients yet.
    pub fn swarm(&self) -> Result<Swarm, RealtimeError> {
        let handshake = handshake(&self.socket.host, &self.socket.path);
        Ok(Swarm::new(self.socket.socket, handshake, Kind::Client)?)
    }

    /// The first frames of `count` clients.
    pub fn first_frames(&self, count: usize, wants: Wants<'_>) -> Vec<Vec<u8>> {
        (0..count)
            .map(|number| first_frame(number, self.signer.as_ref(), wants))
            .collect()
    }

    /// A publisher to everybody.
    pub fn publisher(&self, kept: bool) -> Result<Source, RealtimeError> {
        let channel = if kept { KEPT } else { EVERYBODY };
        let head = script::head("POST", &self.api, &[format!("X-API-Key: {}", self.api_key)]);
        let data = "x".repeat(PAYLOAD - 2);
        let body = format!(r#"{{"channel":"{channel}","data":"{data}"}}"#);
        let request = script::Script::fixed(&head, &body).request().to_vec();
        Ok(Source::Api(Api::connect(self.api.socket, request)?))
    }
}

/// The floors, each a process of its own.
#[derive(Debug)]
pub struct Floors {
    sends: Program,
    sockets: SocketAddr,
    orders: SocketAddr,
    handshake: Program,
    handshakes: SocketAddr,
}

impl Floors {
    /// Starts them; `own` is the `chatsdk-bench` binary.
    pub fn start(own: &Path, work: &Path, pinned: &Pinned) -> Result<Self, RealtimeError> {
        let start = |floor: &str| {
            let log = work.join(format!("{floor}.log"));
            let program = Program::start(pinned.command(own).args(["floor", floor]), &log)?;
            let ready = program.event(&["ready"])?;
            Ok::<_, RealtimeError>((program, ready))
        };
        let (sends, at) = start("sends")?;
        let (handshake, shaking) = start("handshake")?;
        Ok(Self {
            sockets: socket(&at, "sockets")?,
            orders: socket(&at, "orders")?,
            sends,
            handshakes: socket(&shaking, "sockets")?,
            handshake,
        })
    }

    /// The process of the loop of `send()`.
    pub fn sends_pid(&self) -> u32 {
        self.sends.pid()
    }

    /// The process that shakes hands.
    pub fn handshake_pid(&self) -> u32 {
        self.handshake.pid()
    }

    /// `count` open sockets, and where messages of `bytes` bytes to them are ordered.
    pub fn receivers(&self, count: usize, bytes: usize) -> Result<(Swarm, Orders), RealtimeError> {
        let mut orders = Orders::announce(self.orders, count, bytes)?;
        let handshake = handshake(&self.sockets.to_string(), "/connection/websocket");
        let mut swarm = Swarm::new(self.sockets, handshake, Kind::Plain(bytes))?;
        let greeting = vec![b'x'; GREETING];
        swarm.open(std::iter::repeat_n(greeting, count), super::AT_ONCE)?;
        orders.ready()?;
        Ok((swarm, orders))
    }

    /// Where messages are ordered to the clients of `swarm`, over the sockets that `server` has for them; every message
    /// is `message`. `None` where the system does not lend them.
    pub fn borrowers(
        &self,
        swarm: &Swarm,
        server: &Server,
        message: &[u8],
    ) -> Result<Option<Orders>, RealtimeError> {
        let ports = swarm.ports()?;
        Ok(Orders::borrow(self.orders, server.pid, &ports, message)?)
    }

    /// No handshakes yet.
    pub fn shakers(&self) -> Result<Swarm, RealtimeError> {
        let handshake = handshake(&self.handshakes.to_string(), "/connection/websocket");
        Ok(Swarm::new(self.handshakes, handshake, Kind::Handshake)?)
    }
}

fn socket(ready: &Value, member: &'static str) -> Result<SocketAddr, RealtimeError> {
    ready[member]
        .as_str()
        .and_then(|address| address.parse().ok())
        .ok_or(RealtimeError::Floor(member))
}

/// CPU that a server and the generator have used.
#[derive(Debug)]
pub struct Meter {
    server: u32,
    before: [CpuTime; 2],
}

impl Meter {
    /// From now on, of the process `server` and this one.
    pub fn start(server: u32) -> Result<Self, RealtimeError> {
        Ok(Self {
            server,
            before: [
                process::cpu_time(server)?,
                process::cpu_time(std::process::id())?,
            ],
        })
    }

    /// Microseconds so far: the server's, and the generator's.
    pub fn read(&self) -> Result<[f64; 2], RealtimeError> {
        let [server, own] = &self.before;
        Ok([
            process::cpu_time(self.server)?.since(server),
            process::cpu_time(std::process::id())?.since(own),
        ])
    }
}

/// Waits until the process `server` has dealt with what was done to it: closing ten thousand
/// connections is work that must not fall into the next measurement.
pub fn settle(server: u32) -> Result<(), RealtimeError> {
    const STEP: Duration = Duration::from_millis(100);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let meter = Meter::start(server)?;
        std::thread::sleep(STEP);
        let [used, _] = meter.read()?;
        if used < 0.03 * STEP.as_micros() as f64 {
            break;
        }
    }
    Ok(())
}
