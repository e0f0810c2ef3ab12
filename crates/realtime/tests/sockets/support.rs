//! A real server on a free port, an authority that a test drives, and a client that speaks frames.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use chatsdk_realtime::{
    Admission, Authority, Broker, Caller, Config, ConnectRequest, Denial, Engine, ErrorCode, Grant,
    Handle, Identity, InspectRequest, Memory, PublishRequest, Publishing, RecoverRequest,
    Recovered, Refreshed, Refusal, Stats, SubRefreshRequest, SubscribeRequest, TimedStream,
    TopicOptions, Whom,
};
use chatsdk_types::{ManualClock, SystemEntropy};
use http::Request;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore};

/// The moment at which every test begins.
pub(crate) const START: i64 = 1_700_000_000_000;

/// How long a client may take nothing of a response.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// An authority whose tokens say what to answer:
/// `app/user/session/seconds` admits until then (`never`: without end); `expired`, `invalid`,
/// `revoked`, `unavailable`, and nothing at all are refused so.
#[derive(Debug)]
pub(crate) struct Scripted {
    clock: ManualClock,
    /// Answers wait here while it is closed.
    gate: Semaphore,
    /// Told at each question.
    pub(crate) asked: Notify,
    /// What connect was asked with.
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// The topics there are, by the beginnings of their channels.
    topics: Mutex<Vec<(&'static str, Grant)>>,
    /// The past of the topics whose history the host keeps.
    pub(crate) past: Mutex<Option<Recovered>>,
    /// Answers about the past wait here while it is closed.
    pub(crate) past_gate: Semaphore,
    /// Told at each question about the past.
    pub(crate) recovering: Notify,
    /// Only who listens to a topic may publish there, and ask about it.
    only_subscribers: AtomicBool,
    /// Where nobody may stay who refreshes.
    pub(crate) barred: Mutex<Vec<&'static str>>,
    /// What every connection is subscribed to.
    pub(crate) server_side: Mutex<Vec<&'static str>>,
}

/// What a connect question said.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) data: Option<String>,
    pub(crate) name: String,
    pub(crate) agent: Option<String>,
    pub(crate) emulated: Option<String>,
    pub(crate) remote: SocketAddr,
}

impl Scripted {
    fn answer(&self, token: &str) -> Result<(Identity, Option<i64>), Refusal> {
        match token {
            "" => Err(Refusal::Missing),
            "expired" => Err(Refusal::Expired),
            "revoked" => Err(Refusal::Revoked("session_revoked".into())),
            "unavailable" => Err(Refusal::Unavailable),
            _ => {
                let parts: Vec<&str> = token.split('/').collect();
                let [app, user, session, until] = parts[..] else {
                    return Err(Refusal::Invalid);
                };
                let now = chatsdk_types::Clock::now(&self.clock);
                let expires_at = until
                    .parse::<i64>()
                    .ok()
                    .map(|seconds| now + seconds * 1000);
                Ok((Identity::new(app, user, session), expires_at))
            }
        }
    }

    /// Has topics whose channels begin with `prefix` granted like this.
    pub(crate) fn topics(&self, prefix: &'static str, grant: Grant) {
        self.topics.lock().expect("no panic").push((prefix, grant));
    }

    /// From now on only who listens to a topic may publish there, and ask about it.
    pub(crate) fn only_subscribers(&self) {
        self.only_subscribers.store(true, Ordering::Relaxed);
    }

    fn grant_to(&self, subscribed: bool, channel: &str) -> Result<Grant, Denial> {
        if self.only_subscribers.load(Ordering::Relaxed) && !subscribed {
            return Err(ErrorCode::PermissionDenied.into());
        }
        self.grant(channel)
    }

    fn grant(&self, channel: &str) -> Result<Grant, Denial> {
        let topics = self.topics.lock().expect("no panic");
        if topics.is_empty() {
            return Err(ErrorCode::NotAvailable.into());
        }
        let found = topics
            .iter()
            .find(|(prefix, _)| channel.starts_with(prefix))
            .map(|(_, grant)| grant.clone());
        found.ok_or(ErrorCode::UnknownChannel.into())
    }

    async fn pass(&self) {
        self.asked.notify_one();
        drop(self.gate.acquire().await.expect("the gate stands"));
    }

