//! Pairs: made out of what a host, a server or a storage gave, or refused.

use std::fmt;
use std::sync::Arc;

use chatsdk_types::Millis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clocks::Now;
use super::input::expiry;
use super::jwt::{read_claims, whole};

/// A pair of tokens, as your backend got it from `POST /auth/tokens`. May be stored as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Proves who calls; a JWT.
    pub access_token: String,
    /// Exchanged for the next pair. Empty where your backend keeps it (see `refresh_tokens`).
    #[serde(default)]
    pub refresh_token: String,
    /// When the access token expires: milliseconds since the Unix epoch, by the server's clock.
    pub expires_at: Millis,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A person, as the access token and the replies of the server describe one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct User {
    /// Your id of the person.
    pub id: String,
    /// The name to show.
    pub name: Option<String>,
    /// The address of a picture.
    pub avatar: Option<String>,
    /// Your own data, as your backend last sent it. For display; the server decides what is allowed.
    pub custom: Map<String, Value>,
}

impl User {
    /// Reads the members that a reply and the claims of a token have in common.
    fn read(id: &str, from: &Map<String, Value>) -> Self {
        let text = |name: &str| from.get(name)?.as_str().map(str::to_owned);
        Self {
            id: id.to_owned(),
            name: text("name"),
            avatar: text("avatar"),
            custom: match from.get("custom") {
                Some(Value::Object(custom)) => custom.clone(),
                _ => Map::new(),
            },
        }
    }
}

/// A pair, and what is known of it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) tokens: Tokens,
    /// The session it belongs to, where the token says.
    pub(crate) sid: Option<String>,
    /// Its place among the pairs of its user: a larger one is newer.
    pub(crate) rank: i64,
    /// The whole life of the access token, in ms.
    pub(crate) ttl: Millis,
    /// When anybody of this device received it: ms, by the device's wall clock.
    pub(crate) received_at: Millis,
    /// The clocks when `left` was worked out.
    anchor_wall: Millis,
    anchor_mono: Millis,
    /// How long the access token lived from then, in ms; negative when it had expired.
    pub(crate) left: Millis,
    /// Whom it speaks for.
    pub(crate) user: User,
}

/// What is known of a pair beside its tokens.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The whole life of the access token in ms, where the reply says it.
    pub(crate) ttl: Option<Millis>,
    /// How much of it is left, in ms, where that is better known than by comparing clocks.
    pub(crate) left: Option<Millis>,
    /// When it was received, device wall ms; worked out from the token where absent.
    pub(crate) received_at: Option<Millis>,
    pub(crate) user: Option<User>,
}

impl Pair {
    /// A pair whose access token is a JWT of `user_id`, or `None`.
    pub(crate) fn make(
        user_id: &str,
        tokens: Tokens,
        now: Now,
        origin: Origin,
    ) -> Option<Arc<Self>> {
        let claims = read_claims(&tokens.access_token)?;
        if claims.sub != user_id {
            return None;
        }
        let lifetime = match (claims.iat, claims.exp) {
            (Some(iat), Some(exp)) if exp > iat => {
                Some(exp.saturating_sub(iat).saturating_mul(1_000))
            }
            _ => None,
        };
        // A mint that finds a session again does not rotate it: of access tokens alone, which nothing but another one
        // replaces, the later one is the newer.
        let alone = claims.iat.filter(|_| tokens.refresh_token.is_empty());
        let minted = alone.map_or(i64::MIN, |iat| iat.saturating_mul(1_000));
        let until = tokens.expires_at.saturating_sub(now.server);
        let ttl = origin.ttl.or(lifetime).unwrap_or(until.max(1_000));
        // A device whose clock is behind would think that the token lives longer than it ever did.
        let left = origin.left.unwrap_or(until).min(ttl);
        Some(Arc::new(Self {
            sid: claims.sid,
            rank: claims.rc.unwrap_or(tokens.expires_at).max(minted),
            ttl,
            received_at: origin.received_at.unwrap_or(
                now.wall
                    .min(now.wall.saturating_sub(ttl.saturating_sub(left))),
            ),
            anchor_wall: now.wall,
            anchor_mono: now.mono,
            left,
            user: origin
                .user
                .unwrap_or_else(|| User::read(user_id, &claims.all)),
            tokens,
        }))
    }

