//! `GET /dev/assets/…`: what the page loads. The names carry a hash of what is in them.

use axum::extract::RawPathParams;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chatsdk_types::ErrorCode;

use super::{Built, Local};
use crate::Problem;

pub(crate) async fn assets(_: Local, params: RawPathParams) -> Result<Response, Problem> {
    let path = params
        .iter()
        .next()
        .map(|(_, path)| path)
        .unwrap_or_default();
    // The embedded files are found by name; in a debug build they are read from disk, and no name
    // may lead out of the folder.
    if path
        .split('/')
        .any(|part| part.is_empty() || part.starts_with('.'))
    {
        return Err(ErrorCode::NotFound.into());
    }
    let file = Built::get(&format!("assets/{path}")).ok_or(ErrorCode::NotFound)?;
    let headers = [
        (CONTENT_TYPE, content_type(path)),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
