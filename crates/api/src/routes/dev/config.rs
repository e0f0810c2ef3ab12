//! `GET /dev/config`: where the page finds everything.

use axum::Json;
use axum::extract::State;
use chatsdk_auth::Auth;
use serde::Serialize;

use super::Local;

/// What the page begins with.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    api_url: String,
    ws_url: String,
    tokens: Tokens,
}

/// How long tokens live unless a mint says otherwise, and how short they may be, as a mint takes them.
#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    #[serde(rename = "accessTokenExpiry")]
    access: String,
    #[serde(rename = "minAccessTokenExpiry")]
    min_access: String,
    #[serde(rename = "refreshTokenExpiry")]
    refresh: String,
}

pub(crate) async fn config(State(auth): State<Auth>, Local(dev): Local) -> Json<Config> {
    let tokens = auth.config();
    Json(Config {
        api_url: dev.api_url,
        ws_url: dev.ws_url,
        tokens: Tokens {
            access: tokens.access_ttl.to_string(),
            min_access: tokens.min_access_ttl.to_string(),
            refresh: tokens.refresh_ttl.to_string(),
        },
    })
}
