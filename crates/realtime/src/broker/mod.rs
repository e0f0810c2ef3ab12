//! What is kept of a topic, apart from who listens to it.
//!
//! - [`publication`]: one message, and where it stands.
//! - `memory`: the in-process broker: bounded history, what was published twice.
//!
//! Presence is not kept here: in one process the subscriptions themselves are who is present, and
//! an entry can neither be forgotten nor outlive its connection.

pub(crate) mod memory;
pub mod publication;
