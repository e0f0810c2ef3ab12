//! What is there, for operators who look at a live engine.
//!
//! Lists are read in steps, each of which takes a lock for as long as it takes to copy a few hundred
//! pointers and looks at what they point to afterwards: a list of a hundred thousand connections makes no
//! publication wait. What comes or goes between two steps is in the list or not; what is there all the
//! while is in it once.

use std::sync::Arc;

use chatsdk_protocol::{Disconnect, Encoding};
use chatsdk_types::Millis;

use crate::authority::Identity;
use crate::connection::Connection;
use crate::handle::Handle;
use crate::lock;
use crate::topics::TopicCursor;
use crate::transport::Shape;

/// How much one step copies under a lock. Places in lists are below 10¹⁵, so that they are exact wherever
/// numbers are floating.
pub const STEP: usize = 256;

/// How a connection reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// The body of an HTTP response, beside posts.
    HttpStream,
    /// Server-sent events, beside posts.
    Events,
}

/// A connection of a list. It is looked at when it is asked; by then it may have ended. Its socket stays
/// open as long as this is kept, so let go of it soon.
#[derive(Debug, Clone)]
pub struct Listed(Arc<Connection>);

/// An authenticated connection, as it was when it was looked at.
#[derive(Debug, Clone)]
pub struct ConnectionView {
    /// Its id, a UUID.
    pub client: Arc<str>,
    /// Whose it is.
    pub identity: Identity,
    /// When its proof ends, in milliseconds since 1970; `None`: never.
    pub expires_at: Option<Millis>,
    /// When it was opened, in milliseconds since 1970.
    pub opened_at: Millis,
    /// How it reaches the server.
    pub transport: Transport,
    /// What it speaks.
    pub encoding: Encoding,
    /// How many topics it listens to.
    pub topics: usize,
    /// Bytes that wait because the client does not read.
    pub queued_bytes: usize,
}

/// A topic, as it was when it was looked at.
#[derive(Debug, Clone)]
pub struct TopicView {
    /// The tenant.
    pub app: Box<str>,
    /// The channel.
    pub channel: Arc<str>,
    /// How many connections listen to it; 0 where it only remembers.
    pub subscribers: usize,
}

impl Listed {
    /// Its id, a UUID.
    pub fn client(&self) -> &str {
        &self.0.client
    }

    /// Its place in the list: a list goes on after it from the next number.
    pub fn place(&self) -> u64 {
        self.0.id
    }

    /// Whose it is; `None` before it is authenticated, and once it is closing.
    pub fn identity(&self) -> Option<Identity> {
        self.0.proof().map(|(identity, _)| identity)
    }

    /// Whether it listens to `channel`.
    pub fn listens_to(&self, channel: &str) -> bool {
        self.0.subscriptions.has(channel)
    }

    /// The channels that it listens to.
    pub fn channels(&self) -> Vec<Arc<str>> {
        let all = self.0.subscriptions.all();
        all.iter()
            .map(|subscription| Arc::clone(&subscription.topic.channel))
            .collect()
    }

    /// All that there is to see; `None` before it is authenticated, and once it is closing.
    pub fn view(&self) -> Option<ConnectionView> {
        let (identity, expires_at) = self.0.proof()?;
        let shape = self.0.shape();
        Some(ConnectionView {
            client: Arc::clone(&self.0.client),
            identity,
            expires_at,
            opened_at: self.0.opened_at,
            transport: match shape {
                Shape::SocketJson
                | Shape::SocketProtobuf
                | Shape::DeflatedJson { .. }
                | Shape::DeflatedProtobuf { .. } => Transport::WebSocket,
                Shape::StreamJson | Shape::StreamProtobuf => Transport::HttpStream,
                Shape::Events => Transport::Events,
            },
            encoding: shape.encoding(),
            topics: self.0.subscriptions.count(),
            queued_bytes: self.0.waiting(),
        })
    }

    /// Ends it with `why`; `false` when it was ending already.
    pub fn disconnect(&self, why: &Disconnect) -> bool {
        self.0.close(why)
    }
}

impl Handle {
    /// The next connections, at most [`STEP`], from place `from` on, oldest first; and the place where
    /// those after them begin, `None` at the end. Begin with 0.
    pub fn connections(&self, from: u64) -> (Vec<Listed>, Option<u64>) {
        // One more than is answered says whether there are more.
        let mut found = self.shared().hub.from(from, STEP + 1);
        let next = found.get(STEP).map(|connection| connection.id);
        found.truncate(STEP);
        (found.into_iter().map(Listed).collect(), next)
    }

    /// The next topics, at most `most` and [`STEP`], from place `from` on, in no particular order; and
    /// the place where those after them begin, `None` at the end. Begin with 0.
    pub fn list_topics(&self, from: u64, most: usize) -> (Vec<TopicView>, Option<u64>) {
        let most = most.clamp(1, STEP);
        let (found, next) = self.shared().topics.from(TopicCursor::from(from), most);
        let views = found
            .iter()
            .map(|topic| TopicView {
                app: topic.app.clone(),
                channel: Arc::clone(&topic.channel),
                subscribers: lock(&topic.inner).listeners(),
            })
            .collect();
        (views, next.map(u64::from))
    }
}
