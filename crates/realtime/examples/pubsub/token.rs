//! Connection and subscription tokens: JWTs under HS256.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chatsdk_realtime::{Payload, TopicOptions};
use chatsdk_types::Millis;
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
    pub(crate) exp: Moment,
    pub(crate) nbf: Moment,
    /// When the connection ends, apart from the token; 0: never.
    pub(crate) expire_at: Option<Moment>,
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
            (&sub.b64info, &sub.b64data, sub.overrides).hash(&mut hasher);
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
    #[serde(rename = "override")]
    pub(crate) overrides: Overrides,
}

/// What a subscription token says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Subscription {
    pub(crate) sub: String,
    pub(crate) channel: String,
    pub(crate) client: String,
    pub(crate) exp: Moment,
    pub(crate) nbf: Moment,
    pub(crate) expire_at: Option<Moment>,
    pub(crate) info: Option<Box<RawValue>>,
    pub(crate) b64info: String,
    pub(crate) data: Option<Box<RawValue>>,
    pub(crate) b64data: String,
    #[serde(rename = "override")]
    pub(crate) overrides: Overrides,
}

/// A moment as claims spell it, in seconds since 1970, with a fraction or without (RFC 7519, "NumericDate");
/// here in milliseconds. What lies beyond the years that calendars know is cut off there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "f64")]
pub(crate) struct Moment(Millis);

impl From<f64> for Moment {
    fn from(seconds: f64) -> Self {
        const FAR: f64 = 8.64e15;
        Self((seconds * 1000.0).clamp(-FAR, FAR) as Millis)
    }
}

/// What a token changes in how its channel behaves towards this subscriber. A token that changes something
/// else, such as whether its subscriber is seen by others (`presence`), is refused rather than half obeyed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Overrides {
    join_leave: Option<Switch>,
    force_push_join_leave: Option<Switch>,
    force_positioning: Option<Switch>,
    force_recovery: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
struct Switch {
    value: bool,
}

impl Overrides {
    /// `options` with these changes.
    pub(crate) fn apply(self, options: Arc<TopicOptions>) -> Arc<TopicOptions> {
        if self == Self::default() {
            return options;
        }
        let or = |switch: Option<Switch>, was| switch.map_or(was, |switch| switch.value);
        Arc::new(TopicOptions {
            join_leave: or(self.join_leave, options.join_leave),
            force_push_join_leave: or(self.force_push_join_leave, options.force_push_join_leave),
            force_positioning: or(self.force_positioning, options.force_positioning),
            force_recovery: or(self.force_recovery, options.force_recovery),
            ..TopicOptions::clone(&options)
        })
    }
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

/// Whether a token with these times holds at `now`, and until when what it is for lasts.
pub(crate) fn timely(
    exp: Moment,
    nbf: Moment,
    expire_at: Option<Moment>,
    now: Millis,
) -> Result<Option<Millis>, Bad> {
    if nbf.0 > now {
        return Err(Bad::Invalid);
    }
    if exp.0 != 0 && exp.0 <= now {
        return Err(Bad::Expired);
    }
    let until = expire_at.unwrap_or(exp).0;
    Ok((until != 0).then_some(until))
}

/// A payload as claims spell it: JSON, or any bytes in base64.
pub(crate) fn payload(json: Option<&RawValue>, base64: &str) -> Result<Payload, Bad> {
    match json {
        Some(json) => Some(Payload::from(json)).filter(Payload::is_json),
        None => STANDARD.decode(base64).ok().map(Payload::new),
    }
    .ok_or(Bad::Invalid)
}
