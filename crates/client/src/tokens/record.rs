//! What stands in a storage.

use std::sync::Arc;

use chatsdk_types::Millis;
use serde::Serialize;
use serde_json::Value;

use super::clocks::Now;
use super::jwt::{read_claims, whole};
use super::pair::{Origin, Pair, Tokens};

/// The newest pair, or that the user logged out. The same shape in every SDK of the project.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Version of this shape.
    pub(crate) v: u8,
    /// Whose it is.
    #[serde(rename = "userID")]
    pub(crate) user_id: String,
    /// Counts logouts. Who knows of fewer has been logged out meanwhile, and saves nothing.
    pub(crate) generation: i64,
    #[serde(flatten)]
    pub(crate) tokens: Option<Tokens>,
    /// When the pair was received, ms since the Unix epoch by this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) received_at: Option<Millis>,
    /// How far the server's clock is ahead of this device's, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<Millis>,
    /// Refresh tokens of sessions that were logged out and that the server has not been told of yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) revoke: Vec<String>,
}

impl Record {
    pub(crate) fn new(user_id: &str, generation: i64) -> Self {
        Self {
            v: 1,
            user_id: user_id.to_owned(),
            generation,
            tokens: None,
            received_at: None,
            offset: None,
            revoke: Vec::new(),
        }
    }

    /// Reads our record, or a bare pair that an app wrote there itself. What is corrupt is as good as
    /// nothing, and the next save repairs it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let members = value.as_object()?;
        let text = |name: &str| members.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| members.get(name).and_then(whole);
        let access_token = text("accessToken");
        let user_id =
            text("userID").or_else(|| Some(read_claims(access_token.as_deref()?)?.sub))?;
        let tokens = (|| {
            Some(Tokens {
                access_token: access_token.clone()?,
                refresh_token: text("refreshToken")?,
                expires_at: number("expiresAt")?,
            })
        })();
        let revoke = match members.get("revoke") {
            Some(Value::Array(tokens)) => tokens
                .iter()
                .filter_map(|token| token.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        Some(Self {
            v: 1,
            user_id,
            generation: number("generation").unwrap_or(0),
            tokens,
            received_at: number("receivedAt"),
            offset: number("offset"),
            revoke,
        })
    }

    pub(crate) fn text(&self) -> String {
        // Our own types are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The pair in it, or `None` where there is none.
    pub(crate) fn pair(&self, now: Now) -> Option<Arc<Pair>> {
        let origin = Origin {
            received_at: self.received_at.map(|at| at.min(now.wall)),
            ..Origin::default()
        };
        Pair::make(&self.user_id, self.tokens.clone()?, now, origin)
    }
}
