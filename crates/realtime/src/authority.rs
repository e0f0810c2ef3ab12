//! What the engine asks of its host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use chatsdk_types::Millis;
use http::HeaderMap;
use serde_json::value::RawValue;

/// The host's answers. They shall be quick: while one is awaited, its connection handles nothing else.
///
/// Both answers are raced by revocations. The host makes a revocation visible to itself first and calls
/// [`crate::Handle::disconnect`] second; then the engine sees to it that no connection slips through,
/// not even one whose answer was given before the revocation and arrives after it.
pub trait Authority: Send + Sync + 'static {
    /// Who is connecting.
    fn connect(
        &self,
        request: ConnectRequest<'_>,
    ) -> impl Future<Output = Result<Admission, Refusal>> + Send;

    /// Whether `token` is a newer proof for `connection`. Whether it is of the same app and user is
    /// checked by the engine.
    fn refresh(
        &self,
        connection: &Identity,
        token: &str,
    ) -> impl Future<Output = Result<Refreshed, Refusal>> + Send;
}

/// What is known of a client that wants to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The proof; empty when none was sent.
    pub token: &'a str,
    /// What the client's application sent along.
    pub data: Option<&'a RawValue>,
    /// The client's library: `js`, `go`, `python`…; its own claim, of any length.
    pub name: &'a str,
    /// The version of the client's application; its own claim, of any length.
    pub version: &'a str,
    /// The headers of the HTTP request that opened the connection.
    pub headers: &'a HeaderMap,
    /// Headers inside the connect command, from browsers that cannot set real ones.
    pub emulated_headers: &'a BTreeMap<String, String>,
    /// The other end of the socket: a proxy's address when there is one in between.
    pub remote_addr: SocketAddr,
}

/// Whom a connection belongs to. Clones share the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub app: Arc<str>,
    /// The person, as known within the app.
    pub user: Arc<str>,
    /// The device or browser, as known within the app.
    pub session: Arc<str>,
}

impl Identity {
    /// An identity of these three names.
    pub fn new(
        app: impl Into<Arc<str>>,
        user: impl Into<Arc<str>>,
        session: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            app: app.into(),
            user: user.into(),
            session: session.into(),
        }
    }
}

/// A client that may connect.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Whom the connection belongs to.
    pub identity: Identity,
    /// When its proof ends, in milliseconds since 1970; `None`: never.
    pub expires_at: Option<Millis>,
    /// What the client's application is told at connect.
    pub data: Option<Box<RawValue>>,
}

/// A newer proof that is good.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// Whom it belongs to. Another app or user than the connection's ends the connection (3500);
    /// another session moves the connection to that session.
    pub identity: Identity,
    /// When it ends, in milliseconds since 1970; `None`: never.
    pub expires_at: Option<Millis>,
}

/// Why a client may not connect, or a proof is not good. Each is one thing that a client does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token was good once. At connect: error 109, and the client comes back with a newer one. At
    /// refresh: close 3005, the same.
    #[error("the token has expired")]
    Expired,
    /// The token is not ours, or not for this. Close 3500; the client stays away.
    #[error("the token is invalid")]
    Invalid,
    /// The session was ended or the user banned. Close 3503 with this text as its reason: a stable
    /// code of the host, 1 to 123 bytes. The client stays away.
    #[error("revoked: {0}")]
    Revoked(Cow<'static, str>),
    /// There is no token. Close 3501; the client stays away.
    #[error("no token was sent")]
    Missing,
    /// It cannot be told now. Error 100, temporary: the client tries again by itself.
    #[error("it cannot be told now")]
    Unavailable,
}
