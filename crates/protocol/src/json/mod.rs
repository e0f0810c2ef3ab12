//! The protocol as newline-separated JSON.
//!
//! - `decode`: a frame into commands, and into what a server said.
//! - `encode`: commands, replies and pushes into lines.

mod decode;
mod encode;

pub use decode::{commands, server_messages};
pub(crate) use decode::{deeper_than, read};
pub use encode::{encode_command, encode_publication, encode_push, encode_reply};

/// The server's ping and the client's answer: a message without content.
pub const PING: &str = "{}";

/// How deep a message may nest. Deeper than any honest payload, and shallow enough for every JSON
/// parser that a payload may be handed to (Python's gives up at about 1000, serde's at 128).
pub const MAX_DEPTH: usize = 128;
