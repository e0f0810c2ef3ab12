//! What applications say: opaque bytes, with a note of whether they are JSON.
//!
//! In Protobuf a payload is any bytes; in JSON it stands as a value of its own inside the envelope.
//! Bytes that are not JSON can therefore not be sent to a JSON client, and bytes that merely *begin*
//! as JSON could forge the envelope's members. So a payload is checked once, when it comes in, as one
//! value on its own, and the note travels with it.

use std::fmt;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::json::{MAX_DEPTH, deeper_than};

/// A payload that cannot stand in JSON. The connection that it was meant for ends with
/// [`crate::DisconnectCode::InappropriateProtocol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is not JSON")]
pub struct NotJson;

/// A payload that is kept: clones share the bytes. The empty payload is the absent one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    bytes: Bytes,
    json: bool,
}

/// A payload inside the frame that it came in. The empty payload is the absent one.
#[derive(Clone, Copy, Default)]
pub struct PayloadRef<'a> {
    bytes: &'a [u8],
    /// Known to be JSON. If not, it still may be.
    json: bool,
}

impl PartialEq for PayloadRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PayloadRef<'_> {}

impl Payload {
    /// Any bytes, looked at once to see whether they are one JSON value.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let json = is_json(&bytes);
        Self { bytes, json }
    }

    /// The JSON string that holds `text`.
    pub fn json_string(text: &str) -> Self {
        let mut out = bytes::BytesMut::with_capacity(text.len() + 16);
        crate::schema::write_json_string(text, &mut out);
        Self {
            bytes: out.freeze(),
            json: true,
        }
    }

    /// The bytes, as they came in.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether the bytes are one JSON value.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether there is no payload.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The same, borrowed.
    pub fn as_ref(&self) -> PayloadRef<'_> {
        PayloadRef {
            bytes: &self.bytes,
            json: self.json,
        }
    }
}

impl<'a> PayloadRef<'a> {
    /// Any bytes, looked at once to see whether they are one JSON value.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            json: is_json(bytes),
        }
    }

    /// A value inside a document whose depth was looked at.
    pub(crate) fn of_document(value: &'a RawValue) -> Self {
        Self {
            bytes: value.get().as_bytes(),
            json: true,
        }
    }

    /// Bytes that nobody has looked at: [`Self::is_json`] will.
    pub(crate) const fn unchecked(bytes: &'a [u8]) -> Self {
        Self { bytes, json: false }
    }

    /// The bytes, as they came in.
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the bytes are one JSON value. Free of cost for what came in as JSON; otherwise the
    /// bytes are looked at, each time.
    pub fn is_json(self) -> bool {
        self.json || is_json(self.bytes)
    }

    /// Whether there is no payload.
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The payload as JSON, or `None` when it is absent or something else.
    pub fn raw_value(self) -> Option<&'a RawValue> {
        if !self.is_json() {
            return None;
        }
        serde_json::from_slice(self.bytes).ok()
    }

    /// A copy to keep.
    pub fn to_payload(self) -> Payload {
        Payload {
            json: self.is_json(),
            bytes: Bytes::copy_from_slice(self.bytes),
        }
    }
}

impl<'a> From<&'a RawValue> for PayloadRef<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self {
            bytes: value.get().as_bytes(),
            json: !deeper_than(value.get(), MAX_DEPTH),
        }
    }
}

/// JSON is not looked at again, but for its depth: what nests deeper than any client takes is no JSON
/// here either.
impl From<&RawValue> for Payload {
    fn from(value: &RawValue) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(value.get().as_bytes()),
            json: !deeper_than(value.get(), MAX_DEPTH),
        }
    }
}

/// As from a borrowed one.
impl From<Box<RawValue>> for Payload {
    fn from(value: Box<RawValue>) -> Self {
        let json = !deeper_than(value.get(), MAX_DEPTH);
        Self {
            bytes: Bytes::from(Box::<str>::from(value).into_boxed_bytes()),
            json,
        }
    }
}

// Payloads are other people's words: logs get their length.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for PayloadRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("len", &self.bytes.len())
            .field("json", &self.json)
            .finish()
    }
}

fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        !deeper_than(text, MAX_DEPTH) && serde_json::from_str::<IgnoredAny>(text).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_value_is_json() {
        for good in [
            "null",
            " 1 ",
            "\"\\ud800\"",
            "{\"a\":[1e999]}",
            "\n[]\n",
            "123456789012345678901234567890",
        ] {
            assert!(Payload::new(good).is_json(), "{good}");
        }
        for bad in [
            &b""[..],
            b"1,\"offset\":99",
            b"{} {}",
            b"\xff",
            b"\"\xff\"",
            b"nul",
            b"01",
            b"'a'",
            b"{\"a\":}",
        ] {
            assert!(!Payload::new(bad).is_json(), "{bad:?}");
        }
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        assert!(!Payload::new(deep.clone()).is_json());
        let deep = RawValue::from_string(deep).unwrap();
        assert!(!Payload::from(&*deep).is_json());
        assert!(!PayloadRef::from(&*deep).is_json());
        assert!(!Payload::from(deep).is_json());
        let flat = RawValue::from_string("[1e999]".to_owned()).unwrap();
        assert!(Payload::from(flat).is_json());
    }

    #[test]
    fn logs_do_not_show_it() {
        assert_eq!(
            format!("{:?}", Payload::new("\"secret\"")),
            "Payload { len: 8, json: true }"
        );
    }
}
