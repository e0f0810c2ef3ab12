//! Many connections on one thread.
//!
//! One epoll set, edge-triggered; one buffer that every socket is read into; per connection a place in a
//! vector. What is heard is counted and thrown away.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::client::REPLIES;
use super::frames::{Frames, Message, PONG, is_error};
use super::source::{Source, SourceError};
use crate::floors::sends::GREETING;
use crate::load::histogram::Histogram;

/// How long nothing may happen before a measurement is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where replies to publishers arrive.
const SOURCE: Token = Token(usize::MAX);

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A socket on which, after a greeting ([`GREETING`]), messages of so many bytes arrive.
    Plain(usize),
    /// A WebSocket that says nothing.
    Handshake,
    /// A client of the protocol, whose first frame is to be answered with [`REPLIES`] results.
    Client,
}

/// Why a swarm's figures mean nothing.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// A socket failed.
    #[error("connection {connection}: {source}")]
    Io {
        /// Which, counted from 0.
        connection: usize,
        /// What the system said.
        source: io::Error,
    },
    /// There is no epoll set, or it failed.
    #[error("cannot wait for sockets: {0}")]
    Poll(io::Error),
    /// The server hung up, perhaps with a close code.
    #[error("connection {connection} was closed with code {code}")]
    Closed {
        /// Which, counted from 0.
        connection: usize,
        /// The code; 0 without a close frame.
        code: u16,
    },
    /// The server refused, or said something that a run like this does not expect.
    #[error("connection {connection} was told {said}")]
    Unexpected {
        /// Which, counted from 0.
        connection: usize,
        /// What it was told.
        said: String,
    },
    /// Nothing happened for too long.
    #[error("{got} of {wanted} {what} came, and then nothing for {PATIENCE:?}")]
    Stalled {
        /// What was waited for.
        what: &'static str,
        /// How many came.
        got: u64,
        /// How many were to come.
        wanted: u64,
    },
    /// A message was lost or doubled.
    #[error("connection {connection} was sent {got} messages instead of {wanted}")]
    Count {
        /// Which, counted from 0.
        connection: usize,
        /// How many came.
        got: u64,
        /// How many were to come.
        wanted: u64,
    },
    /// A message could not be published.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What all connections have heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Messages.
    pub messages: u64,
    /// Bytes, everything included.
    pub bytes: u64,
    /// Pings of the protocol.
    pub pings: u64,
    /// Publications within replies: those that were missed.
    pub recovered: u64,
}

/// How connections were opened.
#[derive(Debug)]
pub struct Opened {
    /// From dialling each to its last reply, in nanoseconds.
    pub latencies: Histogram,
    /// From dialling the first to the last reply of all.
    pub time: Duration,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    stage: Stage,
    frames: Frames,
    /// The first frame, until it is sent.
    first_frame: Vec<u8>,
    heard: u64,
    /// Bytes of messages, where messages are nothing but bytes.
    bytes: u64,
    dialled: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialling,
    Upgrading,
    /// So much is still to be answered: replies, or bytes where there are no replies.
    Joining(u32),
    Open,
}

/// Connections to one server.
#[derive(Debug)]
pub struct Swarm {
    poll: Poll,
    to: SocketAddr,
    handshake: Vec<u8>,
    kind: Kind,
    connections: Vec<Connection>,
    /// The first frames of those that are still to be dialled.
    waiting: VecDeque<Vec<u8>>,
    open: usize,
    joining: Histogram,
    hearing: Hearing,
    source: Option<Source>,
    awake: bool,
}

/// What changes when bytes arrive, whichever connection they arrive on.
#[derive(Debug)]
struct Hearing {
    buffer: Vec<u8>,
    heard: Heard,
    /// When each message was published, or should have been.
    published: Vec<Instant>,
    latencies: Histogram,
    /// The replies to the first connection.
    replies: Vec<String>,
}

