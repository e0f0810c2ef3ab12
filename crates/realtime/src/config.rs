//! What can be set.

use std::time::Duration;

use crate::OriginPolicy;

/// The engine's settings. [`Config::default`] has the numbers that stock clients expect.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which web pages may connect; default: those of the server's own host.
    pub origins: OriginPolicy,
    /// The version that clients are told; never empty.
    pub version: String,
    /// From one ping to the next. A client is told whole seconds and hangs up when none came for ten
    /// seconds more. Zero: no pings.
    pub ping_interval: Duration,
    /// How long a ping may stay unanswered before the connection is closed with 3012. Kept below
    /// `ping_interval`, because two pings may not overlap.
    pub pong_wait: Duration,
    /// How long a connection may stay without a connect command before it is closed with 3502.
    pub stale_close_delay: Duration,
    /// How long after the end of its token a connection is closed with 3005: time for a refresh that
    /// is under way.
    pub expired_close_delay: Duration,
    /// How long the other side may take to answer a close frame, or to hang up after a refused connect.
    pub close_wait: Duration,
    /// How long a full socket may take nothing at all before the connection is closed with 3009. Sockets
    /// that the host serves have their own, see [`TimedStream`](crate::TimedStream).
    pub write_timeout: Duration,
    /// The longest message of a client, in bytes; a longer one closes the connection with 1009.
    pub max_message_bytes: usize,
    /// From how many bytes on messages are compressed for the WebSockets of clients that offer it; shorter ones
    /// gain little. What such a client compresses may inflate to ten times `max_message_bytes`; a payload that
    /// clients could not be sent in one frame is refused with error 106. 0: no offer is accepted.
    pub compress_from: usize,
    /// How many bytes may wait for a full socket before the connection is closed with 3008.
    pub max_queue_bytes: usize,
    /// How long after the end of its token a subscription is ended with 2501: time for a refresh that
    /// is under way.
    pub expired_sub_close_delay: Duration,
    /// How many channels a connection may listen to; one more is refused with error 106.
    pub max_channels: usize,
    /// How many connections there may be; one more is answered 503. 0: any number.
    pub max_connections: usize,
    /// How many connections of one user there may be; one more is closed with 3504. 0: any number.
    pub max_connections_per_user: usize,
    /// How many connections may be opened in a second, in bursts of as many; one more is answered 503.
    /// 0: any number.
    pub max_connections_per_second: u32,
    /// How many commands a connection may send in a second on average, in bursts of four times as many;
    /// one more is refused with error 111, and one that is sent without waiting for a reply closes the
    /// connection with 3013. 0: any number.
    pub max_commands_per_second: u32,
    /// How many events of one topic may wait to be delivered. Above it clients that publish are answered
    /// error 111; publications of the server are taken, and old ones given up for them: those who count
    /// offsets are told that they have missed something, the others miss it. Announcements of joins and
    /// leaves are not made.
    pub max_backlog_events: usize,
    /// How many bytes of payload may wait so, at least one publication's.
    pub max_backlog_bytes: usize,
    /// How many bytes the histories of all topics together may take up, with the topics that are there for
    /// their history alone, because nobody listens; above it the oldest publications go, of the app that has the
    /// most, and such topics when they have none left. 0: any number.
    pub max_history_bytes: usize,
    /// How many bytes those of one app may take up; above it its oldest go. 0: any number.
    pub max_history_bytes_per_app: usize,
    /// How many clients a presence reply names at most; where more are there, or more than a frame holds, it
    /// is error 106, and their number can be asked for. 0: any number.
    pub max_presence: usize,
    /// How many publications one reply carries at most: of history, and of what was missed. Half a MiB of
    /// them is the bound in any case.
    pub max_publications: usize,
    /// How often the position of a topic whose offsets are counted is compared with its broker's, or with its
    /// host's: what was lost on the way is found out about two seconds later at most. Not in topics of this
    /// process alone, where nothing is. Zero: never.
    pub position_check: Duration,
    /// Whether topics have numbers that stand for their names in pushes, for clients that understand it
    /// and speak JSON.
    pub compaction: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            origins: OriginPolicy::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ping_interval: Duration::from_secs(25),
            pong_wait: Duration::from_secs(8),
            stale_close_delay: Duration::from_secs(10),
            expired_close_delay: Duration::from_secs(25),
            close_wait: Duration::from_secs(5),
            write_timeout: Duration::from_secs(1),
            max_message_bytes: 64 * 1024,
            compress_from: 0,
            max_queue_bytes: 1024 * 1024,
            expired_sub_close_delay: Duration::from_secs(25),
            max_channels: 128,
            max_connections: 0,
            max_connections_per_user: 0,
            max_connections_per_second: 0,
            max_commands_per_second: 0,
            max_backlog_events: 16 * 1024,
            max_backlog_bytes: 8 * 1024 * 1024,
            max_history_bytes: 256 * 1024 * 1024,
            max_history_bytes_per_app: 128 * 1024 * 1024,
            max_presence: 1000,
            max_publications: 300,
            position_check: Duration::from_secs(8),
            compaction: true,
        }
    }
}
