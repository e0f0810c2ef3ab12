//! Where messages come from: a server's API, or orders to the loop of `send()`.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::floors::sends;
use crate::load::reply::{self, Framing, ReplyError};

/// How long the loop may take to have all its sockets.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The connection failed.
    #[error("publishing: {0}")]
    Io(#[from] io::Error),
    /// The reply was malformed.
    #[error("publishing: {0}")]
    Reply(#[from] ReplyError),
    /// The server refused.
    #[error("a publication was answered with {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
}

/// Where messages come from.
#[derive(Debug)]
pub enum Source {
    /// `POST /api/publish`.
    Api(Api),
    /// The floor.
    Orders(Orders),
}

impl Source {
    /// Publishes `count` messages at once.
    pub(super) fn publish(&mut self, count: usize) -> Result<(), SourceError> {
        match self {
            Self::Api(api) => api.publish(count),
            Self::Orders(orders) => orders.publish(count),
        }
    }

    /// Whether every message has been accepted.
    pub(super) fn is_answered(&self) -> bool {
        match self {
            Self::Api(api) => api.unanswered == 0,
            Self::Orders(_) => true,
        }
    }

    /// Takes what replies there are.
    pub(super) fn proceed(&mut self) -> Result<(), SourceError> {
        match self {
            Self::Api(api) => api.proceed(),
            Self::Orders(_) => Ok(()),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Api(api) => {
                let interest = Interest::READABLE | Interest::WRITABLE;
                registry.register(&mut api.stream, token, interest)
            }
            // Nothing comes back.
            Self::Orders(_) => Ok(()),
        }
    }
}

/// One connection to a server's API. Several messages at once are pipelined requests.
#[derive(Debug)]
pub struct Api {
    stream: TcpStream,
    request: Vec<u8>,
    unsent: Vec<u8>,
    received: Vec<u8>,
    unanswered: usize,
}

impl Api {
    /// Connects; every publication is the same `request`.
    pub fn connect(to: SocketAddr, request: Vec<u8>) -> Result<Self, SourceError> {
        let stream = StdStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            request,
            unsent: Vec::new(),
            received: Vec::new(),
            unanswered: 0,
        })
    }

    fn publish(&mut self, count: usize) -> Result<(), SourceError> {
        self.unsent.extend(self.request.repeat(count));
        self.unanswered += count;
        self.send()
    }

    fn send(&mut self) -> Result<(), SourceError> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn proceed(&mut self) -> Result<(), SourceError> {
        self.send()?;
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        while let Some(taken) = answer(&self.received)? {
            self.received.drain(..taken);
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        Ok(())
    }
}

/// How long the reply at the start of `bytes` is, if it is whole and says that all is well.
fn answer(bytes: &[u8]) -> Result<Option<usize>, SourceError> {
    let Some(head) = reply::head(bytes)? else {
        return Ok(None);
    };
    let rest = &bytes[head.length..];
    let mut body = Vec::new();
    let length = match head.framing {
        Framing::Length(length) if rest.len() < length => return Ok(None),
        Framing::Length(length) => {
            body.extend_from_slice(&rest[..length]);
            length
        }
        Framing::Chunked => match reply::chunks(rest, &mut body)? {
            None => return Ok(None),
            Some(length) => length,
        },
    };
    // Servers of this kind answer 200 to what they refuse.
    if head.status != 200 || body.starts_with(br#"{"error""#) {
        return Err(SourceError::Refused {
            status: head.status,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
    }
    Ok(Some(head.length + length))
}

/// The connection that tells the loop of `send()` what to do.
#[derive(Debug)]
pub struct Orders {
    stream: StdStream,
    sockets: u32,
    bytes: u32,
}

impl Orders {
    /// Announces `sockets` sockets, to each of which every message of `bytes` bytes goes.
    pub fn announce(to: SocketAddr, sockets: usize, bytes: usize) -> Result<Self, SourceError> {
        let mut stream = StdStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let sockets = sockets as u32;
        stream.write_all(&sockets.to_be_bytes())?;
        Ok(Self {
            stream,
            sockets,
            bytes: bytes as u32,
        })
    }

    /// Has the sockets of the process `pid` borrowed whose other ends have these `ports`; every message is `message`.
    /// `None` where the system does not lend them.
    pub fn borrow(
        to: SocketAddr,
        pid: u32,
        ports: &[u16],
        message: &[u8],
    ) -> Result<Option<Self>, SourceError> {
        let mut stream = StdStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (sockets, bytes) = (ports.len() as u32, message.len() as u32);
        let numbers = [0, pid, sockets].into_iter();
        let numbers = numbers.chain(ports.iter().map(|&port| port.into()));
        let mut wish: Vec<u8> = numbers.chain([bytes]).flat_map(u32::to_be_bytes).collect();
        wish.extend_from_slice(message);
        stream.write_all(&wish)?;
        let mut orders = Self {
            stream,
            sockets,
            bytes,
        };
        Ok(orders.ready()?.then_some(orders))
    }

    /// Waits until the loop has all of them; `false`: it cannot.
    pub fn ready(&mut self) -> Result<bool, SourceError> {
        let mut answer = [0];
        self.stream.read_exact(&mut answer)?;
        Ok(answer == [1])
    }

    /// One message to the next `sockets` of them.
    pub fn some(&mut self, sockets: usize) -> Result<(), SourceError> {
        let order = sends::order(self.bytes, sockets as u32);
        Ok(self.stream.write_all(&order)?)
    }

    /// A burst is one buffer per socket: that is what makes it the floor of bursts.
    fn publish(&mut self, count: usize) -> Result<(), SourceError> {
        let order = sends::order(self.bytes * count as u32, self.sockets);
        Ok(self.stream.write_all(&order)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_taken_when_it_is_whole_and_good() {
        let good = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"result\":{}}";
        assert_eq!(answer(good).unwrap(), Some(good.len()));
        assert_eq!(answer(&good[..good.len() - 1]).unwrap(), None);
        assert_eq!(answer(&good[..20]).unwrap(), None);
        let two = [&good[..], good].concat();
        assert_eq!(answer(&two).unwrap(), Some(good.len()));
    }

    #[test]
    fn a_refusal_is_an_error_whatever_its_status() {
        let polite = b"HTTP/1.1 200 OK\r\ncontent-length: 23\r\n\r\n{\"error\":{\"code\":102 }}";
        let plain = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
        for refusal in [&polite[..], plain] {
            let failure = answer(refusal).unwrap_err();
            assert!(matches!(failure, SourceError::Refused { .. }), "{failure}");
        }
    }
}
