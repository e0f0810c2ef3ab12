//! The protocol as Protobuf: each message stands after its length, and a frame holds one or several.
//!
//! - `decode`: a frame into commands, and into what a server said.
//! - `encode`: commands, replies and pushes into frames.

mod decode;
mod encode;

pub(crate) use decode::read;
pub use decode::{commands, server_messages};
pub use encode::{PING, encode_command, encode_publication, encode_push, encode_reply};
