//! What idle connections cost, and how fast all of one user's are closed.
//!
//! ```text
//! cargo run --release -p chatsdk-realtime --example idle -- 9000
//! ```
//! opens that many connections of one user from a second process (each process needs a file descriptor
//! per connection; see `ulimit -n`), each of which listens to five topics: one that all share, one of
//! its own, three that it shares with some. It prints the memory that one of them costs this process,
//! then ends the user's connections by one order and prints how long it takes until the last client has
//! seen its close frame, answered, and is gone.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatsdk_realtime::{
    Admission, Authority, Config, ConnectRequest, Denial, Disconnect, DisconnectCode, Engine,
    Grant, Identity, Refreshed, Refusal, SubscribeRequest, TopicOptions, Whom,
};
use chatsdk_types::{SystemClock, SystemEntropy};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Admits everybody: the token is the session.
#[derive(Default)]
struct Open(Arc<TopicOptions>);

impl Authority for Open {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        Ok(Admission::new(Identity::new("app", "ann", request.token)))
    }

    async fn subscribe(&self, _: SubscribeRequest<'_>) -> Result<Grant, Denial> {
        Ok(Grant::new(Arc::clone(&self.0)))
    }

    async fn refresh(&self, connection: &Identity, _token: &str) -> Result<Refreshed, Refusal> {
        Ok(Refreshed {
            identity: connection.clone(),
            expires_at: None,
        })
    }
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [addr, count] => clients(addr.parse()?, count.parse()?),
        [count] => server(count.parse()?),
        _ => Err("usage: idle COUNT".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn server(count: usize) -> Outcome {
    let engine = Engine::new(
        Config::default(),
        Arc::new(Open::default()),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let handle = engine.handle().clone();
    let accepting = tokio::spawn(accept(listener, engine));
    let user = Whom::User {
        app: "app",
        user: "ann",
    };

    let before = resident()?;
    let begin = Instant::now();
    let mut clients = Command::new(std::env::current_exe()?)
        .args([addr.to_string(), count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    while handle.count(&user) < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{count} connections in {:?}", begin.elapsed());
    // What the handshakes needed is given back by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let bytes = resident()?.saturating_sub(before);
    println!("resident memory: {} bytes per connection", bytes / count);

    let begin = Instant::now();
    let why = Disconnect::because(DisconnectCode::ForceDisconnect, "session_revoked");
    let told = handle.disconnect(&user, &why);
    while handle.count(&Whom::Everyone) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("{told} told to go, all gone after {:?}", begin.elapsed());

    let mut line = String::new();
    if let Some(output) = clients.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    print!("{line}");
    clients.wait()?;
    accepting.abort();
    Ok(())
}

async fn accept(listener: TcpListener, engine: Engine<Open>) -> Outcome {
    loop {
        let (stream, remote) = listener.accept().await?;
        let engine = engine.clone();
        tokio::spawn(async move {
            let service = service_fn(move |mut request| {
                let response = engine.upgrade(&mut request, remote);
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await
        });
    }
}

/// The second process: opens the connections and answers their close frames.
#[tokio::main(flavor = "current_thread")]
async fn clients(addr: SocketAddr, count: usize) -> Outcome {
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        open.push(connect(addr, number).await?);
    }
    let mut closed = tokio::task::JoinSet::new();
    for mut stream in open {
        closed.spawn(async move {
            let mut frame = [0; 256];
            loop {
                let read = stream.read(&mut frame).await?;
                match frame[..read] {
                    [] => return Ok::<u16, std::io::Error>(0),
                    [0x88, _, high, low, ..] => {
                        // A close frame under a mask of zeros.
                        stream
                            .write_all(&[0x88, 0x82, 0, 0, 0, 0, high, low])
                            .await?;
                        return Ok(u16::from_be_bytes([high, low]));
                    }
                    // A ping: pong.
                    _ => {
                        stream
                            .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'{', b'}'])
                            .await?;
                    }
                }
            }
        });
    }
    let mut revoked = 0;
    while let Some(code) = closed.join_next().await {
        revoked += usize::from(code?? == 3503);
    }
    println!("{revoked} clients saw code 3503");
    std::io::stdout().flush()?;
    Ok(())
}

async fn connect(addr: SocketAddr, number: usize) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    hear(&mut stream, b"\r\n\r\n").await?;
    let topics = [
        "everybody".to_owned(),
        format!("only-{number}"),
        format!("room-{}", number / 10),
        format!("floor-{}", number / 100),
        format!("house-{}", number / 1000),
    ];
    let mut commands = format!(r#"{{"id":1,"connect":{{"token":"ses_{number:026}"}}}}"#);
    for (at, topic) in topics.iter().enumerate() {
        let id = at + 2;
        write!(
            commands,
            "\n{{\"id\":{id},\"subscribe\":{{\"channel\":\"{topic}\"}}}}"
        )?;
    }
    let length = (commands.len() as u16).to_be_bytes();
    let mut frame = vec![0x81, 0xfe, length[0], length[1], 0, 0, 0, 0];
    frame.extend(commands.as_bytes());
    stream.write_all(&frame).await?;
    hear(&mut stream, b"\"id\":6,\"subscribe\":{}}").await?;
    Ok(stream)
}

/// Reads until what came ends with `end`.
async fn hear(stream: &mut TcpStream, end: &[u8]) -> Outcome {
    let mut heard = Vec::new();
    while !heard.ends_with(end) {
        if stream.read_buf(&mut heard).await? == 0 {
            return Err("the server hung up".into());
        }
    }
    Ok(())
}

/// The resident memory of this process, in bytes.
fn resident() -> Outcome<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
