//! Connection and subscription tokens: JWTs under HS256.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chatsdk_realtime::Payload;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    Invalid,
    Expired,
}

/// What a connection token says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Connection {
    pub(crate) sub: String,
    pub(crate) exp: i64,
    pub(crate) nbf: i64,
    /// When the connection ends, apart from the token; 0: never.
    pub(crate) expire_at: Option<i64>,
    pub(crate) info: Option<Box<RawValue>>,
    pub(crate) b64info: String,
    /// Channels that the client listens to without asking.
    pub(crate) channels: Vec<String>,
    pub(crate) subs: BTreeMap<String, Sub>,
    /// Only subscription tokens have one.
    pub(crate) channel: Option<String>,
}

impl Connection {
    /// What stands for the channels that the token gives: another one, other channels.
    pub(crate) fn fingerprint(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.channels.hash(&mut hasher);
        for (channel, sub) in &self.subs {
            let raw = |value: &Option<Box<RawValue>>| value.as_ref().map(ToString::to_string);
            channel.hash(&mut hasher);
            (raw(&sub.info), raw(&sub.data)).hash(&mut hasher);
            (&sub.b64info, &sub.b64data).hash(&mut hasher);
        }
        hasher.finish() as u32
    }
}

/// A channel that the client listens to without asking.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sub {
    pub(crate) info: Option<Box<RawValue>>,
    pub(crate) b64info: String,
    pub(crate) data: Option<Box<RawValue>>,
    pub(crate) b64data: String,
}

/// What a subscription token says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Subscription {
    pub(crate) sub: String,
    pub(crate) channel: String,
    pub(crate) client: String,
    pub(crate) exp: i64,
    pub(crate) nbf: i64,
    pub(crate) expire_at: Option<i64>,
    pub(crate) info: Option<Box<RawValue>>,
    pub(crate) b64info: String,
    pub(crate) data: Option<Box<RawValue>>,
    pub(crate) b64data: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// The claims of `token`, if it is signed with `secret`. Times are looked at by [`timely`].
pub(crate) fn claims<T: DeserializeOwned>(token: &str, secret: &str) -> Result<T, Bad> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Bad::Invalid)?;
    let (header, body) = signed.split_once('.').ok_or(Bad::Invalid)?;
    let header: Header = part(header)?;
    if header.alg != "HS256" || secret.is_empty() {
        return Err(Bad::Invalid);
    }
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Bad::Invalid)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &signature).map_err(|_| Bad::Invalid)?;
    part(body)
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Bad> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Bad::Invalid)?;
    serde_json::from_slice(&bytes).map_err(|_| Bad::Invalid)
}

/// Whether a token with these times holds at `now` (seconds), and until when what it is for lasts, in
/// milliseconds.
pub(crate) fn timely(
    exp: i64,
    nbf: i64,
    expire_at: Option<i64>,
    now: i64,
) -> Result<Option<i64>, Bad> {
    if nbf > now {
        return Err(Bad::Invalid);
    }
    if exp != 0 && exp <= now {
        return Err(Bad::Expired);
    }
    let until = expire_at.unwrap_or(exp);
    Ok((until != 0).then(|| until * 1000))
}

/// A payload as claims spell it: JSON, or any bytes in base64.
pub(crate) fn payload(json: Option<&RawValue>, base64: &str) -> Payload {
    match json {
        Some(json) => json.into(),
        None => Payload::new(STANDARD.decode(base64).unwrap_or_default()),
    }
}
