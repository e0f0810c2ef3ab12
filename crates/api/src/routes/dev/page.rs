//! `GET /dev/`: the page.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::{Built, Local};
use crate::docs;
use crate::routes::reference::{page as with_headers, still_page};

/// The page runs its own scripts, and talks to both listeners, which are other origins.
const POLICY: &str = "default-src 'self'; connect-src 'self' http: https: ws: wss:; img-src 'self' data: http: https:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn page(_: Local) -> Response {
    match Built::get("index.html") {
        Some(file) => with_headers(file.data.into_owned(), POLICY),
        None => (StatusCode::NOT_FOUND, still_page(docs::page_not_built())).into_response(),
    }
}

/// `GET /dev`: people leave the slash out.
pub(crate) async fn without_slash() -> Redirect {
    Redirect::permanent("/dev/")
}
