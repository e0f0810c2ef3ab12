//! Populations of the Rust client against the server's rotation logic, in virtual time.
//!
//! Real are the client (`chatsdk-client`, every line of its token lifecycle), the decision table, the
//! refresh tokens and the memory of what was seen in use (`chatsdk-auth`). Simulated are time, networks,
//! storages, locks, devices and people, and they are as bad as they can be.
//!
//! Each client is a world of its own (sessions share nothing but the moments at which the server
//! crashes and is restored), so that client 17 of seed 42 can be run again alone.
//!
//! - [`world`]: time and processes. [`device`]: the platform that clients run on. [`server`]: the server.
//! - [`life`]: one client. [`course`]: what happens to it. [`theft`]: thieves. [`population`]: many clients, and the counts.

pub mod counts;
pub mod course;
pub mod device;
pub mod life;
pub mod network;
pub mod population;
pub mod rng;
pub mod server;
pub mod tab;
pub mod theft;
pub mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
