//! A client that speaks frames.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

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
