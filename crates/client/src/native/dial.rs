//! Opening connections, in the clear or by TLS.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

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
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if encrypted {
        encrypt(host, stream).await
    } else {
        Ok(Box::new(stream))
    }
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
