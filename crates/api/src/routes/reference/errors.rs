//! `GET /docs/errors`: where `type` of a problem document leads.

use axum::response::Response;

/// Read about errors.
#[utoipa::path(
    get,
    path = "/docs/errors",
    operation_id = "getErrors",
    tag = "Reference",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")),
)]
pub(crate) async fn errors() -> Response {
    super::still_page(crate::docs::errors_page())
}
