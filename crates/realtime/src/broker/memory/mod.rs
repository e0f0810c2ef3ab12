//! The in-process broker.
//!
//! - [`stream`]: the history of one topic.
//! - [`repeats`]: publications that a caller sends again.

pub(crate) mod repeats;
pub(crate) mod stream;