impl Swarm {
    /// No connections yet. `handshake` is what a WebSocket is asked for with.
    pub fn new(to: SocketAddr, handshake: Vec<u8>, kind: Kind) -> Result<Self, SwarmError> {
        Ok(Self {
            poll: Poll::new().map_err(SwarmError::Poll)?,
            to,
            handshake,
            kind,
            connections: Vec::new(),
            waiting: VecDeque::new(),
            open: 0,
            joining: Histogram::default(),
            hearing: Hearing {
                buffer: vec![0; 64 * 1024],
                heard: Heard::default(),
                published: Vec::new(),
                latencies: Histogram::default(),
                replies: Vec::new(),
            },
            source: None,
            awake: false,
        })
    }

    /// Never sleeps while messages are on their way. Waking a generator costs whoever sends as much as a
    /// third of the sending, and falls on servers that are a little slower than it, not on a faster floor.
    /// It takes a core of its own.
    pub fn stay_awake(&mut self) {
        self.awake = true;
    }

    fn patience(&self) -> Duration {
        if self.awake { Duration::ZERO } else { PATIENCE }
    }

    /// Opens a connection for each of `first_frames`, which bare handshakes keep to themselves, at most `at_once` of
    /// them in the making, and waits until all are ready.
    pub fn open(
        &mut self,
        first_frames: impl IntoIterator<Item = Vec<u8>>,
        at_once: usize,
    ) -> Result<Opened, SwarmError> {
        self.waiting = first_frames.into_iter().collect();
        let wanted = self.open + self.waiting.len();
        let begin = Instant::now();
        let mut events = events();
        let mut last = begin;
        while self.open < wanted {
            while self.connections.len() - self.open < at_once
                && let Some(first_frame) = self.waiting.pop_front()
            {
                self.dial(first_frame)?;
            }
            if self.turn(&mut events, Some(PATIENCE))? {
                last = Instant::now();
            } else if last.elapsed() >= PATIENCE {
                return Err(SwarmError::Stalled {
                    what: "connections",
                    got: self.open as u64,
                    wanted: wanted as u64,
                });
            }
        }
        Ok(Opened {
            latencies: std::mem::take(&mut self.joining),
            time: begin.elapsed(),
        })
    }

    /// Where messages come from, from now on.
    pub fn attach(&mut self, mut source: Source) -> Result<(), SwarmError> {
        source
            .register(self.poll.registry(), SOURCE)
            .map_err(SwarmError::Poll)?;
        self.source = Some(source);
        Ok(())
    }

    /// Has messages come from `source` instead of where they came from, until it is swapped back. It is attached, or
    /// needs not be.
    pub fn swap_source(&mut self, source: Source) -> Option<Source> {
        self.source.replace(source)
    }

    /// Has `count` messages published at once, that were due at `due`.
    pub fn publish(&mut self, count: usize, due: Instant) -> Result<(), SwarmError> {
        self.hearing
            .published
            .extend(std::iter::repeat_n(due, count));
        if let Some(source) = &mut self.source {
            source.publish(count)?;
        }
        Ok(())
    }

    /// Waits until every connection has heard every message that was published, and everybody who
    /// published has been answered.
    pub fn hear_all(&mut self) -> Result<(), SwarmError> {
        let published = self.hearing.published.len() as u64;
        let wanted = published * self.connections.len() as u64;
        let mut events = events();
        let mut last = Instant::now();
        while self.hearing.heard.messages < wanted || !self.is_answered() {
            if self.turn(&mut events, Some(self.patience()))? {
                last = Instant::now();
            } else if last.elapsed() >= PATIENCE {
                return Err(SwarmError::Stalled {
                    what: "messages",
                    got: self.hearing.heard.messages,
                    wanted,
                });
            }
        }
        Ok(())
    }

    fn is_answered(&self) -> bool {
        self.source.as_ref().is_none_or(Source::is_answered)
    }

