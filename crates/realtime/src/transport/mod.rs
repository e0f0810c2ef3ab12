//! How bytes become messages, and messages bytes.
//!
//! - [`websocket`]: RFC 6455 over HTTP/1.1, both ways.
//! - [`http_stream`], [`events`]: the body of a response, from server to client; [`emulation`]: the
//!   posts that go the other way. [`stream`] is what the two have in common.
//! - [`shape`]: in which shape messages travel. [`outlet`], [`body`]: bodies of responses.
//! - [`timed`]: sockets that hosts serve to clients which may not read. [`gone`]: the end of every
//!   connection.

pub(crate) mod body;
pub(crate) mod emulation;
pub(crate) mod events;
mod gone;
pub(crate) mod http_stream;
pub(crate) mod outlet;
mod query;
mod respond;
pub(crate) mod shape;
mod stream;
pub(crate) mod timed;
pub(crate) mod websocket;

pub(crate) use shape::Shape;
