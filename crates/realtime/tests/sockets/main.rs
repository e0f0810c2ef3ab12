//! The engine through real sockets.
//!
//! - [`connect`]: who may connect, on what terms, and what everybody else is told.
//! - [`lifetime`]: staying connected.
//! - [`closing`]: how connections end, and that all of them do.
//! - [`topics`]: listening and speaking. [`recovery`]: coming back. [`limits`]: how much one may.
//! - [`forgetting`]: going on although things are forgotten.
//! - [`hostile`]: clients that mean ill.
//! - [`listing`]: what operators see.
//! - [`races`]: what happens at the same time, or in the same frame.
//! - [`streams`]: connections of clients that cannot have a WebSocket.
//! - [`compression`]: messages that are compressed.
//! - [`nodes`]: several servers, joined by a broker ([`cluster`]) that loses, delays, reorders and fails.
//! - [`soak`]: nothing is lost, doubled or reordered.
//! - [`support`]: a server, an authority that a test drives, a client that speaks frames.
//!
//! Tokio's time is paused and moves only when a test moves it, step by step until what it waits for
//! has happened: seconds pass in no time, and nothing depends on how fast the machine is.

mod closing;
mod cluster;
mod compression;
mod connect;
mod forgetting;
mod hostile;
mod lifetime;
mod limits;
mod listing;
mod nodes;
mod races;
mod recovery;
mod soak;
mod streams;
mod support;
mod topics;
