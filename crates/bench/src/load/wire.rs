//! One connection, one request in flight.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::{self, Framing, MAX_BODY, MAX_HEAD, ReplyError};

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server hung up before the reply was complete.
    #[error("the server closed the connection")]
    Closed,
    /// The reply was malformed.
    #[error("{0}")]
    Reply(#[from] ReplyError),
}

/// A status and the bytes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The status.
    pub status: u16,
    /// The body, without its framing.
    pub body: &'a [u8],
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    to: SocketAddr,
    buffer: Vec<u8>,
    body: Vec<u8>,
    finished: bool,
}

impl Wire {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Result<Self, WireError> {
        Ok(Self {
            stream: dial(to).await?,
            to,
            buffer: Vec::with_capacity(4096),
            body: Vec::new(),
            finished: false,
        })
    }

    /// Sends `request`, whole, and reads the reply to it.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Reply<'_>, WireError> {
        if self.finished {
            // The last reply announced the end of that connection, which is no error of anyone.
            self.stream = dial(self.to).await?;
            self.finished = false;
        }
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            // A reply arrives in one read nearly always, and a read that does not fill the buffer
            // tells tokio that the socket is drained: one system call per reply, not two.
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(WireError::Closed);
            }
            if let Some(head) = reply::head(&self.buffer)? {
                break head;
            }
        };
        self.finished = head.closes;
        match head.framing {
            Framing::Length(length) => {
                let end = head.length + length;
                while self.buffer.len() < end {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Err(WireError::Closed);
                    }
                }
                if self.buffer.len() > end {
                    return Err(ReplyError::Trailing.into());
                }
                Ok(Reply {
                    status: head.status,
                    body: &self.buffer[head.length..end],
                })
            }
            Framing::Chunked => {
                loop {
                    let bytes = &self.buffer[head.length..];
                    match reply::chunks(bytes, &mut self.body)? {
                        Some(taken) if taken < bytes.len() => {
                            return Err(ReplyError::Trailing.into());
                        }
                        Some(_) => break,
                        None if bytes.len() > MAX_BODY + MAX_HEAD => {
                            return Err(ReplyError::TooLarge.into());
                        }
                        None => {}
                    }
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Err(WireError::Closed);
                    }
                }
                Ok(Reply {
                    status: head.status,
                    body: &self.body,
                })
            }
        }
    }
}

async fn dial(to: SocketAddr) -> Result<TcpStream, WireError> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers each request with the next of `replies`, cut into the given pieces.
    async fn serving(replies: Vec<Vec<&'static [u8]>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut replies = replies.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4];
                while stream.read_exact(&mut request).await.is_ok() {
                    let Some(pieces) = replies.next() else { return };
                    let mut closes = false;
                    for piece in pieces {
                        closes |= piece.windows(5).any(|w| w == b"close");
                        stream.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    if closes {
                        break;
                    }
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn replies_in_pieces_are_put_together() {
        let address = serving(vec![
            vec![
                b"HTTP/1.1 200 OK\r\nconte",
                b"nt-length: 5\r\n\r\nhe",
                b"llo",
            ],
            vec![
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
                b"c\r\n0\r\n",
                b"\r\n",
            ],
        ])
        .await;
        let mut wire = Wire::connect(address).await.unwrap();
        assert_eq!(
            wire.exchange(b"ping").await.unwrap(),
            Reply {
                status: 200,
                body: b"hello"
            }
        );
        assert_eq!(
            wire.exchange(b"ping").await.unwrap(),
            Reply {
                status: 200,
                body: b"abc"
            }
        );
    }

    #[tokio::test]
    async fn an_announced_close_is_followed_by_a_new_connection() {
        let address = serving(vec![
            vec![b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na"],
            vec![b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb"],
        ])
        .await;
        let mut wire = Wire::connect(address).await.unwrap();
        assert_eq!(wire.exchange(b"ping").await.unwrap().body, b"a");
        assert_eq!(wire.exchange(b"ping").await.unwrap().body, b"b");
    }

    #[tokio::test]
    async fn a_second_reply_to_one_request_is_an_error() {
        let address = serving(vec![vec![
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        ]])
        .await;
        let mut wire = Wire::connect(address).await.unwrap();
        assert!(matches!(
            wire.exchange(b"ping").await,
            Err(WireError::Reply(ReplyError::Trailing))
        ));
    }

    #[tokio::test]
    async fn a_hang_up_is_an_error() {
        let address = serving(vec![]).await;
        let mut wire = Wire::connect(address).await.unwrap();
        let failure = wire.exchange(b"ping").await.unwrap_err();
        assert!(
            matches!(failure, WireError::Closed | WireError::Io(_)),
            "{failure:?}"
        );
    }
}
