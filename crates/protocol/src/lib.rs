//! The Centrifuge client protocol (version 2), pure: bytes to commands, replies and pushes to bytes.
//! No I/O and no state, so that a server, a client and a load generator share one understanding of
//! the wire.
//!
//! What is said:
//! - [`command`]: what a client sends.
//! - [`reply`]: what a server answers to a command.
//! - [`push`]: what a server says unasked.
//! - [`object`]: what these have in common; [`payload`]: what applications put into them.
//! - [`server`]: replies, pushes and pings told apart, for clients.
//! - [`error_code`], [`disconnect`], [`unsubscribe`]: the closed lists of errors that a reply can carry
//!   and of codes that a connection or a subscription ends with, and what a client does then.
//!
//! How it is written:
//! - [`encoding`]: either encoding, by name. [`frame`]: several messages that share a frame.
//! - [`json`]: as newline-separated JSON, the encoding of text WebSockets and event streams.
//! - [`protobuf`]: as length-delimited Protobuf.
//! - [`emulation`]: the posts that carry commands beside a connection which goes one way only.
//! - [`fossil`]: publications as deltas. [`filter`]: which publications a subscription wants.
//! - `schema`: how one declaration of a message makes both of its encodings.
//!
//! Payloads (`data`, `info`) are never looked into: they stay the bytes that arrived. What arrives in
//! JSON is checked to be one well-formed value that is not nested deeper than [`json::MAX_DEPTH`].

pub mod command;
pub mod disconnect;
pub mod emulation;
pub mod encoding;
pub mod error_code;
pub mod filter;
pub mod fossil;
pub mod frame;
pub mod json;
pub mod object;
pub mod payload;
pub mod protobuf;
pub mod push;
pub mod reply;
mod schema;
pub mod server;
mod undecodable;
pub mod unsubscribe;

pub use command::{Command, Method};
pub use disconnect::{Disconnect, DisconnectCode};
pub use emulation::EmulationRequest;
pub use encoding::{Encoding, Route};
pub use error_code::{ErrorCode, ReplyError};
pub use frame::Frame;
pub use object::{ClientInfo, FilterNode, Publication, StreamPosition};
pub use payload::{NotJson, Payload, PayloadRef};
pub use push::{Push, PushBody};
pub use reply::{Reply, ReplyBody};
pub use server::ServerMessage;
pub use undecodable::Undecodable;
pub use unsubscribe::UnsubscribeCode;
