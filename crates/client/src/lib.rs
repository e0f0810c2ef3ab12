//! The Rust client of ChatSDK: keeps a user signed in, and a realtime connection open.
//!
//! Your backend mints tokens at `POST /auth/tokens`; a [`TokenManager`] exchanges them for as long as the
//! session lives. Nobody is signed out by accident: not by a lost reply, a killed process, several
//! processes that share a storage, a wrong clock, or days without a network. Only the server's own word
//! ends a session.
//!
//! - [`tokens`]: the lifecycle. [`platform`]: what it needs of the place it runs in.
//! - [`error`]: what goes wrong. [`events`]: what happens.
//! - With the feature `native`, on by default, `ChatSdk` is the way in, for programs on tokio. The feature `tls`
//!   adds https and wss.

#[cfg(feature = "native")]
pub mod client;
pub mod error;
pub mod events;
mod http;
#[cfg(feature = "native")]
pub mod native;
pub mod platform;
#[cfg(feature = "native")]
pub mod realtime;
mod redact;
pub mod tokens;
mod within;

#[cfg(feature = "native")]
pub use client::ChatSdk;
pub use error::{EndReason, Error, RefreshError, RefreshErrorKind, StorageError};
pub use events::{Event, Events};
pub use tokens::{
    Credentials, Driver, TokenManager, TokenManagerOptions, TokenState, Tokens, User,
};