    /// Holds answers back from now on.
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets them go.
    pub(crate) fn release(&self) {
        self.gate.add_permits(1);
    }
}

impl Authority for Scripted {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        self.seen.lock().expect("no panic").push(Seen {
            data: request.data.raw_value().map(|data| data.get().to_owned()),
            name: request.name.to_owned(),
            agent: request
                .headers
                .get("user-agent")
                .map(|agent| agent.to_str().expect("text").to_owned()),
            emulated: request.emulated_headers.get("x-a").cloned(),
            remote: request.remote_addr,
        });
        // The answer is made before the wait: what happens meanwhile is a race.
        let answer = self.answer(request.token);
        self.pass().await;
        let (identity, expires_at) = answer?;
        let channels = self.server_side.lock().expect("no panic").clone();
        let subscriptions = channels
            .into_iter()
            .filter_map(|channel| Some((channel.into(), self.grant(channel).ok()?)))
            .collect();
        Ok(Admission {
            expires_at,
            data: request.data.to_payload(),
            subscriptions,
            ..Admission::new(identity)
        })
    }

    async fn subscribe(&self, request: SubscribeRequest<'_>) -> Result<Grant, Denial> {
        let answer = self.grant(request.channel);
        self.pass().await;
        answer
    }

    async fn may_stay(&self, _: Caller<'_>, channel: &str) -> bool {
        !self.barred.lock().expect("no panic").contains(&channel)
    }

    async fn sub_refresh(&self, request: SubRefreshRequest<'_>) -> Result<Option<i64>, Denial> {
        let now = chatsdk_types::Clock::now(&self.clock);
        match request.token.parse::<i64>() {
            Ok(seconds) => Ok(Some(now + seconds * 1000)),
            Err(_) => Err(ErrorCode::PermissionDenied.into()),
        }
    }

    async fn publish(&self, request: PublishRequest<'_>) -> Result<Publishing, Denial> {
        Ok(Publishing::Topic(
            self.grant_to(request.subscribed, request.channel)?.options,
        ))
    }

    async fn inspect(&self, request: InspectRequest<'_>) -> Result<Arc<TopicOptions>, Denial> {
        Ok(self.grant_to(request.subscribed, request.channel)?.options)
    }

    async fn recover(&self, _: RecoverRequest<'_>) -> Result<Recovered, Denial> {
        let past = self.past.lock().expect("no panic").clone();
        self.recovering.notify_one();
        drop(self.past_gate.acquire().await.expect("the gate stands"));
        past.ok_or(ErrorCode::Internal.into())
    }

    async fn refresh(&self, _connection: &Identity, token: &str) -> Result<Refreshed, Refusal> {
        let answer = self.answer(token);
        self.pass().await;
        let (identity, expires_at) = answer?;
        Ok(Refreshed {
            identity,
            expires_at,
        })
    }
}

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
        let authority = Arc::new(Scripted {
            clock: clock.clone(),
            gate: Semaphore::new(1),
            asked: Notify::new(),
            seen: Mutex::default(),
            topics: Mutex::default(),
            past: Mutex::default(),
            past_gate: Semaphore::new(1),
            recovering: Notify::new(),
            only_subscribers: AtomicBool::new(false),
            barred: Mutex::default(),
            server_side: Mutex::default(),
        });
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

/// A connect command.
pub(crate) fn connect(id: u32, token: &str) -> String {
    format!(r#"{{"id":{id},"connect":{{"token":"{token}","name":"test"}}}}"#)
}

/// A refresh command.
pub(crate) fn refresh(id: u32, token: &str) -> String {
    format!(r#"{{"id":{id},"refresh":{{"token":"{token}"}}}}"#)
}

/// What a socket hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The server hung up.
    End,
    /// It hung up in the middle of a frame, as it does on a client that does not read.
    Cut,
}

/// A client.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    bytes: VecDeque<u8>,
    /// Lines of a frame that were not looked at yet.
    lines: VecDeque<String>,
    /// How many compressed messages it has heard.
    pub(crate) compressed: usize,
}

impl Socket {
    /// Opens a WebSocket; `headers` are more header lines.
    pub(crate) async fn open(addr: SocketAddr, headers: &str) -> Self {
        let (status, socket) = Self::upgrade(addr, "/connection/websocket", headers).await;
        assert!(status.starts_with("HTTP/1.1 101"), "{status}");
        socket
    }

