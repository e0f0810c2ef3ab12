//! How bytes become messages, and messages bytes.
//!
//! - [`websocket`]: RFC 6455 over HTTP/1.1.

pub(crate) mod websocket;
