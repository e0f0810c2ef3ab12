//! The in-process broker.
//!
//! - [`budget`]: how much all histories together may hold.
//! - [`stream`]: the history of one topic.
//! - [`repeats`]: publications that a caller sends again.

pub(crate) mod budget;
pub(crate) mod repeats;
pub(crate) mod stream;