    /// Asks for a WebSocket: the head of the answer, and the socket.
    pub(crate) async fn upgrade(addr: SocketAddr, path: &str, headers: &str) -> (String, Self) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a socket");
        let mut stream = socket.connect(addr).await.expect("it listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: test\r\n{headers}\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut socket = Self {
            stream,
            bytes: VecDeque::new(),
            lines: VecDeque::new(),
            compressed: 0,
        };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.byte().await.expect("a whole head"));
        }
        (String::from_utf8(head).expect("text"), socket)
    }

    /// The same with another end to write to, so that one can write while one reads.
    pub(crate) fn with_writer(mut self) -> (Self, TcpStream) {
        let stream = self.stream.into_std().expect("a socket");
        let twin = stream.try_clone().expect("a socket");
        self.stream = TcpStream::from_std(stream).expect("a socket");
        (self, TcpStream::from_std(twin).expect("a socket"))
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes()).await;
    }

    /// Sends one masked frame whose first byte is `first`.
    pub(crate) async fn frame(&mut self, first: u8, payload: &[u8]) {
        let frame = masked(first, payload);
        self.raw(&frame).await;
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it reads");
    }

    /// Waits for the next frame.
    pub(crate) async fn hear(&mut self) -> Heard {
        let Some(first) = self.byte().await else {
            return Heard::End;
        };
        let Some(mut payload) = self.payload().await else {
            return Heard::Cut;
        };
        let first = if first & 0x40 == 0 {
            first
        } else {
            self.compressed += 1;
            payload = inflated(&payload);
            first & !0x40
        };
        match first {
            0x81 => Heard::Text(String::from_utf8(payload).expect("UTF-8")),
            0x82 => Heard::Binary(payload),
            0x8a => Heard::Pong(payload),
            0x88 if payload.is_empty() => Heard::Close(1005, String::new()),
            0x88 => Heard::Close(
                u16::from_be_bytes([payload[0], payload[1]]),
                String::from_utf8(payload[2..].to_vec()).expect("UTF-8"),
            ),
            other => panic!("an unexpected frame {other:#x}"),
        }
    }

    /// What follows the first byte of a frame, without its length; `None`: not all of it came.
    async fn payload(&mut self) -> Option<Vec<u8>> {
        let second = self.byte().await?;
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let length_bytes = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut length = usize::from(second);
        if length_bytes > 0 {
            length = 0;
            for _ in 0..length_bytes {
                length = length << 8 | usize::from(self.byte().await?);
            }
        }
        let mut payload = Vec::with_capacity(length);
        for _ in 0..length {
            payload.push(self.byte().await?);
        }
        Some(payload)
    }

    /// Sends a command and answers the next line.
    pub(crate) async fn ask(&mut self, command: &str) -> Value {
        self.say(command).await;
        self.hear_line().await
    }

    /// Waits for the next line, answering pings.
    pub(crate) async fn hear_line(&mut self) -> Value {
        loop {
            if let Some(line) = self.lines.pop_front() {
                if line == "{}" {
                    self.say("{}").await;
                    continue;
                }
                return serde_json::from_str(&line).expect("JSON");
            }
            match self.hear().await {
                Heard::Text(text) => self.lines.extend(text.split('\n').map(str::to_owned)),
                other => panic!("expected a line, heard {other:?}"),
            }
        }
    }

    /// Asks something that has no effect and waits for the answer: what was said before has been
    /// obeyed then.
    pub(crate) async fn settle(&mut self) {
        self.say(r#"{"id":77,"ping":{}}"#).await;
        assert_eq!(
            self.hear().await,
            Heard::Text(r#"{"id":77,"ping":{}}"#.into())
        );
    }

    /// Waits for one line of JSON.
    pub(crate) async fn hear_json(&mut self) -> Value {
        match self.hear().await {
            Heard::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("expected a reply, heard {other:?}"),
        }
    }

    /// Waits for the close frame (pings before it are passed over), answers it, and waits for the end.
    pub(crate) async fn hear_close(&mut self) -> (u16, String) {
        loop {
            match self.hear().await {
                Heard::Close(code, reason) => {
                    if !(1002..=1009).contains(&code) {
                        self.frame(0x88, &code.to_be_bytes()).await;
                    }
                    assert_eq!(self.hear().await, Heard::End, "the server hangs up");
                    return (code, reason);
                }
                Heard::Text(ping) if ping == "{}" => {}
                other => panic!("expected a close, heard {other:?}"),
            }
        }
    }

    async fn byte(&mut self) -> Option<u8> {
        if self.bytes.is_empty() {
            let mut buffer = vec![0; 65_536];
            // A reset is an end, too: the server may drop what it was not going to read.
            let read = self.stream.read(&mut buffer).await.unwrap_or(0);
            self.bytes.extend(&buffer[..read]);
        }
        self.bytes.pop_front()
    }
}

/// A compressed message, as a client inflates it.
fn inflated(message: &[u8]) -> Vec<u8> {
    let mut whole = message.to_vec();
    whole.extend([0, 0, 0xff, 0xff]);
    let mut out = Vec::with_capacity(1024 * 1024);
    let mut inflate = flate2::Decompress::new(false);
    inflate
        .decompress_vec(&whole, &mut out, flate2::FlushDecompress::Sync)
        .expect("it inflates");
    assert_eq!(inflate.total_in(), whole.len() as u64, "all of it");
    out
}

/// A message, as a client compresses it.
pub(crate) fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    flate2::Compress::new(flate2::Compression::best(), false)
        .compress_vec(message, &mut out, flate2::FlushCompress::Sync)
        .expect("it can be compressed");
    out.truncate(out.strip_suffix(&[0, 0, 0xff, 0xff]).expect("a tail").len());
    out
}

