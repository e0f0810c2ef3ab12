//! `GET /.well-known/jwks.json`.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chatsdk_auth::{Auth, JWKS_MAX_AGE};

/// A JSON Web Key Set, after RFC 7517.
#[derive(Debug, utoipa::ToSchema)]
#[expect(
    dead_code,
    reason = "the set is written by the token service; this is its description"
)]
pub(crate) struct JwkSet {
    /// The keys that sign, will sign, or signed tokens which may still be alive.
    keys: Vec<Jwk>,
}

/// A public key, after RFC 8037.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct Jwk {
    /// The key's name in the header of a token.
    kid: String,
    /// Always `OKP`.
    #[schema(example = "OKP")]
    kty: String,
    /// Always `Ed25519`.
    #[schema(example = "Ed25519")]
    crv: String,
    /// Always `EdDSA`.
    #[schema(example = "EdDSA")]
    alg: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    usage: String,
    /// Always `verify`.
    key_ops: Vec<String>,
    /// The key: 32 bytes in base64url.
    #[schema(pattern = "^[0-9A-Za-z_-]{43}$")]
    x: String,
}

/// Get the keys that access tokens verify against.
///
/// With them, any backend can verify an access token by itself. The set may be kept for ten minutes; a key
/// is published longer than that before it signs.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "getJwks",
    tag = "Keys",
    responses((status = 200, description = "The keys", body = JwkSet)),
)]
pub(crate) async fn jwks(State(auth): State<Auth>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (CACHE_CONTROL, format!("public, max-age={JWKS_MAX_AGE}")),
    ];
    (headers, auth.jwks()).into_response()
}
