//! A Centrifuge engine that knows no chat: it keeps connections, says who may stay, and asks its host
//! through [`Authority`] for everything that needs knowledge.
//!
//! Start reading at [`engine`]: what the host holds. Then
//! - [`authority`]: what the host answers: who is connecting, who may listen and speak where.
//! - [`config`], [`origin`]: what can be set, and which pages may connect.
//! - [`stats`]: what is counted. [`listing`]: what is there, for operators.
//! - `transport`: how bytes become messages: WebSockets, and for clients that cannot have one, streams
//!   of an HTTP response beside posts.
//! - `commands`: one file per command of the protocol.
//! - `connection`, `outbound`: one open connection: its life, and its way out to the socket.
//!   `subscriptions`, `server_side`: what it listens to.
//! - [`topics`]: who listens to what, and the way of a publication to them. [`broker`]: what is kept, and what
//!   joins nodes.
//! - `hub`: all connections by session, user and app, so that a revocation finds them.
//! - `wheel`: one timer for all of them. `arrivals`: how many may come.
//! - `sayable`: what can be said to clients that speak JSON.
//!
//! What an idle connection costs was decided on purpose: one task, one registration with the reactor,
//! one entry in the wheel, and a small entry for each topic that it listens to. It has no read buffer
//! (reads go through a buffer of the worker thread), no write queue (writes go straight to the socket
//! from whoever writes; a queue exists only while the socket is full), no channel and no timer of its
//! own.
//!
//! A publication is numbered under its topic's lock, encoded once for all subscribers whose wire looks
//! the same, and written to their sockets by one task, which holds no lock meanwhile; what is published
//! while it is at work goes out together with the next round.

mod arrivals;
pub mod authority;
pub mod broker;
mod commands;
pub mod config;
mod connection;
pub mod engine;
pub mod handle;
mod hub;
pub mod listing;
pub mod origin;
mod outbound;
pub mod publish;
mod sayable;
mod server_side;
pub mod stats;
mod subscriptions;
pub mod topics;
mod transport;
mod wheel;

pub use authority::{
    Admission, Authority, Caller, ConnectRequest, Denial, Grant, Identity, Inspect, InspectRequest,
    PublishRequest, Publishing, RecoverRequest, Recovered, Refreshed, Refusal, SubRefreshRequest,
    SubscribeRequest,
};
pub use broker::answer::Answer;
pub use broker::inbox::{Inbox, Incoming};
pub use broker::memory::Memory;
pub use broker::memory::stream::Range;
pub use broker::order::{Deed, Order, Target};
pub use broker::publication::Position;
pub use broker::{Announcement, Broker, BrokerError, Kept, Outgoing, TopicName};
pub use chatsdk_protocol::{
    ClientInfo, Disconnect, DisconnectCode, Encoding, ErrorCode, Payload, PayloadRef, Publication,
    ReplyError, UnsubscribeCode,
};
pub use config::Config;
pub use engine::Engine;
pub use handle::{Handle, Whom};
pub use listing::{ConnectionView, Listed, TopicView, Transport};
pub use origin::OriginPolicy;
pub use publish::{Publish, Published};
pub use stats::Stats;
pub use topics::options::{History, Keep, Recovery, TopicOptions};
pub use transport::body::Body;
pub use transport::timed::TimedStream;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex` whatever happened to its last holder: a panic in one connection's task must not
/// take the others with it, and what these locks guard is consistent between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
