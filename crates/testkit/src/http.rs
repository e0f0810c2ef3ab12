//! An HTTP client that sends exactly what it is told to. One connection a request.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub text: String,
}

impl Reply {
    /// The first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    /// A member of the body, as text; empty where there is none.
    pub fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// The status and the problem's code: `401 token_expired`, or the status alone.
    pub fn outcome(&self) -> String {
        let code = serde_json::from_str::<Value>(&self.text)
            .ok()
            .and_then(|body| body["code"].as_str().map(str::to_owned));
        code.map_or_else(
            || self.status.to_string(),
            |code| format!("{} {code}", self.status),
        )
    }

    /// The reply itself; the end of the test unless it is a 200.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "calling it is the assertion"
    )]
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text);
        self
    }
}

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Request {
    address: SocketAddr,
    head: String,
    body: Vec<u8>,
}

/// A request to `address`.
pub fn request(address: SocketAddr, method: &str, path: &str) -> Request {
    Request {
        address,
        head: format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n"),
        body: Vec::new(),
    }
}

impl Request {
    /// With a header, as many times as it is called.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.extend([name, ": ", value, "\r\n"]);
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// With a body as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes of the request.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone().into_bytes();
        let bodiless = self.body.is_empty()
            && (self.head.starts_with("GET ") || self.head.starts_with("OPTIONS "));
        if !bodiless {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it and waits for the reply; an error where the connection broke first.
    pub async fn try_send(&self) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(&self.bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        parse(&reply).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends it and waits for the reply.
    pub async fn send(&self) -> Reply {
        self.try_send().await.expect("the server replies")
    }

    /// Sends it and hangs up without waiting: the reply is lost.
    pub async fn send_and_hang_up(&self) {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("the server listens");
        stream
            .write_all(&self.bytes())
            .await
            .expect("the server reads");
    }
}

/// A whole reply, or `None` of a part of one.
fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse::<usize>().ok());
    let body = &bytes[end + 4..];
    if length.is_some_and(|length| body.len() < length) {
        return None;
    }
    Some(Reply {
        status,
        headers,
        text: String::from_utf8_lossy(body).into_owned(),
    })
}
