//! The token lifecycle.
//!
//! - `schedule`: when to refresh. `pair`, `jwt`, `clocks`: what is known of a pair.
//! - `vault`, `record`: the shared storage, compare-and-save under one lock.
//! - `request`, `attempt`: one request, one refresh. `revoke`: the outbox of logouts. `background`: what outlives a
//!   session.
//! - `session`: what is done when and told to whom. `manager`: the
//!   handle; `driver`: the future that does the work; `options`: callbacks. `input`: what an app passes.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod attempt;
mod background;
mod clocks;
mod driver;
mod input;
mod jwt;
mod manager;
mod options;
mod pair;
mod record;
mod request;
mod revoke;
mod schedule;
mod session;
mod vault;

pub use driver::Driver;
pub use input::Credentials;
pub use manager::{TokenManager, TokenState};
pub use options::TokenManagerOptions;
pub use pair::{Tokens, User};

#[cfg(feature = "native")]
pub(crate) use jwt::read_claims;
#[cfg(feature = "native")]
pub(crate) use schedule::{LONGEST, backoff};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
