//! What the same costs without a server of ours: the floors.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use chatsdk_client::platform::Platform as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::back::Pooled;
use super::{AT_ONCE, ClientsError, Meter, PATIENCE, Wave, joined, shaken, within};
use crate::floors;
use crate::floors::sends::GREETING;
use crate::program::{Program, ProgramError};

/// The servers of the floors.
pub(super) struct FloorServers {
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
    pub(super) fn start(own: &Path, work: &Path) -> Result<Self, ClientsError> {
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
    pub(super) async fn wave(&self, count: usize) -> Result<Wave, ClientsError> {
        let platform = Arc::new(Pooled::new(Arc::new(Semaphore::new(AT_ONCE))));
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
                let stream = shaken(shakes, &shakes.to_string()).await?;
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
    pub(super) async fn sends(&self, count: usize, bytes: u32) -> Result<f64, ClientsError> {
        let mut orders = TcpStream::connect(self.orders).await?;
        orders.set_nodelay(true)?;
        orders.write_all(&(count as u32).to_be_bytes()).await?;
        let mut opening = JoinSet::new();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        for _ in 0..count {
            let (turns, to) = (turns.clone(), self.sockets);
            opening.spawn(async move {
                let _turn = turns.acquire().await;
                greeted(to).await
            });
        }
        let mut reading = JoinSet::new();
        while let Some(opened) = opening.join_next().await {
            let mut stream = joined(opened)?;
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

/// A socket that has talked like a client's: see [`floors::sends`].
async fn greeted(to: SocketAddr) -> Result<TcpStream, ClientsError> {
    let mut stream = shaken(to, &to.to_string()).await?;
    stream.write_all(&[b'x'; GREETING]).await?;
    stream.read_exact(&mut [0; GREETING]).await?;
    Ok(stream)
}

fn socket(ready: &Value, member: &'static str) -> Result<SocketAddr, ClientsError> {
    let address = ready[member]
        .as_str()
        .and_then(|address| address.parse().ok());
    address.ok_or_else(|| ClientsError::Invalid(format!("a floor does not say its {member}")))
}
