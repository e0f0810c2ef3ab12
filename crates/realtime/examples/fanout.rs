//! How fast a topic's publications reach its subscribers, beside a bare loop of `send()`.
//!
//! ```text
//! cargo run --release -p chatsdk-realtime --example fanout -- 1000
//! ```
//! opens that many WebSockets from a second process, which only reads. Then, in turns: publications one
//! at a time, in bursts of 16, and the same number of bytes written to as many plain sockets by a loop
//! that does nothing else. It prints deliveries a second; the last column is the ratio to the loop.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chatsdk_realtime::{
    Admission, Authority, Config, ConnectRequest, Denial, Engine, Grant, Identity, Payload,
    Publish, Refreshed, Refusal, SubscribeRequest, TopicOptions, Whom,
};
use chatsdk_types::{SystemClock, SystemEntropy};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Lets everybody in.
#[derive(Default)]
struct Open(Arc<TopicOptions>);

impl Authority for Open {
    async fn connect(&self, _: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        Ok(Admission::new(Identity::new("app", "ann", "s")))
    }

    async fn subscribe(&self, _: SubscribeRequest<'_>) -> Result<Grant, Denial> {
        Ok(Grant::new(Arc::clone(&self.0)))
    }

    async fn refresh(&self, connection: &Identity, _: &str) -> Result<Refreshed, Refusal> {
        Ok(Refreshed {
            identity: connection.clone(),
            expires_at: None,
        })
    }
}

const CONNECT: &str = r#"{"id":1,"connect":{}}
{"id":2,"subscribe":{"channel":"t"}}"#;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [kind, addr, count] => clients(kind, addr.parse()?, count.parse()?),
        [count] => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?
            // As a task of the one worker: a second busy thread would take the readers' core.
            .block_on(async { tokio::spawn(server(count.parse()?)).await? }),
        _ => Err("usage: fanout COUNT".into()),
    }
}

async fn server(count: usize) -> Outcome {
    let config = Config {
        ping_interval: Duration::ZERO,
        max_queue_bytes: 16 * 1024 * 1024,
        ..Config::default()
    };
    let engine = Engine::new(
        config,
        Arc::new(Open::default()),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let handle = engine.handle().clone();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut readers = spawn("engine", listener.local_addr()?, count)?;
    let accepting = tokio::spawn(accept(listener, engine));
    while handle.stats().subscriptions.load(Ordering::Relaxed) < count as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rounds = (1_000_000 / count / 16).max(4) * 16;
    let payload = Payload::new(format!("\"{}\"", "x".repeat(98)));
    let options = TopicOptions::default();
    let mut rates = Vec::new();
    for burst in [1, 16] {
        let before = handle.stats().messages_out.load(Ordering::Relaxed);
        let begin = Instant::now();
        for round in 1..=rounds / burst {
            for _ in 0..burst {
                handle.publish(Publish::new("app", "t", payload.clone(), &options));
            }
            let wanted = before + (round * burst * count) as u64;
            while handle.stats().messages_out.load(Ordering::Relaxed) < wanted {
                tokio::task::yield_now().await;
            }
        }
        rates.push((rounds * count) as f64 / begin.elapsed().as_secs_f64());
    }
    assert_eq!(handle.count(&Whom::Everyone), count, "nobody was too slow");
    accepting.abort();
    readers.kill()?;
    readers.wait()?;
    // 100 bytes of payload, and what the protocol puts around them.
    let frame = vec![b'x'; 100 + 44];
    for (at, burst) in [1, 16].into_iter().enumerate() {
        let floor = tokio::task::block_in_place(|| bare(count, rounds, burst, &frame))?;
        println!(
            "{count} subscribers, bursts of {burst}: {:.0}/s beside {floor:.0}/s: {:.2}",
            rates[at],
            rates[at] / floor
        );
    }
    Ok(())
}

/// The floor: the same bytes to as many sockets, by a loop.
fn bare(count: usize, rounds: usize, burst: usize, frame: &[u8]) -> Outcome<f64> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    let mut readers = spawn("bare", listener.local_addr()?, count)?;
    let mut sockets: Vec<StdStream> = listener.incoming().take(count).collect::<Result<_, _>>()?;
    for socket in &sockets {
        socket.set_nodelay(true)?;
    }
    let message = frame.repeat(burst);
    let begin = Instant::now();
    for _ in 0..rounds / burst {
        for socket in &mut sockets {
            socket.write_all(&message)?;
        }
    }
    let rate = (rounds * count) as f64 / begin.elapsed().as_secs_f64();
    readers.kill()?;
    readers.wait()?;
    Ok(rate)
}

fn spawn(kind: &str, addr: SocketAddr, count: usize) -> Outcome<Child> {
    let arguments = [kind.to_owned(), addr.to_string(), count.to_string()];
    Ok(Command::new(std::env::current_exe()?)
        .args(arguments)
        .spawn()?)
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

/// The second process: opens the sockets and reads whatever comes until it is killed.
#[tokio::main(flavor = "current_thread")]
async fn clients(kind: &str, addr: SocketAddr, count: usize) -> Outcome {
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..count {
        let mut stream = StdStream::connect(addr)?;
        if kind == "engine" {
            let request = format!(
                "GET /connection/websocket HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(request.as_bytes())?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            let mut frame = vec![0x81, 0x80 | CONNECT.len() as u8, 0, 0, 0, 0];
            frame.extend(CONNECT.as_bytes());
            stream.write_all(&frame)?;
        }
        stream.set_nonblocking(true)?;
        let stream = tokio::net::TcpStream::from_std(stream)?;
        readers.spawn(async move {
            loop {
                stream.readable().await?;
                let mut buffer = [0; 16 * 1024];
                match stream.try_read(&mut buffer) {
                    Ok(0) => return Ok::<(), std::io::Error>(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        });
    }
    while readers.join_next().await.is_some() {}
    Ok(())
}
