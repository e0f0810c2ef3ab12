//! Identifiers, one type each.
//!
//! What we name ourselves is a `TypeID`: a prefix, an underscore and a `UUIDv7` in 26 characters of
//! Crockford's base 32, so that ids sort by the time they were made and say what they name. A
//! [`UserId`] is the host's own word for a person and is kept byte for byte.

use std::fmt;
use std::str::FromStr;

use crate::{Entropy, Millis, entropy};

/// Text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: {why}")]
pub struct BadId {
    /// What was wanted: `session`, `user`, …
    pub kind: &'static str,
    /// What is wrong with what came, as the end of a sentence.
    pub why: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A `UUIDv7` of the moment `now` in base 32, as `TypeID` writes it: 26 characters, the first of which
/// carries only three bits.
fn time_ordered(now: Millis, chance: &dyn Entropy) -> String {
    let random = entropy::bytes::<10>(chance);
    let millis = u64::try_from(now).unwrap_or(0);
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .as_u128();
    (0..26)
        .map(|digit| char::from(ALPHABET[(uuid >> (125 - 5 * digit)) as usize & 31]))
        .collect()
}

fn is_suffix(text: &str) -> bool {
    text.len() == 26
        && text.as_bytes()[0] <= b'7'
        && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

macro_rules! type_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The prefix of every id of this kind, with its underscore.
            pub const PREFIX: &'static str = concat!($prefix, "_");

            /// A new id that sorts after those made before `now`.
            pub fn new(now: Millis, chance: &dyn Entropy) -> Self {
                Self(format!("{}{}", Self::PREFIX, time_ordered(now, chance)).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                match text.strip_prefix(Self::PREFIX) {
                    Some(suffix) if is_suffix(suffix) => Ok(Self(text.into())),
                    _ => Err(BadId { kind: $kind, why: concat!("it is written ", $prefix, "_ and 26 characters") }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

type_ids! {
    /// A tenant: one app of one team. Every table of tenants is keyed by it.
    AppId = "app", "app";
    /// A session: one device or browser of one person, from its mint to its end.
    SessionId = "ses", "session";
}

/// The public part of an API key: eight characters of `0-9A-Za-z`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// How many characters a key id has.
    pub const LEN: usize = 8;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.len() == Self::LEN && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text.into()))
        } else {
            Err(BadId {
                kind: "API key",
                why: "it is eight letters and digits",
            })
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host's own id of a person: 1 to 128 bytes, compared byte for byte and never normalised,
/// because two people folded into one is an account taken over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Box<str>);

impl UserId {
    /// The longest user id, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 128;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = |why| Err(BadId { kind: "user", why });
        if text.is_empty() {
            return bad("it is empty");
        }
        if text.len() > Self::MAX_BYTES {
            return bad("it is longer than 128 bytes");
        }
        if matches!(text, "." | "..") {
            return bad("it is a step in a path, so no address could name it");
        }
        if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            return bad("it begins or ends with white space");
        }
        if text.chars().any(is_invisible_control) {
            return bad("it has a control character or a text-direction override in it");
        }
        Ok(Self(text.into()))
    }
}

/// Characters that make two ids look alike, or one look like another: C0, C1, the direction
/// overrides and isolates of Unicode, and its invisible separators.
fn is_invisible_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn new_ids_parse_and_sort_by_time() {
        let early = SessionId::new(1_700_000_000_000, &SystemEntropy);
        let late = SessionId::new(1_700_000_000_001, &SystemEntropy);
        assert!(early < late);
        assert_eq!(early.as_str().parse::<SessionId>().as_ref(), Ok(&early));
        assert_eq!(early.as_str().len(), 30);
    }

    #[test]
    fn a_session_id_is_no_app_id() {
        let session = SessionId::new(1, &SystemEntropy);
        assert!(session.as_str().parse::<AppId>().is_err());
        assert!(
            "ses_8zzzzzzzzzzzzzzzzzzzzzzzzz"
                .parse::<SessionId>()
                .is_err(),
            "more than 128 bits"
        );
        assert!("ses_".parse::<SessionId>().is_err());
    }

    #[test]
    fn user_ids_are_kept_byte_for_byte() {
        for good in ["user-123", "42", "ünï", "👩‍👩‍👧", "a b", &"x".repeat(128)] {
            assert_eq!(
                good.parse::<UserId>().map(|id| id.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            ".",
            "..",
            "",
            " ",
            " a",
            "a ",
            "a\0",
            "a\u{202e}b",
            "a\u{61c}b",
            "a\nb",
            &"x".repeat(129),
        ] {
            assert!(bad.parse::<UserId>().is_err(), "{bad:?}");
        }
    }
}
