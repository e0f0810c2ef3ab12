//! The replies of the token endpoints, as they stand on the wire.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::Millis;

/// A person, as replies show one.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The host's id of the person.
    pub id: String,
    /// The name to show.
    pub name: Option<String>,
    /// The address of a picture.
    pub avatar: Option<String>,
    /// The host's own data, as it was last minted.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<std::collections::HashMap<String, serde_json::Value>>))]
    pub custom: Option<Box<RawValue>>,
}

/// What a mint and a refresh answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenReply {
    /// Proves who calls, for `expiresIn` seconds: a JWT, signed with Ed25519.
    pub access_token: String,
    /// Exchanged once for the next pair at `POST /auth/refresh`. Opaque, though it looks like a JWT.
    pub refresh_token: String,
    /// When the access token expires, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub expires_at: Millis,
    /// How long the access token lives from now, in seconds.
    pub expires_in: i64,
    /// When the refresh token expires unless it is exchanged, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub refresh_expires_at: Millis,
    /// The server's clock, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub server_time: Millis,
    /// The session that both tokens belong to.
    pub session_id: String,
    /// The person that the tokens speak for.
    pub user: User,
}

/// A session, as lists show one.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// The host's id of the device, if it gave one.
    pub device_id: Option<String>,
    /// The host's name of the device, if it gave one.
    pub device_name: Option<String>,
    /// When it was minted, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub created_at: Millis,
    /// When it was last refreshed, to the day: a precise time would tell a thief when the owner's
    /// next refresh is due.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub last_used_at: Millis,
    /// When it ends whatever happens, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub expires_at: Millis,
    /// Whether it is the session of the caller.
    pub current: bool,
}

/// What introspection answers, after RFC 7662. Everything but `active` is absent when it is false.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Introspection {
    /// Whether the token works now.
    pub active: bool,
    /// `access_token` or `refresh_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// The app that the token belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user that it speaks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The session that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// The token's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// When it was issued, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// When it expires, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
}
