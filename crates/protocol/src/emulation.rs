//! The body of a post to `/emulation`: commands that come beside a connection which goes one way only.

use std::borrow::Cow;

use crate::schema::message;
use crate::{Encoding, PayloadRef, Undecodable, json, protobuf};

/// What is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulationRequest<'a> {
    /// The node that holds the connection.
    pub node: Cow<'a, str>,
    /// The connection's secret.
    pub session: Cow<'a, str>,
    /// The commands, for [`Encoding::commands`] in the same encoding.
    pub data: Cow<'a, [u8]>,
}

message! {
    struct InJson<'a> {
        [1 "node"] node: Cow<'a, str>,
        [2 "session"] session: Cow<'a, str>,
        [3 "data"] data: Cow<'a, str>,
    }
}

message! {
    struct InProtobuf<'a> {
        [1 "node"] node: Cow<'a, str>,
        [2 "session"] session: Cow<'a, str>,
        [3 "data"] data: PayloadRef<'a>,
    }
}

impl<'a> EmulationRequest<'a> {
    /// What `body` holds.
    pub fn decode(encoding: Encoding, body: &'a [u8]) -> Result<Self, Undecodable> {
        match encoding {
            Encoding::Json => {
                let text = std::str::from_utf8(body).map_err(|_| Undecodable::NotUtf8)?;
                let InJson {
                    node,
                    session,
                    data,
                } = json::read(text)?;
                let data = match data {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                };
                Ok(Self {
                    node,
                    session,
                    data,
                })
            }
            Encoding::Protobuf => {
                let InProtobuf {
                    node,
                    session,
                    data,
                } = protobuf::read(body)?;
                let data = Cow::Borrowed(data.bytes());
                Ok(Self {
                    node,
                    session,
                    data,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings() {
        let json = br#"{"session":"s","node":"n","data":"{\"id\":1,\"ping\":{}}\n{}"}"#;
        let read = EmulationRequest::decode(Encoding::Json, json).expect("it is a request");
        assert_eq!((read.session.as_ref(), read.node.as_ref()), ("s", "n"));
        assert_eq!(
            Encoding::Json
                .commands(&read.data)
                .filter_map(Result::ok)
                .count(),
            2
        );

        let protobuf = b"\x0a\x01n\x12\x01s\x1a\x05\x04\x08\x01\x5a\x00";
        let read = EmulationRequest::decode(Encoding::Protobuf, protobuf).expect("it is a request");
        assert_eq!((read.session.as_ref(), read.node.as_ref()), ("s", "n"));
        assert_eq!(
            Encoding::Protobuf
                .commands(&read.data)
                .filter_map(Result::ok)
                .count(),
            1
        );
    }

    #[test]
    fn others_are_refused() {
        for body in [&b""[..], b"[]", b"\xff", b"{\"data\":{}}", b"{\"node\":1}"] {
            assert!(EmulationRequest::decode(Encoding::Json, body).is_err());
        }
        assert!(EmulationRequest::decode(Encoding::Protobuf, b"\x0a").is_err());
    }
}
