//! `GET /openapi.json`.

use axum::response::Response;

/// Get this description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenapi",
    tag = "Reference",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = std::collections::HashMap<String, serde_json::Value>, content_type = "application/json")),
)]
pub(crate) async fn openapi() -> Response {
    super::text("application/json", crate::openapi::served())
}
