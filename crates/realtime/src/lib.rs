//! A Centrifuge engine that knows no chat: it keeps connections, says who may stay, and asks its host
//! through [`Authority`] for everything that needs knowledge.
//!
//! Start reading at [`engine`]: what the host holds. Then
//! - [`authority`]: what the host answers: who is connecting, is the newer token good.
//! - [`config`], [`origin`]: what can be set, and which pages may connect.
//! - [`stats`]: what is counted.
//! - `transport`: how bytes become messages; today `transport::websocket`.
//! - `commands`: one file per command of the protocol.
//! - `connection`, `outbound`: one open connection: its life, and its way out to the socket.
//! - `hub`: all of them, by session, user and app, so that a revocation finds them.
//! - `wheel`: one timer for all of them.
//!
//! What an idle connection costs was decided on purpose: one task, one registration with the reactor,
//! one entry in the wheel. It has no read buffer (reads go through a buffer of the worker thread), no
//! write queue (writes go straight to the socket from whoever writes; a queue exists only while the
//! socket is full), no channel and no timer of its own.

mod arrivals;
pub mod authority;
pub mod broker;
mod commands;
pub mod config;
mod connection;
pub mod engine;
mod hub;
pub mod origin;
mod outbound;
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
pub use broker::memory::stream::Range;
pub use broker::publication::Position;
pub use chatsdk_protocol::{
    ClientInfo, Disconnect, DisconnectCode, ErrorCode, Payload, PayloadRef, Publication,
    ReplyError, UnsubscribeCode,
};
pub use config::Config;
pub use engine::{Engine, Handle, Publish, Whom};
pub use origin::OriginPolicy;
pub use stats::Stats;
pub use topics::options::{History, Keep, Recovery, TopicOptions};
pub use transport::body::Body;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex` whatever happened to its last holder: a panic in one connection's task must not
/// take the others with it, and what these locks guard is consistent between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
