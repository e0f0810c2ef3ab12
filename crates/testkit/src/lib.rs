//! For tests only: real servers, and the people who call them.
//!
//! - [`TestServer`]: a server in this process, on port 0, on a real SQLite file or a real PostgreSQL,
//!   with a clock that the test moves.
//! - [`http`]: a client that sends exactly what it is told to, right or wrong.
//! - [`Backend`]: the host's backend, with an API key. [`Person`]: somebody with tokens.
//! - [`Socket`]: a WebSocket that waits for events, never for time.
//! - [`process`]: the `chatsdk` binary as a child process, for what only a process can show; with a
//!   [`Deployment`], on either database.

#![expect(clippy::expect_used, reason = "a test that cannot go on ends")]
#![expect(
    clippy::missing_panics_doc,
    reason = "everything here panics where a test would have to"
)]

mod actors;
mod deployment;
pub mod http;
pub mod process;
mod server;
mod socket;

pub use actors::{Backend, Person};
pub use deployment::Deployment;
pub use http::Reply;
pub use server::{Database, SECRET, TestServer, operator_token};
pub use socket::{Event, Socket};