    /// Hears whatever comes until `until`. Burns the last millisecond, which a wait cannot hit.
    pub fn hear_until(&mut self, until: Instant) -> Result<(), SwarmError> {
        let mut events = events();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let whole = Duration::from_millis(left.as_millis() as u64);
            self.turn(&mut events, Some(whole.min(self.patience())))?;
        }
    }

    /// Fails where a connection has heard more or fewer messages than were published.
    pub fn check(&self) -> Result<(), SwarmError> {
        let wanted = self.hearing.published.len() as u64;
        let wrong = self.connections.iter().enumerate();
        match wrong.into_iter().find(|(_, it)| it.heard != wanted) {
            None => Ok(()),
            Some((connection, it)) => Err(SwarmError::Count {
                connection,
                got: it.heard,
                wanted,
            }),
        }
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.hearing.heard
    }

    /// The ports of its connections, in the order in which they were dialled.
    pub fn ports(&self) -> Result<Vec<u16>, SwarmError> {
        let ports = self.connections.iter().enumerate();
        let ports = ports.map(|(connection, it)| {
            let address = it.stream.local_addr();
            let failed = |source| SwarmError::Io { connection, source };
            address.map(|it| it.port()).map_err(failed)
        });
        ports.collect()
    }

    /// The first `count` bytes that were read last, at once.
    pub fn last_read(&self, count: usize) -> &[u8] {
        &self.hearing.buffer[..count]
    }

    /// How long messages took since this was asked last.
    pub fn take_latencies(&mut self) -> Histogram {
        std::mem::take(&mut self.hearing.latencies)
    }

    /// What the first connection was answered.
    pub fn replies(&self) -> &[String] {
        &self.hearing.replies
    }

    fn dial(&mut self, first_frame: Vec<u8>) -> Result<(), SwarmError> {
        let connection = self.connections.len();
        let failed = |source| SwarmError::Io { connection, source };
        let dialled = Instant::now();
        let mut stream = TcpStream::connect(self.to).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        // Closed by a reset, a connection leaves no port behind that nobody can use for a minute.
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .map_err(failed)?;
        self.poll
            .registry()
            .register(
                &mut stream,
                Token(connection),
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(SwarmError::Poll)?;
        self.connections.push(Connection {
            stream,
            stage: Stage::Dialling,
            frames: Frames::default(),
            first_frame,
            heard: 0,
            bytes: 0,
            dialled,
        });
        Ok(())
    }

    /// Waits for events and deals with them; whether there were any.
    fn turn(&mut self, events: &mut Events, wait: Option<Duration>) -> Result<bool, SwarmError> {
        match self.poll.poll(events, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(SwarmError::Poll(error)),
        }
        for event in &*events {
            if event.token() == SOURCE {
                if let Some(source) = &mut self.source {
                    source.proceed()?;
                }
                continue;
            }
            let number = event.token().0;
            let connection = &mut self.connections[number];
            let before = connection.stage;
            if before == Stage::Dialling {
                connection.dialled(&self.handshake, number)?;
            }
            if event.is_readable() {
                self.hearing.read(connection, self.kind, number)?;
            }
            if before != Stage::Open && connection.stage == Stage::Open {
                self.open += 1;
                self.joining
                    .record(connection.dialled.elapsed().as_nanos() as u64);
            }
        }
        Ok(!events.is_empty())
    }
}

fn events() -> Events {
    Events::with_capacity(512)
}

impl Connection {
    /// Goes on once the connection is there.
    fn dialled(&mut self, handshake: &[u8], number: usize) -> Result<(), SwarmError> {
        let failed = |source| SwarmError::Io {
            connection: number,
            source,
        };
        if let Some(error) = self.stream.take_error().map_err(failed)? {
            return Err(failed(error));
        }
        match self.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
        self.stage = Stage::Upgrading;
        self.say(handshake, number)
    }

    /// Takes the reply to the handshake, and goes on.
    fn upgraded(&mut self, kind: Kind, number: usize, bytes: &[u8]) -> Result<(), SwarmError> {
        // It comes in one piece, and nothing behind it: the client speaks first.
        if !bytes.starts_with(b"HTTP/1.1 101 ") || !bytes.ends_with(b"\r\n\r\n") {
            return Err(unexpected(number, bytes));
        }
        if kind == Kind::Handshake {
            self.stage = Stage::Open;
            return Ok(());
        }
        let first_frame = std::mem::take(&mut self.first_frame);
        self.stage = Stage::Joining(match kind {
            Kind::Plain(_) => GREETING as u32,
            Kind::Handshake | Kind::Client => REPLIES,
        });
        self.say(&first_frame, number)
    }

