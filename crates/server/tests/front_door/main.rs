//! Everything that can be asked of a server, asked through its front door. One program, so that it is
//! linked once and all tests share one PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[macro_use]
mod common;

mod admin;
mod audit;
mod commands;
mod crash;
mod dev;
mod ending;
mod forgeries;
mod framing;
mod last_use;
mod layering;
mod limits;
mod metrics;
mod reference;
mod restore;
mod revocation;
mod secret;
mod signing_keys;
mod sockets;
mod terminal;
mod tokens;
mod topics;
