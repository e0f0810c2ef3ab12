//! What the engine asks of its host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use chatsdk_protocol::{
    Disconnect, DisconnectCode, ErrorCode, Payload, PayloadRef, Publication, ReplyError,
};
use chatsdk_types::Millis;
use http::HeaderMap;

use crate::broker::BrokerError;
use crate::broker::publication::Position;
use crate::topics::options::TopicOptions;

/// The host's answers. They shall be quick: while one is awaited, its connection handles nothing else.
///
/// Answers are raced by revocations. The host makes a revocation visible to itself first and calls
/// [`crate::Handle::disconnect`] or [`crate::Handle::unsubscribe`] second; then the engine sees to it
/// that no connection and no subscription slips through, not even one whose answer was given before the
/// revocation and arrives after it.
///
/// What a host does not answer is not available.
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

    /// Whether a client may listen to a topic.
    fn subscribe(
        &self,
        request: SubscribeRequest<'_>,
    ) -> impl Future<Output = Result<Grant, Denial>> + Send {
        let _ = request;
        async { Err(ErrorCode::NotAvailable.into()) }
    }

    /// Whether a client may go on listening to a topic, now that a refresh has changed what is known of it
    /// (`caller` is what it is now). A subscription that may not is ended (2000).
    fn may_stay(&self, caller: Caller<'_>, channel: &str) -> impl Future<Output = bool> + Send {
        let _ = (caller, channel);
        async { true }
    }

    /// Whether a newer token for a subscription holds, and until when (`None`: without end), in
    /// milliseconds since 1970.
    fn sub_refresh(
        &self,
        request: SubRefreshRequest<'_>,
    ) -> impl Future<Output = Result<Option<Millis>, Denial>> + Send {
        let _ = request;
        async { Err(ErrorCode::NotAvailable.into()) }
    }

    /// Whether a client may say something in a topic.
    fn publish(
        &self,
        request: PublishRequest<'_>,
    ) -> impl Future<Output = Result<Publishing, Denial>> + Send {
        let _ = request;
        async { Err(ErrorCode::NotAvailable.into()) }
    }

    /// Whether a client may ask about a topic, and how that topic behaves.
    fn inspect(
        &self,
        request: InspectRequest<'_>,
    ) -> impl Future<Output = Result<Arc<TopicOptions>, Denial>> + Send {
        let _ = request;
        async { Err(ErrorCode::NotAvailable.into()) }
    }

    /// The past of a topic whose history the host keeps ([`crate::History::Host`]).
    fn recover(
        &self,
        request: RecoverRequest<'_>,
    ) -> impl Future<Output = Result<Recovered, Denial>> + Send {
        let _ = request;
        async { Err(ErrorCode::NotAvailable.into()) }
    }

    /// The answer to a question of the application's own.
    fn rpc(
        &self,
        caller: Caller<'_>,
        method: &str,
        data: PayloadRef<'_>,
    ) -> impl Future<Output = Result<Payload, Denial>> + Send {
        let _ = (caller, method, data);
        async { Err(ErrorCode::NotAvailable.into()) }
    }

    /// A message of the application's own, which has no answer.
    fn message(
        &self,
        caller: Caller<'_>,
        data: PayloadRef<'_>,
    ) -> impl Future<Output = Result<(), Disconnect>> + Send {
        let _ = (caller, data);
        // It has no reply, and to swallow it would be a lie.
        async { Err(DisconnectCode::NotAvailable.into()) }
    }
}

/// Which connection asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Whose it is.
    pub identity: &'a Identity,
    /// Its id, a UUID.
    pub client: &'a str,
}

/// A wish to listen to a topic.
#[derive(Debug, Clone, Copy)]
pub struct SubscribeRequest<'a> {
    /// Who wants it.
    pub caller: Caller<'a>,
    /// 1 to 255 bytes of ASCII.
    pub channel: &'a str,
    /// The proof that the client may; empty when none was sent.
    pub token: &'a str,
    /// What the client's application sent along.
    pub data: PayloadRef<'a>,
}

/// A newer token for a subscription.
#[derive(Debug, Clone, Copy)]
pub struct SubRefreshRequest<'a> {
    /// Whose it is.
    pub caller: Caller<'a>,
    /// To what.
    pub channel: &'a str,
    /// The token; not empty.
    pub token: &'a str,
}

/// A wish to say something in a topic.
#[derive(Debug, Clone, Copy)]
pub struct PublishRequest<'a> {
    /// Who wants it.
    pub caller: Caller<'a>,
    /// 1 to 255 bytes of ASCII.
    pub channel: &'a str,
    /// What to say; not empty.
    pub data: PayloadRef<'a>,
    /// Whether the client listens to the topic.
    pub subscribed: bool,
}

