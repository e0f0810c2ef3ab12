//! A real server on a free port.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use chatsdk_realtime::{Broker, Config, Engine, Handle, Memory, Stats, TimedStream, Whom};
use chatsdk_types::{ManualClock, SystemEntropy};
use http::Request;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{START, Scripted, Socket, connect};

/// How long a client may take nothing of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A server on a free port. It ends with the runtime of its test.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Engine<Scripted>,
    pub(crate) authority: Arc<Scripted>,
    pub(crate) clock: ManualClock,
    _time_stands: mpsc::Sender<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::joined(config, Arc::new(Memory::default())).await
    }

    /// A node among those that `broker` joins.
    pub(crate) async fn joined(config: Config, broker: Arc<dyn Broker>) -> Self {
        // While a blocking task runs, Tokio does not let its paused time jump by itself.
        let (time_stands, until) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || until.recv());
        let clock = ManualClock::at(START);
        let authority = Arc::new(Scripted::new(clock.clone()));
        let engine = Engine::joined(
            config,
            Arc::clone(&authority),
            Arc::new(clock.clone()),
            Arc::new(SystemEntropy),
            broker,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        tokio::spawn(accept(listener, engine.clone()));
        Self {
            addr,
            engine,
            authority,
            clock,
            _time_stands: time_stands,
        }
    }

    /// Lets time pass until `done`, and tells how long that took. The wall clock stands.
    pub(crate) async fn pass_until(&self, done: impl Fn(&Stats) -> bool) -> Duration {
        let begin = tokio::time::Instant::now();
        while !done(self.handle().stats()) {
            tokio::time::advance(Duration::from_millis(100)).await;
            // The timers, what they wake, and what that wakes.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        begin.elapsed()
    }

    /// Lets time pass until a connection was closed with `code`.
    pub(crate) async fn pass_until_closed(&self, code: u16) -> Duration {
        self.pass_until(|stats| stats.closes().iter().any(|(closed, _)| *closed == code))
            .await
    }

    /// Lets time pass until something is sent.
    pub(crate) async fn pass_until_sent(&self) -> Duration {
        let sent = |stats: &Stats| stats.messages_out.load(Ordering::Relaxed);
        let before = sent(self.handle().stats());
        self.pass_until(|stats| sent(stats) > before).await
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.engine.handle()
    }

    /// A socket that has not said anything yet.
    pub(crate) async fn socket(&self) -> Socket {
        Socket::open(self.addr, "").await
    }

    /// A socket that is connected with `token`, and the connect result.
    pub(crate) async fn connected(&self, token: &str) -> (Socket, Value) {
        let mut socket = self.socket().await;
        socket.say(&connect(1, token)).await;
        let reply = socket.hear_json().await;
        assert_eq!(reply["id"], 1, "{reply}");
        assert!(reply["connect"].is_object(), "{reply}");
        let result = reply["connect"].clone();
        (socket, result)
    }

    /// Waits until no connection is left.
    pub(crate) async fn empty(&self) {
        while self.handle().count(&Whom::Everyone) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn accept(listener: TcpListener, engine: Engine<Scripted>) {
    loop {
        let (stream, remote) = listener.accept().await.expect("a connection");
        // Small, so that a client that does not read is noticed soon.
        socket2::SockRef::from(&stream)
            .set_send_buffer_size(4096)
            .expect("a socket");
        let engine = engine.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let engine = engine.clone();
                async move { Ok::<_, Infallible>(answer(&engine, request, remote).await) }
            });
            // An error means that the client went away, which the client's side of a test shows.
            let _ = http1::Builder::new()
                .serve_connection(
                    TokioIo::new(TimedStream::new(stream, WRITE_TIMEOUT)),
                    service,
                )
                .with_upgrades()
                .await;
        });
    }
}

async fn answer(
    engine: &Engine<Scripted>,
    mut request: Request<Incoming>,
    remote: SocketAddr,
) -> http::Response<UnsyncBoxBody<Bytes, Infallible>> {
    match request.uri().path() {
        "/connection/http_stream" => engine
            .http_stream(request, remote)
            .await
            .map(BodyExt::boxed_unsync),
        "/connection/sse" => engine
            .events(request, remote)
            .await
            .map(BodyExt::boxed_unsync),
        "/emulation" => engine.emulation(request).await.map(BodyExt::boxed_unsync),
        _ => engine
            .upgrade(&mut request, remote)
            .map(BodyExt::boxed_unsync),
    }
}
