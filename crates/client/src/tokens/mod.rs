//! The token lifecycle.
//!
//! - `schedule`: when to refresh. `pair`, `jwt`, `clocks`: what is known of a pair.
//! - `vault`, `record`: the shared storage, compare-and-save under one lock.
//! - `request`, `attempt`: one request, one refresh. `revoke`: the outbox of logouts.
//! - `session`: what is done when and told to whom. `manager`: the handle, and the driver.

mod attempt;
mod clocks;
mod input;
mod jwt;
mod manager;
mod pair;
mod record;
mod request;
mod revoke;
mod schedule;
mod session;
mod vault;

pub use input::Credentials;
pub use manager::{Driver, TokenManager, TokenManagerOptions, TokenState};
pub use pair::{Tokens, User};

#[cfg(feature = "native")]
pub(crate) use schedule::backoff;
#[cfg(feature = "native")]
pub(crate) use session::lock;
