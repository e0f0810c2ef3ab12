//! `GET /docs`.

use axum::response::Response;

/// Read this description.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "getDocs",
    tag = "Reference",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")),
)]
pub(crate) async fn docs() -> Response {
    super::still_page(crate::docs::reference_page())
}
