//! Reads the claims of an access token, to know when to refresh it and whom to greet. Verifies nothing.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chatsdk_types::Millis;
use serde_json::{Map, Value};

/// The claims that the client looks at.
#[derive(Debug, Clone)]
pub(crate) struct Claims {
    /// Whom the token speaks for.
    pub(crate) sub: String,
    /// Its session.
    pub(crate) sid: Option<String>,
    /// Rotation counter of the session: follows the server's clock, so that it orders sessions too.
    pub(crate) rc: Option<i64>,
    /// Issued at, in seconds since the Unix epoch.
    pub(crate) iat: Option<i64>,
    /// Expires at, in seconds since the Unix epoch.
    pub(crate) exp: Option<i64>,
    /// All of it.
    pub(crate) all: Map<String, Value>,
}

/// The claims of a JWT, or `None` where it is none.
pub(crate) fn read_claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD
        .decode(payload)
        .or_else(|_| STANDARD_NO_PAD.decode(payload))
        .ok()?;
    let all: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    let text = |name: &str| all.get(name)?.as_str().map(str::to_owned);
    Some(Claims {
        sub: text("sub")?,
        sid: text("sid"),
        rc: all.get("rc").and_then(whole),
        iat: all.get("iat").and_then(whole),
        exp: all.get("exp").and_then(whole),
        all,
    })
}

/// A number that is whole, or as good as.
pub(crate) fn whole(value: &Value) -> Option<Millis> {
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|number| number as Millis))
}