    /// Sends a few bytes, which a socket's empty buffer takes whole.
    fn say(&mut self, bytes: &[u8], number: usize) -> Result<(), SwarmError> {
        match self.stream.write(bytes) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(SwarmError::Io {
                connection: number,
                source: io::ErrorKind::WriteZero.into(),
            }),
            Err(source) => Err(SwarmError::Io {
                connection: number,
                source,
            }),
        }
    }
}

impl Hearing {
    /// Reads what has come.
    fn read(
        &mut self,
        connection: &mut Connection,
        kind: Kind,
        number: usize,
    ) -> Result<(), SwarmError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let done = loop {
            match connection.stream.read(&mut buffer) {
                Ok(0) => {
                    break Err(SwarmError::Closed {
                        connection: number,
                        code: 0,
                    });
                }
                Ok(read) => {
                    if let Err(error) = self.hear(connection, kind, number, &buffer[..read]) {
                        break Err(error);
                    }
                    // A read that does not fill the buffer has emptied the socket; what comes later is
                    // an event of its own.
                    if read < buffer.len() {
                        break Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    break Err(SwarmError::Io {
                        connection: number,
                        source,
                    });
                }
            }
        };
        self.buffer = buffer;
        done
    }

    fn hear(
        &mut self,
        connection: &mut Connection,
        kind: Kind,
        number: usize,
        bytes: &[u8],
    ) -> Result<(), SwarmError> {
        self.heard.bytes += bytes.len() as u64;
        let before = connection.heard;
        match (kind, connection.stage) {
            (_, Stage::Upgrading) => connection.upgraded(kind, number, bytes)?,
            (Kind::Plain(_), Stage::Joining(left)) => {
                connection.stage = match left.checked_sub(bytes.len() as u32) {
                    None => return Err(unexpected(number, bytes)),
                    Some(0) => Stage::Open,
                    Some(left) => Stage::Joining(left),
                }
            }
            (Kind::Plain(unit), _) => {
                connection.bytes += bytes.len() as u64;
                connection.heard = connection.bytes / unit as u64;
            }
            _ => self.frames(connection, number, bytes)?,
        }
        if connection.heard > before {
            self.heard.messages += connection.heard - before;
            let now = Instant::now();
            let published = self
                .published
                .get(before as usize..connection.heard as usize);
            for due in published.unwrap_or_default() {
                self.latencies
                    .record(now.saturating_duration_since(*due).as_nanos() as u64);
            }
        }
        Ok(())
    }

    fn frames(
        &mut self,
        connection: &mut Connection,
        number: usize,
        bytes: &[u8],
    ) -> Result<(), SwarmError> {
        let (heard, replies) = (&mut self.heard, &mut self.replies);
        let (stage, count) = (&mut connection.stage, &mut connection.heard);
        let mut pings = 0;
        let mut wrong = None;
        connection.frames.take(bytes, |message| match message {
            Message::Publication => *count += 1,
            Message::Ping => pings += 1,
            Message::Reply(line) => {
                if number == 0 {
                    replies.push(String::from_utf8_lossy(line).into_owned());
                }
                if memmem::find(line, br#""recovered":true"#).is_some() {
                    heard.recovered += memmem::find_iter(line, br#""data":"#).count() as u64;
                }
                match stage {
                    Stage::Joining(left) if !is_error(line) => {
                        *left -= 1;
                        if *left == 0 {
                            *stage = Stage::Open;
                        }
                    }
                    _ => wrong = Some(unexpected(number, line)),
                }
            }
            Message::Other(line) => wrong = Some(unexpected(number, line)),
            Message::Close(code) => {
                wrong = Some(SwarmError::Closed {
                    connection: number,
                    code,
                });
            }
        });
        if let Some(error) = wrong {
            return Err(error);
        }
        heard.pings += pings;
        for _ in 0..pings {
            connection.say(&PONG, number)?;
        }
        Ok(())
    }
}

fn unexpected(connection: usize, line: &[u8]) -> SwarmError {
    SwarmError::Unexpected {
        connection,
        said: String::from_utf8_lossy(line).into_owned(),
    }
}
