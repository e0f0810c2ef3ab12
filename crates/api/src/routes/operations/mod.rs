//! For operators and their machines.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod ready;

use serde::Serialize;

/// How the server is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub(crate) status: &'static str,
}
