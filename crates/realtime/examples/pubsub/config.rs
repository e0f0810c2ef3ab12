//! The configuration file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chatsdk_realtime::{History, Keep, OriginPolicy, Recovery, TopicOptions};
use serde::Deserialize;

/// What the file says. Every key has a default but `listen`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where to listen: an address and a port, 0 for any.
    pub(crate) listen: SocketAddr,
    /// Worker threads; 0: one a core.
    #[serde(default)]
    pub(crate) threads: usize,
    /// Everybody may do everything, and nothing ends; a token that is sent is checked all the same.
    #[serde(default)]
    pub(crate) insecure: bool,
    /// The key of connection and subscription tokens (HS256); without it no token is good.
    #[serde(default)]
    pub(crate) token_secret: String,
    /// What servers send as `X-API-Key`; without it the API is closed.
    #[serde(default)]
    pub(crate) api_key: String,
    /// Pages that may connect, besides those of the server's own host; `*` for all.
    #[serde(default)]
    pub(crate) allowed_origins: Vec<String>,
    /// Every user listens to `#USER` without asking. Users whose channel would have no valid name are refused.
    #[serde(default)]
    pub(crate) personal_channels: bool,
    #[serde(default)]
    pub(crate) client: Client,
    /// Channels without a namespace.
    #[serde(default)]
    pub(crate) default: Namespace,
    /// Channels `NAME:…`.
    #[serde(default)]
    pub(crate) namespaces: BTreeMap<String, Namespace>,
}

/// What a connection may.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Client {
    ping_seconds: u64,
    pong_seconds: u64,
    max_channels: usize,
    max_connections: usize,
    max_connections_per_user: usize,
    max_connections_per_second: u32,
    max_commands_per_second: u32,
    max_queue_bytes: usize,
    max_message_bytes: usize,
    compress_from: usize,
    compaction: bool,
}

impl Default for Client {
    fn default() -> Self {
        let engine = chatsdk_realtime::Config::default();
        Self {
            ping_seconds: engine.ping_interval.as_secs(),
            pong_seconds: engine.pong_wait.as_secs(),
            max_channels: engine.max_channels,
            max_connections: engine.max_connections,
            max_connections_per_user: engine.max_connections_per_user,
            max_connections_per_second: engine.max_connections_per_second,
            max_commands_per_second: engine.max_commands_per_second,
            max_queue_bytes: engine.max_queue_bytes,
            max_message_bytes: engine.max_message_bytes,
            compress_from: engine.compress_from,
            compaction: engine.compaction,
        }
    }
}

/// How the channels of a namespace behave, and who may do what in them. "Subscriber" is a client that
/// listens to the channel, "client" any that is connected.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Namespace {
    pub(crate) presence: bool,
    join_leave: bool,
    force_push_join_leave: bool,
    history_size: usize,
    history_ttl_seconds: u64,
    /// How long the count of publications outlives them; default: an hour.
    history_meta_ttl_seconds: Option<u64>,
    force_positioning: bool,
    force_recovery: bool,
    /// A client that comes back is sent the newest publication only.
    recovery_cache: bool,
    delta: bool,
    delta_publish: bool,
    tags_filter: bool,
    pub(crate) allow_subscribe_for_client: bool,
    pub(crate) allow_publish_for_client: bool,
    pub(crate) allow_publish_for_subscriber: bool,
    pub(crate) allow_history_for_client: bool,
    pub(crate) allow_history_for_subscriber: bool,
    pub(crate) allow_presence_for_client: bool,
    pub(crate) allow_presence_for_subscriber: bool,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    pub(crate) fn engine(&self) -> chatsdk_realtime::Config {
        let client = &self.client;
        chatsdk_realtime::Config {
            origins: OriginPolicy::new(&self.allowed_origins),
            ping_interval: Duration::from_secs(client.ping_seconds),
            pong_wait: Duration::from_secs(client.pong_seconds),
            max_channels: client.max_channels,
            max_connections: client.max_connections,
            max_connections_per_user: client.max_connections_per_user,
            max_connections_per_second: client.max_connections_per_second,
            max_commands_per_second: client.max_commands_per_second,
            max_queue_bytes: client.max_queue_bytes,
            max_message_bytes: client.max_message_bytes,
            compress_from: client.compress_from,
            compaction: client.compaction,
            ..chatsdk_realtime::Config::default()
        }
    }
}

impl Namespace {
    pub(crate) fn options(&self) -> Arc<TopicOptions> {
        let ttl = Duration::from_secs(self.history_ttl_seconds);
        let history = if self.history_size > 0 && !ttl.is_zero() {
            History::Memory(Keep {
                size: self.history_size,
                // The engine's own bounds are enough here.
                bytes: usize::MAX,
                ttl,
                count_ttl: Duration::from_secs(self.history_meta_ttl_seconds.unwrap_or(3600)),
            })
        } else {
            History::None
        };
        Arc::new(TopicOptions {
            presence: self.presence,
            join_leave: self.join_leave,
            force_push_join_leave: self.force_push_join_leave,
            history,
            force_positioning: self.force_positioning,
            force_recovery: self.force_recovery,
            recovery: if self.recovery_cache {
                Recovery::Cache
            } else {
                Recovery::Stream
            },
            delta: self.delta,
            delta_publish: self.delta_publish,
            tags_filter: self.tags_filter,
        })
    }
}