/// A question about a topic.
#[derive(Debug, Clone, Copy)]
pub struct InspectRequest<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// 1 to 255 bytes of ASCII.
    pub channel: &'a str,
    /// What is asked.
    pub what: Inspect,
    /// Whether the client listens to the topic.
    pub subscribed: bool,
}

/// What can be asked about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspect {
    /// Who is there, or how many.
    Presence,
    /// What was said.
    History,
}

/// A question about the past of a topic that the host keeps.
#[derive(Debug, Clone, Copy)]
pub struct RecoverRequest<'a> {
    /// The tenant.
    pub app: &'a str,
    /// The channel.
    pub channel: &'a str,
    /// From where on, exclusive: offset and epoch (which may be empty); `None`: from the end that the
    /// direction begins at.
    pub since: Option<(u64, &'a str)>,
    /// At most so many; 0: only the position.
    pub limit: usize,
    /// From newer to older.
    pub reverse: bool,
}

/// The past of a topic.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Where the topic stands.
    pub top: Position,
    /// What is in the range, in the order that was asked for.
    pub publications: Vec<Publication>,
    /// Whether the range begins at a position that is known and nothing after it is missing, except by
    /// the limit.
    pub complete: bool,
}

/// The right to listen to a topic.
#[derive(Debug, Clone)]
pub struct Grant {
    /// How the topic behaves.
    pub options: Arc<TopicOptions>,
    /// When the right ends, in milliseconds since 1970; `None`: with the connection.
    pub expires_at: Option<Millis>,
    /// What others learn of the client in this topic.
    pub info: Payload,
    /// What the client's application is told.
    pub data: Payload,
    /// Whether the client may have positions and recovery by asking for them.
    pub may_recover: bool,
    /// Whether the client may hear joins and leaves by asking for them.
    pub may_hear_joins: bool,
}

impl Grant {
    /// The right to listen to a topic that behaves like this, with nothing more to it.
    pub fn new(options: Arc<TopicOptions>) -> Self {
        Self {
            options,
            expires_at: None,
            info: Payload::default(),
            data: Payload::default(),
            may_recover: false,
            may_hear_joins: false,
        }
    }
}

/// What becomes of a publication that a client may make.
#[derive(Debug, Clone)]
pub enum Publishing {
    /// The engine publishes it in a topic that behaves like this.
    Topic(Arc<TopicOptions>),
    /// The host has done what there was to do.
    Done,
}

/// Why a client does not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The reply is this error.
    Error(ReplyError),
    /// The connection ends.
    Close(Disconnect),
}

impl From<BrokerError> for Denial {
    fn from(error: BrokerError) -> Self {
        Self::Error(match error {
            BrokerError::Unavailable => ErrorCode::Internal.into(),
            BrokerError::Backlogged => ErrorCode::TooManyRequests.into(),
            BrokerError::TooLong => ErrorCode::LimitExceeded.into(),
        })
    }
}

impl From<ErrorCode> for Denial {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code.into())
    }
}

impl From<ReplyError> for Denial {
    fn from(error: ReplyError) -> Self {
        Self::Error(error)
    }
}

impl From<DisconnectCode> for Denial {
    fn from(code: DisconnectCode) -> Self {
        Self::Close(code.into())
    }
}

/// What is known of a client that wants to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The proof; empty when none was sent.
    pub token: &'a str,
    /// What the client's application sent along.
    pub data: PayloadRef<'a>,
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
    /// What the host wants to remember of the present proof, in bits of its own.
    pub rights: u32,
}

impl Identity {
    /// An identity of these three names, without rights.
    pub fn new(
        app: impl Into<Arc<str>>,
        user: impl Into<Arc<str>>,
        session: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            app: app.into(),
            user: user.into(),
            session: session.into(),
            rights: 0,
        }
    }

    /// The same with these rights.
    #[must_use]
    pub fn with_rights(mut self, rights: u32) -> Self {
        self.rights = rights;
        self
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
    pub data: Payload,
    /// What others learn of the connection.
    pub info: Payload,
    /// The topics that the client listens to without asking, by channel.
    pub subscriptions: Vec<(Arc<str>, Grant)>,
}

impl Admission {
    /// Admits a connection of `identity` without end and without more.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            expires_at: None,
            data: Payload::default(),
            info: Payload::default(),
            subscriptions: Vec::new(),
        }
    }
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
    /// The token is good, but not for what the connection is in the middle of: at refresh, when it changes
    /// what cannot be changed in place. Close 3010; the client comes back at once.
    #[error("the token changes what was agreed on")]
    Changed,
    /// It cannot be told now. Error 100, temporary: the client tries again by itself.
    #[error("it cannot be told now")]
    Unavailable,
}
