//! What the scenarios cannot say, on a clock that is moved: storages that are volatile or late, callbacks that panic, backends
//! that keep the refresh token, and calls that are dropped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod callbacks;
mod calls;
mod device;
mod hosted;
mod irreplaceable;
mod storages;
