//! A client of a response that goes on.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

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
