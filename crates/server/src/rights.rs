//! What the `permissions` of a token's custom object allow in topics.
//!
//! - No list: everything. Most apps have no use for it.
//! - A list with `read`, `write` or `delete` in it: what stands there and nothing else.
//! - An empty list: nothing. Somebody has written it down that there are none.
//! - A list of other words alone: everything. They belong to the application, which had them before it had
//!   this server.
//!
//! A refresh reads it anew: what is no longer there ends, subscriptions included.

use chatsdk_realtime::Identity;
use serde::Deserialize;

/// Rights as bits, to travel with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights(u32);

const READ: u32 = 1;
const WRITE: u32 = 2;

/// The words there are. One of them in a token restricts its bearer to those that stand there; other
/// words mean nothing.
const WORDS: [(&str, u32); 3] = [("read", READ), ("write", WRITE), ("delete", 0)];

#[derive(Deserialize)]
struct Custom {
    #[serde(default)]
    permissions: serde_json::Value,
}

impl Rights {
    const ALL: Self = Self(READ | WRITE);

    /// The rights that a custom object gives.
    pub(crate) fn read(custom: Option<&str>) -> Self {
        let Some(Ok(Custom { permissions })) = custom.map(serde_json::from_str) else {
            return Self::ALL;
        };
        let Some(words) = permissions.as_array() else {
            return Self::ALL;
        };
        if words.is_empty() {
            return Self(0);
        }
        let known = words.iter().filter_map(|word| {
            let bits = WORDS.iter().find(|(known, _)| word == known)?;
            Some(bits.1)
        });
        known.reduce(|all, bits| all | bits).map_or(Self::ALL, Self)
    }

    /// Those of a connection.
    pub(crate) fn of(identity: &Identity) -> Self {
        Self(identity.rights)
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// May listen.
    pub(crate) fn may_read(self) -> bool {
        self.0 & READ != 0
    }

    /// May speak.
    pub(crate) fn may_write(self) -> bool {
        self.0 & WRITE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_restrict_and_others_mean_nothing() {
        for (custom, read, write) in [
            (None, true, true),
            (Some("{}"), true, true),
            (Some(r#"{"permissions":[]}"#), false, false),
            (Some(r#"{"permissions":null}"#), true, true),
            (Some(r#"{"permissions":["fly"]}"#), true, true),
            (Some(r#"{"permissions":"read"}"#), true, true),
            (Some(r#"{"permissions":["read"]}"#), true, false),
            (Some(r#"{"permissions":["write","fly"]}"#), false, true),
            (Some(r#"{"permissions":["read","write"]}"#), true, true),
            (Some(r#"{"permissions":["delete"]}"#), false, false),
        ] {
            let rights = Rights::read(custom);
            assert_eq!(
                (rights.may_read(), rights.may_write()),
                (read, write),
                "{custom:?}"
            );
        }
    }
}
