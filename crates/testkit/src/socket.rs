//! A WebSocket client of somebody else's making, with the few commands that tests need.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// What a socket hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A reply or a push.
    Reply(Value),
    /// The end, with its code and reason.
    Closed(u16, String),
}

/// How long a test waits for an event before it fails. Not a delay: events end the wait.
const PATIENCE: Duration = Duration::from_secs(45);

/// A connection in the JSON protocol. Answers pings by itself.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    queued: std::collections::VecDeque<Value>,
    next_id: u32,
}

impl Socket {
    /// Opens a socket at `path` with these headers; the status where the server refuses the upgrade.
    pub async fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).await.expect("a listener");
        Self::open_over(stream, address, path, headers).await
    }

    async fn open_over(
        stream: TcpStream,
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{address}{path}")
            .into_client_request()
            .expect("an address");
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, value.parse().expect("a header"));
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Ok(Self {
                stream,
                queued: std::collections::VecDeque::new(),
                next_id: 1,
            }),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a socket and connects with a token; the reply, or the end.
    pub async fn connect(address: SocketAddr, token: &str) -> (Self, Event) {
        let mut socket = Self::open(address, "/connection/websocket", &[])
            .await
            .expect("an upgrade");
        let event = socket.present(token).await;
        (socket, event)
    }

    /// Says who it is; the reply, or the end.
    async fn present(&mut self, token: &str) -> Event {
        self.command("connect", json!({ "token": token, "name": "test" }))
            .await;
        self.event().await
    }

    /// A socket that is connected, and has room for a few thousand bytes that nobody reads.
    pub async fn cramped(address: SocketAddr, token: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a socket");
        let stream = socket.connect(address).await.expect("a listener");
        let mut socket = Self::open_over(stream, address, "/connection/websocket", &[])
            .await
            .expect("an upgrade");
        let event = socket.present(token).await;
        assert!(matches!(event, Event::Reply(_)), "{event:?}");
        socket
    }

    /// A socket that is connected.
    pub async fn connected(address: SocketAddr, token: &str) -> Self {
        let (socket, event) = Self::connect(address, token).await;
        let Event::Reply(reply) = &event else {
            panic!("{event:?}")
        };
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        socket
    }

    /// Sends a command and answers its id.
    pub async fn command(&mut self, name: &str, body: Value) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.text(&json!({ "id": id, name: body }).to_string())
            .await;
        id
    }

    /// Sends a command and answers the reply to it; pushes that come before it wait for
    /// [`Socket::push`].
    pub async fn ask(&mut self, name: &str, body: Value) -> Value {
        let id = self.command(name, body).await;
        self.find(|reply| reply["id"] == id).await
    }

    /// The next push: what is in its `push`.
    pub async fn push(&mut self) -> Value {
        let mut push = self.find(|reply| reply["push"].is_object()).await;
        push["push"].take()
    }

    /// The next message that is `wanted`; others before it stay.
    async fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut passed = std::collections::VecDeque::new();
        loop {
            match self.event().await {
                Event::Reply(reply) if wanted(&reply) => {
                    passed.append(&mut self.queued);
                    self.queued = passed;
                    return reply;
                }
                Event::Reply(reply) => passed.push_back(reply),
                end @ Event::Closed(..) => panic!("{end:?} while {passed:?} waited"),
            }
        }
    }

    /// Sends text as it is.
    pub async fn text(&mut self, text: &str) {
        // A socket that the server has just closed says why when it is read.
        let _gone = self.stream.send(Message::text(text)).await;
    }

    /// The next reply, push or end.
    pub async fn event(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.next())
            .await
            .expect("an event")
    }

    async fn next(&mut self) -> Event {
        loop {
            while let Some(reply) = self.queued.pop_front() {
                if reply.as_object().is_some_and(serde_json::Map::is_empty) {
                    self.text("{}").await;
                } else {
                    return Event::Reply(reply);
                }
            }
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let lines = text
                        .split('\n')
                        .map(|line| serde_json::from_str(line).expect("JSON"));
                    self.queued.extend(lines);
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Event::Closed(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => {
                    return Event::Closed(1006, String::new());
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Waits for the end.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Event::Closed(code, reason) = self.event().await {
                return (code, reason);
            }
        }
    }
}
