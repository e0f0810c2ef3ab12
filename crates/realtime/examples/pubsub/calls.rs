//! The bodies of calls and their answers. What clients said is passed on as it came: it is never read into
//! numbers and strings of this program, which could not hold all that JSON can spell.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatsdk_realtime::{ClientInfo, ErrorCode, Kept, Payload, Position, Publication};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

// A member that is not known is an error: a call that leaves out half of what was asked may do too much.

/// `publish` has a channel, `broadcast` several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishCall<'a> {
    #[serde(default)]
    pub(crate) channel: String,
    #[serde(default)]
    pub(crate) channels: Vec<String>,
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) delta: bool,
    #[serde(default)]
    pub(crate) idempotency_key: String,
    #[serde(default)]
    pub(crate) version: u64,
    #[serde(default)]
    pub(crate) version_epoch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryCall {
    pub(crate) channel: String,
    #[serde(default)]
    pub(crate) limit: i64,
    pub(crate) since: Option<Since>,
    #[serde(default)]
    pub(crate) reverse: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    #[serde(default)]
    pub(crate) offset: u64,
    #[serde(default)]
    pub(crate) epoch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Channel {
    pub(crate) channel: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserInChannel {
    pub(crate) user: String,
    pub(crate) channel: String,
}

/// What every call is answered with.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer<T> {
    Result(T),
    Error(Failure),
}

#[derive(Serialize)]
pub(crate) struct Failure {
    code: u32,
    message: &'static str,
}

impl<T> From<Result<T, ErrorCode>> for Answer<T> {
    fn from(outcome: Result<T, ErrorCode>) -> Self {
        match outcome {
            Ok(result) => Self::Result(result),
            Err(code) => Self::Error(Failure {
                code: code.code(),
                message: code.message(),
            }),
        }
    }
}

/// `{}`
#[derive(Serialize)]
pub(crate) struct Done {}

/// Where a publication stands; nothing in a channel without history.
#[derive(Serialize)]
pub(crate) struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

impl From<Option<Position>> for Published {
    fn from(position: Option<Position>) -> Self {
        let (offset, epoch) = position.map(|it| (it.offset, it.epoch.to_string())).unzip();
        Self { offset, epoch }
    }
}

#[derive(Serialize)]
pub(crate) struct Responses {
    pub(crate) responses: Vec<Answer<Published>>,
}

#[derive(Serialize)]
pub(crate) struct Info {
    pub(crate) connections: usize,
    pub(crate) channels: usize,
    pub(crate) queued_bytes: usize,
}

#[derive(Serialize)]
pub(crate) struct PresenceStats {
    pub(crate) num_clients: usize,
    pub(crate) num_users: usize,
}

#[derive(Serialize)]
pub(crate) struct Presence<'a> {
    presence: BTreeMap<&'a str, Somebody<'a>>,
}

impl<'a> Presence<'a> {
    pub(crate) fn of(present: &'a [Arc<ClientInfo>]) -> Self {
        let presence = present.iter();
        Self {
            presence: presence
                .map(|info| (&*info.client, Somebody::of(info)))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Somebody<'a> {
    user: &'a str,
    client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64conn_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chan_info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64chan_info: Option<String>,
}

impl<'a> Somebody<'a> {
    fn of(info: &'a ClientInfo) -> Self {
        Self {
            user: &info.user,
            client: &info.client,
            conn_info: info.conn_info.as_ref().raw_value(),
            b64conn_info: base64(&info.conn_info),
            chan_info: info.chan_info.as_ref().raw_value(),
            b64chan_info: base64(&info.chan_info),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Past<'a> {
    publications: Vec<Said<'a>>,
    offset: u64,
    epoch: &'a str,
}

impl<'a> Past<'a> {
    /// `None`: it does not go on from where the caller was.
    pub(crate) fn of(kept: &'a Kept) -> Option<Self> {
        let publications = kept.publications.as_ref()?.iter();
        Some(Self {
            publications: publications
                .map(|publication| Said::of(publication))
                .collect(),
            offset: kept.top.offset,
            epoch: &kept.top.epoch,
        })
    }
}

#[derive(Serialize)]
struct Said<'a> {
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Somebody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a BTreeMap<String, String>>,
    time: i64,
}

impl<'a> Said<'a> {
    fn of(publication: &'a Publication) -> Self {
        Self {
            offset: publication.offset,
            data: publication.data.as_ref().raw_value(),
            b64data: base64(&publication.data),
            info: publication.info.as_deref().map(Somebody::of),
            tags: publication.tags.as_deref(),
            time: publication.time,
        }
    }
}

/// Bytes that are not JSON, as text.
fn base64(payload: &Payload) -> Option<String> {
    let is_other = !payload.is_empty() && !payload.is_json();
    is_other.then(|| STANDARD.encode(payload.bytes()))
}
