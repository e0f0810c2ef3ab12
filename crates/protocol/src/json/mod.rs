//! The protocol as newline-separated JSON.
//!
//! - `decode`: a frame of a client into commands.
//! - `encode`: replies and pushes into frames.
//! - `client`: the other direction of both, for clients and tests.

mod client;
mod decode;
mod encode;

pub use client::{BadFrame, Incoming, decode_frame, encode_command};
pub use decode::{Undecodable, commands};
pub use encode::{Frame, PING, encode_push, encode_reply};

/// How deep a command may nest. Deeper than any honest payload, and shallow enough for every JSON
/// parser that a payload may be handed to (Python's gives up at about 1000, serde's at 128).
pub const MAX_DEPTH: usize = 128;

/// How many replies share one frame at most.
pub const MAX_BATCH: usize = 16;
