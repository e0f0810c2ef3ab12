//! Opening connections, in the clear or by TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// What bytes go over.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection.
pub(crate) type Stream = Box<dyn Bytes>;

/// Connects to the host of `uri`, whose scheme says whether by TLS.
pub(crate) async fn dial(uri: &hyper::Uri) -> io::Result<Stream> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
    let host = uri.host().ok_or_else(|| bad("the address has no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let encrypted = match uri.scheme_str() {
        Some("http" | "ws") => false,
        Some("https" | "wss") => true,
        _ => return Err(bad("the address has to begin with http, https, ws or wss")),
    };
    let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let stream = reach(lookup_host((host, port)).await?).await?;
    stream.set_nodelay(true)?;
    if encrypted {
        encrypt(host, stream).await
    } else {
        Ok(Box::new(stream))
    }
}

/// How long an address is waited for before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to whichever of these answers first. One that swallows everything, as IPv6 does in some networks, must not
/// take all the time that a request has.
async fn reach(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let mut tries = FuturesUnordered::new();
    for address in addresses {
        tries.push(TcpStream::connect(address));
        match timeout(HEAD_START, tries.select_next_some()).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_still_open) => {}
        }
    }
    while let Some(connected) = tries.next().await {
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "with TLS it waits")]
async fn encrypt(_host: &str, _stream: TcpStream) -> io::Result<Stream> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "chatsdk-client was built without its feature `tls`",
    ))
}

#[cfg(feature = "tls")]
async fn encrypt(host: &str, stream: TcpStream) -> io::Result<Stream> {
    use rustls::pki_types::ServerName;

    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let connector = tokio_rustls::TlsConnector::from(trust()?);
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Trusts whom the system trusts. Read once.
#[cfg(feature = "tls")]
fn trust() -> io::Result<std::sync::Arc<rustls::ClientConfig>> {
    use std::sync::{Arc, OnceLock};

    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::other(
            "the system trusts no certificate authority",
        ));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    const LOOPBACK: &str = "127.0.0.1:0";

    async fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(LOOPBACK).await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        (listener, address)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_everything_holds_nobody_up() {
        // A queue with room for one, and that one taken: whoever comes next is not answered.
        let full = TcpSocket::new_v4().expect("a socket");
        full.bind(LOOPBACK.parse().expect("an address"))
            .expect("a free port");
        let full = full.listen(0).expect("it listens");
        let swallows = full.local_addr().expect("it has one");
        let _first = TcpStream::connect(swallows)
            .await
            .expect("there is room for it");
        let (_open, answers) = listening().await;
        let minute = Duration::from_mins(1);
        let reached = timeout(minute, reach([swallows, answers].into_iter())).await;
        let stream = reached.expect("in time").expect("one of them answers");
        assert_eq!(stream.peer_addr().expect("it has one"), answers);
    }

    #[tokio::test]
    async fn an_address_where_nobody_is_makes_way_for_the_next() {
        let (closed, nobody) = listening().await;
        drop(closed);
        let (_open, answers) = listening().await;
        let stream = reach([nobody, answers].into_iter()).await;
        let peer = stream.and_then(|stream| stream.peer_addr());
        assert_eq!(peer.expect("one of them answers"), answers);
        let refused = reach([nobody].into_iter()).await.map(drop);
        let kind = refused.expect_err("nobody is there").kind();
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
        let nowhere = reach([].into_iter()).await.map(drop);
        assert_eq!(
            nowhere.expect_err("no address").kind(),
            io::ErrorKind::NotFound
        );
    }
}
