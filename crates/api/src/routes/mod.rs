//! The endpoints, a file each: its request type above its handler.
//!
//! - [`tokens`]: mint, refresh, revoke, introspect.
//! - [`sessions`]: a person's own sessions. [`users`]: a host's people, their sessions and bans.
//! - [`well_known`]: public keys. [`operations`]: health and metrics. [`mod@reference`]: the API's own pages.
//! - [`admin`]: the live node, for operators.
//! - [`dev`]: what only `chatsdk dev` has.

pub(crate) mod admin;
pub(crate) mod dev;
pub(crate) mod operations;
pub(crate) mod reference;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod well_known;

use serde::Serialize;

/// Done; there is nothing more to say.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Done {}

/// What an endpoint answers that has only done something.
pub(crate) const DONE: axum::Json<Done> = axum::Json(Done {});
