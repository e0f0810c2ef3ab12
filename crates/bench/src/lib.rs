//! The load generator and the floors that the product is measured against.
//!
//! A figure without its floor says more about the machine than about the program. So every part
//! measures the product and the least that could do the same work in turn, in one run, and reports
//! medians and ratios:
//!
//! - [`load`]: the generator. Start here.
//! - [`floors`]: a bare JSON endpoint, and one caller that commits one row at a time.
//! - [`http`]: mint, refresh and an authenticated read, on SQLite and PostgreSQL, beside the floors.
//! - [`million`]: refreshes where the database holds a million sessions, and while they are swept.
//! - [`realtime`]: fan-out, connecting and idling of the realtime engine, beside bare sockets.
//! - [`clients`]: clients of the Rust crate that come back with expired tokens, and a user whose sockets are revoked.
//! - [`crypto`]: signing and verifying tokens, beside the bare primitives.
//! - [`footprint`]: start-up time, memory, size.
//! - [`page`]: what `docs/benchmarks.md` says, with the [`targets`] and whether they are met.
//! - [`cli`]: the commands. The generator alone can be pointed at any server.
//!
//! Underneath: [`program`] starts and ends what is measured, [`product`] knows how to talk to it,
//! [`process`] reads what it costs, [`stats`] makes one number of several, [`machine`] says where.

pub mod cli;
pub mod clients;
pub mod crypto;
pub mod floors;
pub mod footprint;
pub mod http;
pub mod load;
pub mod machine;
pub mod million;
pub mod page;
pub mod process;
pub mod product;
pub mod program;
pub mod realtime;
pub mod stats;
pub mod targets;
