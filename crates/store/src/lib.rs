//! The only crate with SQL: SQLite and PostgreSQL behind one surface, and their migrations.
//!
//! Reads hang off [`Store`], writes hang off [`Tx`], and a [`Tx`] exists only inside a unit of work
//! ([`Store::write`]), which is committed before it answers. Each statement is spelled once, for both
//! databases.
//!
//! What is stored, a file each, with the tables' statements and both their reads and their writes:
//! - [`records`]: the rows, as values.
//! - `apps`, `users`, `sessions`, `api_keys`, `signing_keys`: what they are called.
//! - `control`: what every serving process has to know within a second, in the order of commits.
//! - `audit`: who did what. `meta`: single facts about the deployment.
//!
//! How it is stored:
//! - `store`: opening, units of work, the hot calls. [`follow`]: waiting for the control log to grow.
//! - `tx`: one unit of work, on either driver. `sql`: the text of a statement, its arguments, its rows.
//! - `migrations`: the tables, and how they came to be.
//! - `sqlite/`: one group-committing writer, readers, checkpoints, the online copy.
//! - `postgres/`: pools, batched exchanges, LISTEN, TLS.

mod api_keys;
mod apps;
mod audit;
mod control;
mod error;
pub mod follow;
mod meta;
mod migrations;
mod postgres;
pub mod records;
mod sessions;
mod signing_keys;
mod sql;
mod sqlite;
mod store;
mod tx;
mod users;

pub use error::StoreError;
pub use follow::Follow;
pub use migrations::Schema;
pub use records::{
    ApiKey, App, AppLifetimes, AuditEntry, AuditFilter, AuditLine, ControlEntry, ControlKind,
    Exchange, Exchanged, Patch, Rotation, Session, SigningKey, Successor, UnknownControlKind, User,
    UserPatch,
};
pub use store::{Location, Store};
pub use tx::{BoxFuture, Tx};
