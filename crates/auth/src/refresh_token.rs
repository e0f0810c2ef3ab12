//! Refresh tokens. They look like JWTs and are opaque to everyone but this file:
//! `{"alg":"HS256","kid":…,"typ":"rt+jwt"}.{"sid":…,"n":…,"exp":…}.MAC`.
//!
//! A token is a function of its session, counter, expiry and key, so the same successor can be
//! answered again byte for byte and nothing secret is stored. It has one spelling: reading takes
//! no JSON parser, it compares with what writing would have written. What is forged dies here,
//! before any database is asked.

use std::fmt;
use std::io::Write as _;

use aws_lc_rs::hmac;
use chatsdk_types::{Millis, SessionId};

use crate::jws::base64url;
use crate::jws::compact::{Compact, append_base64url, array_from_base64url, from_base64url};
use crate::secret::DeploymentSecret;

/// The longest text that is looked at. Ours have about 200 characters.
pub const MAX_LEN: usize = 512;

/// What a refresh token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshClaims {
    /// The session that it belongs to.
    pub sid: SessionId,
    /// Its counter in the session; from 1 up.
    pub n: i64,
    /// When it expires unless a later rotation says otherwise.
    pub exp: Millis,
}

/// A text that is no refresh token of this deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token of this deployment")]
pub struct Forged;

/// A key that refresh tokens are authenticated with, and the header of the tokens that are.
#[derive(Clone)]
pub struct RefreshKey {
    kid: Box<str>,
    /// The header as it stands in every token of this key, encoded.
    header: Box<str>,
    mac: hmac::Key,
}

impl RefreshKey {
    pub(crate) fn new(kid: &str, key: &[u8; 32]) -> Self {
        let header = serde_json::json!({ "alg": "HS256", "kid": kid, "typ": "rt+jwt" });
        Self {
            kid: kid.into(),
            header: base64url(header.to_string().as_bytes()).into(),
            mac: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    /// Its name in the header of a token.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl fmt::Debug for RefreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshKey({})", self.kid)
    }
}

/// The refresh keys of a deployment: one that new tokens are made with, and older ones for as long as a
/// session lives.
#[derive(Debug, Clone)]
pub struct RefreshKeys {
    current: RefreshKey,
    older: Vec<RefreshKey>,
}

impl RefreshKeys {
    /// The keys that hang on `secret`, the first of a deployment.
    pub fn new(secret: &DeploymentSecret) -> Self {
        Self::of(secret, 1, None)
    }

    /// The keys that hang on `secret`, the deployment's `generation`-th, and on the one before it.
    pub fn of(
        secret: &DeploymentSecret,
        generation: u32,
        previous: Option<&DeploymentSecret>,
    ) -> Self {
        let older = previous.filter(|_| generation > 1);
        let key = |secret: &DeploymentSecret, number: u32| secret.refresh_key(&number.to_string());
        Self::with(
            key(secret, generation),
            older
                .map(|older| key(older, generation - 1))
                .into_iter()
                .collect(),
        )
    }

    /// `current` for new tokens, `older` for those that are out.
    pub fn with(current: RefreshKey, older: Vec<RefreshKey>) -> Self {
        Self { current, older }
    }

    /// The name of the key that new tokens are made with.
    pub fn current(&self) -> &str {
        self.current.kid()
    }

    /// The key of this name.
    pub fn get(&self, kid: &str) -> Option<&RefreshKey> {
        self.all().find(|key| *key.kid == *kid)
    }

    fn all(&self) -> impl Iterator<Item = &RefreshKey> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

const BEFORE_SID: &[u8] = br#"{"sid":""#;
const BEFORE_N: &[u8] = br#"","n":"#;
const BEFORE_EXP: &[u8] = br#","exp":"#;
const END: &[u8] = b"}";

/// The token that says `claims`; always the same for the same claims and key. Counters below 1 and
/// expiries before 1970 are never issued, and a token with one is not read again.
pub fn encode(claims: &RefreshClaims, key: &RefreshKey) -> String {
    let mut payload = Vec::with_capacity(96);
    payload.extend_from_slice(BEFORE_SID);
    payload.extend_from_slice(claims.sid.as_str().as_bytes());
    payload.extend_from_slice(BEFORE_N);
    append_number(claims.n, &mut payload);
    payload.extend_from_slice(BEFORE_EXP);
    append_number(claims.exp, &mut payload);
    payload.extend_from_slice(END);

    let mut token = String::with_capacity(key.header.len() + payload.len() * 4 / 3 + 48);
    token.push_str(&key.header);
    token.push('.');
    append_base64url(&payload, &mut token);
    let mac = hmac::sign(&key.mac, token.as_bytes());
    token.push('.');
    append_base64url(mac.as_ref(), &mut token);
    token
}

fn append_number(number: i64, text: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(text, "{number}");
}

/// Reads a refresh token of this deployment. The comparison of its MAC takes the same time wherever they
/// differ.
pub fn decode(token: &str, keys: &RefreshKeys) -> Result<RefreshClaims, Forged> {
    if token.len() > MAX_LEN {
        return Err(Forged);
    }
    let parts = Compact::split(token).ok_or(Forged)?;
    let key = keys
        .all()
        .find(|key| *key.header == *parts.header)
        .ok_or(Forged)?;
    let mac = array_from_base64url::<32>(parts.signature).ok_or(Forged)?;
    hmac::verify(&key.mac, parts.signed.as_bytes(), &mac).map_err(|_| Forged)?;
    let payload = from_base64url(parts.payload).ok_or(Forged)?;
    read(&payload).ok_or(Forged)
}

/// Whether a token that was not read calls itself one of a later secret than the current one: made where the secret
/// was changed already, or forged, which only somebody with that secret can tell.
pub(crate) fn is_of_later_key(token: &str, keys: &RefreshKeys) -> bool {
    let number = |kid: &str| kid.parse::<u32>().ok();
    if token.len() > MAX_LEN {
        return false;
    }
    let said = || {
        let header = Compact::split(token)?.header;
        let header: serde_json::Value = serde_json::from_slice(&from_base64url(header)?).ok()?;
        number(header["kid"].as_str()?)
    };
    number(keys.current()).is_some_and(|current| said().is_some_and(|said| said > current))
}

fn read(payload: &[u8]) -> Option<RefreshClaims> {
    const SID_LEN: usize = 30;
    let (sid, rest) = payload
        .strip_prefix(BEFORE_SID)?
        .split_at_checked(SID_LEN)?;
    let sid = std::str::from_utf8(sid).ok()?.parse().ok()?;
    let (n, rest) = read_number(rest.strip_prefix(BEFORE_N)?)?;
    let (exp, rest) = read_number(rest.strip_prefix(BEFORE_EXP)?)?;
    (rest == END).then_some(RefreshClaims { sid, n, exp })
}

/// A number from 1 up, without a sign and without leading zeros, and what stands behind it.
fn read_number(text: &[u8]) -> Option<(i64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    if number.first().is_none_or(|digit| *digit == b'0') {
        return None;
    }
    let number = number.iter().try_fold(0_i64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    })?;
    Some((number, rest))
}
