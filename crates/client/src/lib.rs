#![cfg_attr(feature = "native", doc = include_str!("../README.md"))]
//!
//! # Modules
//!
//! - [`tokens`]: the lifecycle. [`platform`]: what it needs of the place it runs in.
//! - [`error`]: what goes wrong. [`events`]: what happens.
//! - With the feature `native`, on by default, `ChatSdk` is the way in, for programs on tokio. The feature `tls`
//!   adds https and wss.

#[cfg(feature = "native")]
mod address;
#[cfg(feature = "native")]
pub mod client;
pub mod error;
pub mod events;
mod http;
#[cfg(feature = "native")]
pub mod native;
#[cfg(feature = "native")]
mod patience;
pub mod platform;
#[cfg(feature = "native")]
pub mod realtime;
mod redact;
pub mod tokens;
mod within;

#[cfg(feature = "native")]
pub use client::ChatSdk;
pub use error::{EndReason, Error, HostError, RefreshError, RefreshErrorKind, StorageError};
pub use events::{Event, Events};
pub use tokens::{
    Credentials, Driver, TokenManager, TokenManagerOptions, TokenState, Tokens, User,
};
