//! The load generator: closed loops over keep-alive connections.
//!
//! - [`address`]: a URL taken apart.
//! - [`reply`]: what a server answers, read strictly and with few instructions.
//! - [`wire`]: one connection, one request in flight.
//! - [`script`]: what a connection sends next: the same bytes, numbered bytes, or the next link of
//!   a refresh chain.
//! - [`drive`]: N connections for a while, and what they saw.
//! - [`histogram`]: latencies, counted in buckets.
//!
//! It shares the machine with the server that it measures, so its own cost is part of every figure.
//! That is why it writes ready-made bytes and looks for two headers instead of using an HTTP
//! client, and why one thread drives every connection: a second one would only take the server's
//! core.

pub mod address;
pub mod drive;
pub mod histogram;
pub mod reply;
pub mod script;
pub mod wire;

pub use address::Address;
pub use drive::{Outcome, Plan, drive};
pub use script::{Chain, Script};
pub use wire::Wire;
