//! `GET /docs/style.css`.

use axum::response::Response;

pub(crate) async fn style() -> Response {
    super::text("text/css; charset=utf-8", crate::docs::STYLE)
}
