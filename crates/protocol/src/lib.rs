//! The Centrifuge client protocol (version 2), pure: bytes to commands, replies and pushes to bytes.
//! No I/O and no state, so that a server, a client and a load generator share one understanding of
//! the wire.
//!
//! - [`command`]: what a client sends.
//! - [`reply`]: what a server answers to a command.
//! - [`push`]: what a server says unasked.
//! - [`error_code`]: the closed list of errors that a reply can carry.
//! - [`disconnect`]: the closed list of codes that a connection ends with, and what a client does then.
//! - [`json`]: all of it as newline-separated JSON, the encoding of text WebSockets and event streams.
//!
//! Payloads (`data`, `info`) are never looked into: they stay the raw JSON that arrived, checked to
//! be one well-formed value that is not nested deeper than [`json::MAX_DEPTH`].

pub mod command;
pub mod disconnect;
pub mod error_code;
pub mod json;
pub mod push;
pub mod reply;

pub use command::{Command, Method};
pub use disconnect::{Disconnect, DisconnectCode};
pub use error_code::{ErrorCode, ReplyError};
pub use push::Push;
pub use reply::{Reply, ReplyBody};
