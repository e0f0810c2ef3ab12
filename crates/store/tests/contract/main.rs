//! What both databases promise: one suite, run over each. Every test here has a twin, `sqlite` and
//! `postgres`.
//!
//! - [`harness`]: a database of one's own, and rows to put in it.
//! - The others mirror the files of the crate.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod api_keys;
mod apps;
mod audit;
mod control;
mod harness;
mod meta;
mod opening;
mod rotation;
mod sessions;
mod signing_keys;
mod units;
mod users;
