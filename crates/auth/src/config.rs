//! What an operator decides about tokens and sessions.

use chatsdk_types::Lifetime;

/// The bounds and defaults of tokens and sessions.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `iss` of access tokens: the deployment's public address, without a trailing slash.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// How long an access token lives unless the mint or the app says otherwise.
    pub access_ttl: Lifetime,
    /// How long a refresh token lives unless it is exchanged.
    pub refresh_ttl: Lifetime,
    /// How long a session lives whatever happens.
    pub session_ttl: Lifetime,
    /// The shortest access token that may be asked for.
    pub min_access_ttl: Lifetime,
    /// The shortest refresh token that may be asked for.
    pub min_refresh_ttl: Lifetime,
    /// How many sessions a user may have before unused ones are evicted.
    pub sessions_per_user: usize,
    /// Whether an avatar may be an `http:` address. For development.
    pub http_avatars: bool,
    /// Whether rate limits are in force.
    pub rate_limits: bool,
}

impl AuthConfig {
    /// The longest access token. Also how long a revocation is remembered in memory, because no
    /// access token outlives it.
    pub const MAX_ACCESS_TTL: Lifetime = Lifetime::days(1);
    /// The longest refresh token.
    pub const MAX_REFRESH_TTL: Lifetime = Lifetime::days(90);
    /// The longest session. Also how long the revocation journal keeps an entry.
    pub const MAX_SESSION_TTL: Lifetime = Lifetime::days(365);
    /// How long the row of an idle session is kept past its refresh token's end: a backup this old
    /// can be restored without signing anybody out.
    pub const RESTORE_WINDOW: Lifetime = Lifetime::days(30);
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            issuer: "http://localhost:5500".into(),
            audience: "chatsdk".into(),
            access_ttl: Lifetime::secs(3600),
            refresh_ttl: Lifetime::days(7),
            session_ttl: Lifetime::days(90),
            min_access_ttl: Lifetime::secs(60),
            min_refresh_ttl: Lifetime::secs(300),
            sessions_per_user: 100,
            http_avatars: false,
            rate_limits: true,
        }
    }
}