    /// The pair of a reply of the server or of the host's `refresh_tokens`, or what is wrong with it.
    pub(crate) fn from_reply(
        user_id: &str,
        body: &Value,
        now: Now,
        hosted: bool,
    ) -> Result<Arc<Self>, &'static str> {
        let body = body.as_object().ok_or("the reply is not a JSON object")?;
        let access_token = match body.get("accessToken") {
            Some(Value::String(token)) if !token.is_empty() => token.clone(),
            _ => return Err("the reply has no accessToken"),
        };
        let refresh_token = match body.get("refreshToken") {
            Some(Value::String(token)) if !token.is_empty() || hosted => token.clone(),
            None | Some(Value::Null) if hosted => String::new(),
            _ => return Err("the reply has no refreshToken"),
        };
        // The server gives a number. A backend passes on what it likes, as to `connect`; where that is a date in words,
        // the token itself says the same.
        let said = body.get("expiresAt");
        let expires_at = if hosted {
            let number =
                said.and_then(|said| whole(said).or_else(|| said.as_str()?.trim().parse().ok()));
            expiry(
                number,
                read_claims(&access_token).and_then(|claims| claims.exp),
            )
        } else {
            said.and_then(whole).filter(|time| *time != 0)
        };
        let expires_at = expires_at.ok_or("the reply has no expiresAt")?;
        let ttl = body
            .get("expiresIn")
            .and_then(Value::as_f64)
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| (seconds * 1_000.0) as Millis);
        // The server's own two times, so that this device's clock has no say in it; or else all of the token's life,
        // which has just begun.
        let server_time = body.get("serverTime").and_then(whole);
        let left = Some(server_time.map_or(Millis::MAX, |time| expires_at.saturating_sub(time)));
        let user = body
            .get("user")
            .and_then(Value::as_object)
            .filter(|user| user.get("id").and_then(Value::as_str) == Some(user_id))
            .map(|user| User::read(user_id, user));
        let tokens = Tokens {
            access_token,
            refresh_token,
            expires_at,
        };
        let origin = Origin {
            ttl,
            left,
            received_at: Some(now.wall),
            user,
        };
        let pair = Self::make(user_id, tokens, now, origin)
            .ok_or("the reply is for another user, or its accessToken is not a JWT")?;
        if pair.ttl > 0 && pair.left > 0 {
            Ok(pair)
        } else {
            Err("the token of the reply has expired already")
        }
    }

    /// The same pair, received at another moment.
    pub(crate) fn received(&self, received_at: Millis) -> Arc<Self> {
        Arc::new(Self {
            tokens: self.tokens.clone(),
            sid: self.sid.clone(),
            user: self.user.clone(),
            received_at,
            ..*self
        })
    }

    /// Whether the access token lives, by both clocks.
    pub(crate) fn is_usable(&self, now: Now) -> bool {
        self.life_left(now) > 0
    }

    /// How long the access token lives, in ms: whichever clock has gone further decides, since either may
    /// stand.
    pub(crate) fn life_left(&self, now: Now) -> Millis {
        self.left.saturating_sub(self.elapsed(now))
    }

    /// How long ago the pair was taken up here, in ms.
    pub(crate) fn elapsed(&self, now: Now) -> Millis {
        (now.mono - self.anchor_mono)
            .max(now.wall - self.anchor_wall)
            .max(0)
    }

    /// How long ago anybody of this device received the pair, in ms.
    pub(crate) fn age(&self, now: Now) -> Millis {
        self.elapsed(now)
            .max(now.wall.saturating_sub(self.received_at))
    }
}
