//! The closed list of failures that a caller can meet, each with a code that never changes.

use std::fmt;

macro_rules! error_codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal, $hint:literal;)+) => {
        /// A failure by its stable name. A client decides by the code, a person reads the rest.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $title] $name),+ }

        impl ErrorCode {
            /// Every code there is, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code, as it stands in `code` of a problem document.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The HTTP status that carries it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// One sentence of what happened, the same each time: `title` of a problem document.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            /// What the reader can do about it: `hint` of a problem document.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint),+ }
            }
        }
    };
}

error_codes! {
    InvalidRequest = "invalid_request", 400, "The request is not one that this endpoint understands.",
        "Compare the request with the API reference at /docs.";
    InvalidJson = "invalid_json", 400, "The body is not valid JSON.",
        "Send one JSON object, with each member once.";
    InvalidField = "invalid_field", 400, "A field has a value that is not accepted.",
        "`field` names it; the API reference at /docs gives its bounds.";
    ApiKeyMissing = "api_key_missing", 401, "This endpoint needs an API key.",
        "Send it in the X-API-Key header, from your backend.";
    ApiKeyInvalid = "api_key_invalid", 401, "API key invalid.",
        "Check that your backend sends the X-API-Key header with the whole key, and that the key belongs to this deployment.";
    ApiKeyRevoked = "api_key_revoked", 401, "API key invalid: it was revoked.",
        "Create another key with `chatsdk key create` and give it to your backend.";
    ApiKeyExpired = "api_key_expired", 401, "API key invalid: it has expired.",
        "Create another key with `chatsdk key create` and give it to your backend.";
    TokenMissing = "token_missing", 401, "This endpoint needs an access token.",
        "Send it as `Authorization: Bearer <accessToken>`.";
    TokenExpired = "token_expired", 401, "The access token has expired.",
        "Exchange the refresh token at POST /auth/refresh; the SDKs do so by themselves.";
    TokenInvalid = "token_invalid", 401, "The access token is not one that this server accepts.",
        "Send the accessToken of a token reply, unchanged.";
    TokenRevoked = "token_revoked", 401, "The session of this access token was ended.",
        "Have the user sign in again.";
    RefreshTokenInvalid = "refresh_token_invalid", 401, "Refresh token invalid: sign in again.",
        "Have the user sign in again; send the refreshToken of the newest token reply, unchanged.";
    RefreshTokenExpired = "refresh_token_expired", 401, "Refresh token expired: sign in again.",
        "Have the user sign in again.";
    RefreshTokenReused = "refresh_token_reused", 401, "Refresh token used twice: sign in again.",
        "An older token came back after a newer one was in use. The session was ended to protect its owner; have the user sign in again.";
    SessionRevoked = "session_revoked", 401, "The session was ended: sign in again.",
        "Have the user sign in again.";
    OperatorTokenMissing = "operator_token_missing", 401, "This endpoint needs the operator token.",
        "Send it as `Authorization: Bearer <token>`: CHATSDK_OPERATOR_TOKEN, or the file `operator-token` in the data directory.";
    OperatorTokenInvalid = "operator_token_invalid", 401, "Operator token invalid.",
        "Send the token of this node: CHATSDK_OPERATOR_TOKEN as the server was started with it, or the file `operator-token` in its data directory.";
    ApiKeyScope = "api_key_scope", 403, "The API key may not do this.",
        "Use a key with the scope that `detail` names.";
    BrowserForbidden = "browser_forbidden", 403, "API keys are not accepted from browsers.",
        "Call this endpoint from your backend, never from a page: anyone could read the key there.";
    UserBanned = "user_banned", 403, "This user is banned.",
        "Lift the ban with DELETE /auth/users/{userId}/ban.";
    AppDisabled = "app_disabled", 403, "This app is disabled.",
        "Nothing of the app works until its operator lets it: `chatsdk app enable`. Sessions wait; nobody has to sign in again.";
    OriginForbidden = "origin_forbidden", 403, "This origin may not connect.",
        "Add the page's origin to `allowed_origins`.";
    NotFound = "not_found", 404, "There is nothing at this address.",
        "Compare the path with the API reference at /docs.";
    SessionNotFound = "session_not_found", 404, "There is no such session.",
        "List the sessions to see which there are.";
    AppNotFound = "app_not_found", 404, "There is no such app.",
        "`chatsdk app list` lists those that there are.";
    ConnectionNotFound = "connection_not_found", 404, "There is no such connection on this node.",
        "List the connections to see which there are; each node knows its own.";
    MethodNotAllowed = "method_not_allowed", 405, "This address does not take this method.",
        "The Allow header lists those that it takes.";
    RequestStale = "request_stale", 408, "The request was sent too long ago, or its clock is wrong.",
        "Take `serverTime` as the time, and send the request again with a new `sentAt`.";
    RequestTimeout = "request_timeout", 408, "The request did not arrive in time.",
        "Send it again.";
    PayloadTooLarge = "payload_too_large", 413, "The body is larger than this endpoint takes.",
        "The API reference at /docs gives the limit.";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body is not sent as JSON.",
        "Send the header `Content-Type: application/json`.";
    UpgradeRequired = "upgrade_required", 426, "This address takes WebSocket connections alone.",
        "Connect with a WebSocket client; plain requests belong to the paths that /docs lists.";
    RateLimited = "rate_limited", 429, "Too many requests.",
        "Wait for `retryAfterMs`, then send the request again.";
    Internal = "internal", 500, "The server failed.",
        "Send the request again; quote `requestId` to the operator.";
    Unavailable = "unavailable", 503, "The server cannot answer just now.",
        "Wait for `retryAfterMs`, then send the request again.";
}

impl ErrorCode {
    /// Whether the SDKs end the session when a refresh is answered with this code. Everything
    /// else is weather: they keep the session and try again.
    pub const fn ends_session(self) -> bool {
        matches!(
            self,
            Self::RefreshTokenInvalid
                | Self::RefreshTokenExpired
                | Self::RefreshTokenReused
                | Self::SessionRevoked
                | Self::UserBanned
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert!(
                code.as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{code}"
            );
            assert!(
                ErrorCode::ALL[..index]
                    .iter()
                    .all(|other| other.as_str() != code.as_str()),
                "{code}"
            );
        }
    }

    #[test]
    fn no_code_that_ends_a_session_speaks_of_the_network() {
        for code in ErrorCode::ALL.iter().filter(|code| code.ends_session()) {
            assert!(
                !code.title().contains("Network") && !code.hint().contains("Network"),
                "{code}"
            );
        }
    }
}
