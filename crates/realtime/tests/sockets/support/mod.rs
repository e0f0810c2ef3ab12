//! What the tests stand on.
//!
//! - [`server`]: a real server on a free port. [`authority`]: whom it asks.
//! - [`socket`]: a client with a WebSocket. [`stream`]: one that cannot have any.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

mod authority;
mod server;
mod socket;
mod stream;

pub(crate) use authority::Scripted;
pub(crate) use server::Server;
pub(crate) use socket::{Heard, Socket, deflated, masked};
pub(crate) use stream::Stream;

/// The moment at which every test begins.
pub(crate) const START: i64 = 1_700_000_000_000;

/// A connect command.
pub(crate) fn connect(id: u32, token: &str) -> String {
    format!(r#"{{"id":{id},"connect":{{"token":"{token}","name":"test"}}}}"#)
}

/// A refresh command.
pub(crate) fn refresh(id: u32, token: &str) -> String {
    format!(r#"{{"id":{id},"refresh":{{"token":"{token}"}}}}"#)
}
