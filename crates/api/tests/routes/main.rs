//! The API through its front door: a real listener, a real service, a real database in a directory of
//! its own. The tree mirrors `src/routes`; `http` holds what is true of every route.

mod support;

mod dev;
mod http;
mod operations;
mod secrets;
mod sessions;
mod tokens;
mod users;
