//! The API through its front door: a real listener, a real service, a real database in a directory of
//! its own. The tree mirrors `src/routes`; `http` holds what is true of every route.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod support;

mod admin;
mod dev;
mod http;
mod operations;
mod sessions;
mod tokens;
mod users;
