//! The API's own description, for programs and for people.

pub(crate) mod docs;
pub(crate) mod errors;
pub(crate) mod openapi;
pub(crate) mod style;

use axum::http::HeaderName;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};

/// Pages that run nothing and load nothing but their style.
const STILL: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page with the headers that keep others out of it.
pub(crate) fn page(html: impl Into<axum::body::Body>, policy: &'static str) -> Response {
    let headers: [(HeaderName, &str); 4] = [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, Html(html.into())).into_response()
}

/// A page that runs nothing.
pub(crate) fn still_page(html: impl Into<axum::body::Body>) -> Response {
    page(html, STILL)
}

/// Text of a type, that may be kept but is asked about.
pub(crate) fn text(kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
    (headers, body.into()).into_response()
}
