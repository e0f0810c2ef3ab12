//! The live node, as operators see it. The host implements [`Node`]; `routes/admin` asks it.
//!
//! Lists are read in steps: each call of [`Node::connections`] or [`Node::topics`] looks at a few hundred
//! entries and answers at once, and the endpoint lets others run between two of them.

use std::fmt;

use chatsdk_types::{AppId, Millis, SessionId, UserId};
use serde::Serialize;
use serde_json::value::RawValue;

/// What the endpoints under `/admin` ask of their host.
pub trait Node: fmt::Debug + Send + Sync + 'static {
    /// Whether `token` is the operator token. It may read a file, and takes the same time for every
    /// wrong token of the right length.
    fn admits(&self, token: &str) -> bool;

    /// How the node is.
    fn status(&self) -> NodeStatus;

    /// The next connections that are `wanted`, at most `most`, from place `from` on. A step may find
    /// none and still not be the last.
    fn connections(&self, wanted: &Wanted, from: u64, most: usize) -> Step<ConnectionView>;

    /// One connection with all that there is to see; `None` where there is none in this step. Asked again
    /// from the step's `next` on until it is found.
    fn connection(&self, client: &str, from: u64) -> Step<ConnectionDetail>;

    /// The next topics, of `app` or of all, at most `most`, from place `from` on.
    fn topics(&self, app: Option<&AppId>, from: u64, most: usize) -> Step<TopicView>;

    /// Closes the connections of `whom`, and answers how many those are.
    fn disconnect(&self, app: &AppId, whom: &Whom, close: &Close) -> usize;

    /// Closes one connection, of `app` or of any. Looks at one step of the list; [`Step::items`] holds one
    /// entry where it was found.
    fn disconnect_client(
        &self,
        app: Option<&AppId>,
        client: &str,
        close: &Close,
        from: u64,
    ) -> Step<()>;

    /// Publishes in a topic, or says why not.
    fn publish(&self, publication: &Publication<'_>) -> Result<Published, Unpublished>;
}

/// Part of a list.
#[derive(Debug)]
pub struct Step<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Where the next step begins; `None`: the list is over.
    pub next: Option<u64>,
}

/// Which connections a list is about: those that fit everything that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this app.
    pub app: Option<AppId>,
    /// Of this user.
    pub user: Option<UserId>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// That listen to this topic.
    pub topic: Option<String>,
}

/// Whose connections end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Those of one session.
    Session(SessionId),
    /// Those of one user.
    User(UserId),
    /// Those of the whole app.
    Everyone,
}

/// How connections end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// One of [`CLOSE_CODES`].
    pub code: u16,
    /// What the client is told beside it: printable ASCII, at most 123 bytes. `None`: the code's own text.
    pub reason: Option<String>,
}

/// The close codes that an operator may use, with whether stock clients come back by themselves. The
/// others say something about the client's token or its frames, and would be a lie.
pub const CLOSE_CODES: [(u16, bool); 8] = [
    (3001, true),
    (3005, true),
    (3011, true),
    (3014, true),
    (3503, false),
    (3504, false),
    (3507, false),
    (3508, false),
];

/// What an operator says.
#[derive(Debug)]
pub struct Publication<'a> {
    /// The app.
    pub app: &'a AppId,
    /// The topic.
    pub topic: &'a str,
    /// What is said.
    pub data: &'a RawValue,
    /// The same key within five minutes is the same publication.
    pub idempotency_key: Option<&'a str>,
}

/// Why nothing was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublished {
    /// There is no such topic, or none that operators may speak in.
    NoTopic,
    /// Its objects and lists stand in each other deeper than clients read.
    TooDeep,
}

/// How a node is.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The version of the server.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// When it began to answer, in milliseconds since the Unix epoch.
    #[schema(value_type = i64, example = 1_704_835_200_000_i64)]
    pub started_at: Millis,
    /// How long that is ago, in milliseconds.
    #[schema(value_type = i64, minimum = 0, example = 86_400_000)]
    pub uptime_ms: Millis,
    /// Whether it is ending.
    #[schema(example = false)]
    pub draining: bool,
    /// Realtime connections that are open, those as well that are not authenticated yet.
    #[schema(minimum = 0, example = 1250)]
    pub sockets: u64,
    /// Realtime connections that are authenticated.
    #[schema(minimum = 0, example = 1248)]
    pub connections: u64,
    /// Subscriptions of all of them.
    #[schema(minimum = 0, example = 3921)]
    pub subscriptions: u64,
    /// Topics that somebody listens to, or that remember something.
    #[schema(minimum = 0, example = 1311)]
    pub topics: u64,
    /// Publications since the start.
    #[schema(minimum = 0, example = 50_211)]
    pub publications: u64,
}

/// How a connection reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A WebSocket.
    Websocket,
    /// The body of an HTTP response, beside posts.
    HttpStream,
    /// Server-sent events, beside posts.
    Sse,
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// JSON.
    Json,
    /// Protobuf.
    Protobuf,
}

/// A realtime connection, as lists show one.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Connection)]
pub struct ConnectionView {
    /// Its id, which its client knows as well.
    #[schema(example = "9f0b4a52-6d4e-4f0a-8f5b-0a9d1c8f7e31")]
    pub client: String,
    /// The app.
    #[schema(example = "app_01h455vb4pex5vsknk084sn02q")]
    pub app: String,
    /// The host's id of the person.
    #[schema(example = "user-123")]
    pub user: String,
    /// The session.
    #[schema(example = "ses_01h455vb4pex5vsknk084sn02q")]
    pub session: String,
    /// How it reaches the server.
    pub transport: Transport,
    /// What it speaks.
    pub encoding: Encoding,
    /// When it was opened, in milliseconds since the Unix epoch.
    #[schema(value_type = i64, example = 1_704_835_200_000_i64)]
    pub connected_at: Millis,
    /// How many topics it listens to.
    #[schema(minimum = 0, example = 3)]
    pub topics: usize,
    /// Bytes that wait because the client does not read.
    #[schema(minimum = 0, example = 0)]
    pub queued_bytes: usize,
}

/// A realtime connection, with all that there is to see.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionDetail {
    /// What lists show.
    #[serde(flatten)]
    pub connection: ConnectionView,
    /// When its access token expires unless it is refreshed, in milliseconds since the Unix epoch.
    #[schema(value_type = Option<i64>, example = 1_704_838_800_000_i64)]
    pub expires_at: Option<Millis>,
    /// The topics that it listens to.
    #[schema(example = json!(["user:user-123", "custom:lobby"]))]
    pub subscriptions: Vec<String>,
}

/// A topic, as lists show one.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Topic)]
pub struct TopicView {
    /// The app.
    #[schema(example = "app_01h455vb4pex5vsknk084sn02q")]
    pub app: String,
    /// Its name.
    #[schema(example = "custom:lobby")]
    pub topic: String,
    /// How many connections listen to it; 0 where it only remembers.
    #[schema(minimum = 0, example = 12)]
    pub subscribers: usize,
}

/// What became of a publication.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Its number in the topic.
    #[schema(minimum = 0, example = 42)]
    pub offset: u64,
    /// The stretch of the topic's life that the number belongs to.
    #[schema(example = "kqzvbnma")]
    pub epoch: String,
    /// How many connections listened to the topic.
    #[schema(minimum = 0, example = 12)]
    pub subscribers: usize,
}