/// A client's frame.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0xfe);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

/// A client of a response that goes on, in JSON: HTTP-streaming or server-sent events.
pub(crate) struct Stream {
    pub(crate) addr: SocketAddr,
    socket: TcpStream,
    pub(crate) head: String,
    bytes: Vec<u8>,
}

impl Stream {
    /// Posts `commands` to `path`, with more header lines, and reads the head of the answer.
    pub(crate) async fn open(addr: SocketAddr, path: &str, headers: &str, commands: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a socket");
        let mut socket = socket.connect(addr).await.expect("it listens");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n{headers}\r\n{commands}",
            commands.len()
        );
        socket
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut opened = Self {
            addr,
            socket,
            head: String::new(),
            bytes: Vec::new(),
        };
        opened.head = opened.until(b"\r\n\r\n").await.expect("a whole head");
        opened
    }

    /// What comes up to `end`, without it; `None`: nothing more does.
    async fn until(&mut self, end: &[u8]) -> Option<String> {
        loop {
            let found = self
                .bytes
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                let text = self.bytes[..at].to_vec();
                self.bytes.drain(..at + end.len());
                return Some(String::from_utf8(text).expect("UTF-8"));
            }
            let mut buffer = vec![0; 65_536];
            let read = self.socket.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.bytes.extend(&buffer[..read]);
        }
    }

    /// The next message, pings among them; `None`: the response has ended.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            // Lengths of chunks and empty lines stand between messages.
            let line = self.until(b"\n").await?;
            let line = line.trim_end_matches('\r');
            let line = line.strip_prefix("data: ").unwrap_or(line);
            if line.starts_with('{') {
                return Some(serde_json::from_str(line).expect("JSON"));
            }
            if line == "0" {
                return None;
            }
        }
    }

    /// Posts commands beside the response; the status of the answer. `connected` is the connect result.
    pub(crate) async fn post(&self, connected: &Value, commands: &str) -> u16 {
        let body = serde_json::json!({
            "session": connected["session"],
            "node": connected["node"],
            "data": commands,
        });
        let posted = Self::open(self.addr, "/emulation", "", &body.to_string()).await;
        let status = posted.head.split(' ').nth(1).expect("a status line");
        status.parse().expect("a status")
    }

    /// Whether the server still has its end of the socket open.
    pub(crate) fn is_held(&self) -> bool {
        let port = |addr: SocketAddr| format!("0100007F:{:04X}", addr.port());
        let client = self.socket.local_addr().expect("an address");
        let (server, client) = (port(self.addr), port(client));
        let table = std::fs::read_to_string("/proc/net/tcp").expect("a table of sockets");
        table.lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // A socket that no file descriptor stands for has no inode.
            columns.get(1) == Some(&server.as_str())
                && columns.get(2) == Some(&client.as_str())
                && columns.get(9).is_some_and(|inode| *inode != "0")
        })
    }
}
