//! `GET /healthz`.

use axum::Json;

use super::Health;

/// Ask whether the process lives.
///
/// Asks nothing of the database: a process is not to be restarted because its database is down.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getHealth",
    tag = "Operations",
    responses((status = 200, description = "It lives", body = Health)),
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}
