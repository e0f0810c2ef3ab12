//! Where a message stands.

use std::sync::Arc;

pub use chatsdk_protocol::{ClientInfo, Publication};

/// A place in a topic's stream. Offsets count from 1 within an epoch; 0 is before the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// How many publications there were up to here.
    pub offset: u64,
    /// The generation of the stream: another one counts anew.
    pub epoch: Arc<str>,
}
