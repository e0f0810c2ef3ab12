//! What commands, replies and pushes have in common.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use serde::Deserializer;

use crate::payload::Payload;
use crate::schema::wire::Value;
use crate::schema::{Decode, Encode, message};
use crate::{NotJson, Undecodable};

/// What a publication is labelled with, for filters.
pub type Tags = BTreeMap<String, String>;

message! {
    /// Who a client is, as others in a channel see it.
    pub struct ClientInfo {
        /// The person; empty when nobody knows.
        [1 "user" always]
        pub user: Arc<str>,
        /// The connection.
        [2 "client" always]
        pub client: Arc<str>,
        /// What the application said about the connection.
        [3 "conn_info"]
        pub conn_info: Payload,
        /// What the application said about the connection in this channel.
        [4 "chan_info"]
        pub chan_info: Payload,
    }
}

message! {
    /// Something said in a channel. Clones share everything.
    pub struct Publication {
        /// What was said. In JSON, a subscription with delta has it as a string: the text, or the delta.
        [4 "data"]
        pub data: Payload,
        /// Who said it, when it was a client.
        [5 "info"]
        pub info: Option<Arc<ClientInfo>>,
        /// Its number in the channel's stream, from 1; 0: the channel has none.
        [6 "offset"]
        pub offset: u64,
        /// What it is labelled with.
        [7 "tags"]
        pub tags: Option<Arc<Tags>>,
        /// Whether `data` is a delta to the publication before.
        [8 "delta"]
        pub delta: bool,
        /// When it was said, in milliseconds since 1970; 0: not told.
        [9 "time"]
        pub time: i64,
        /// Its own channel, in a subscription to many.
        [10 "channel"]
        pub channel: Option<Arc<str>>,
        /// What it is the value of, in map and shared-poll channels.
        [11 "key"]
        pub key: Option<Arc<str>>,
        /// Whether the key is gone.
        [12 "removed"]
        pub removed: bool,
        /// What keys are sorted by.
        [13 "score"]
        pub score: Signed,
        /// The generation of the stream that `offset` counts in, where a client could not know it.
        [14 "epoch"]
        pub epoch: Option<Arc<str>>,
        /// The version of the value of `key`.
        [16 "version"]
        pub version: u64,
    }
}

/// A number that Protobuf writes in a way that keeps negative ones short (`sint64`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signed(pub i64);

message! {
    /// A place in a channel's stream.
    pub struct StreamPosition<'a> {
        /// The number of a publication.
        [1 "offset"]
        pub offset: u64,
        /// The generation of the stream that `offset` counts in.
        [2 "epoch"]
        pub epoch: Cow<'a, str>,
    }
}

message! {
    /// A node of a filter over the tags of publications: a comparison, or several nodes combined. See
    /// [`crate::filter`] for what it means.
    pub struct FilterNode<'a> {
        /// `and`, `or`, `not`; empty in a comparison.
        [1 "op"]
        pub op: Cow<'a, str>,
        /// The tag that is compared.
        [2 "key"]
        pub key: Cow<'a, str>,
        /// How it is compared: `eq`, `neq`, `in`, `nin`, `ex`, `nex`, `sw`, `ew`, `ct`, `lt`, `lte`,
        /// `gt`, `gte`.
        [3 "cmp"]
        pub cmp: Cow<'a, str>,
        /// What it is compared with.
        [4 "val"]
        pub val: Cow<'a, str>,
        /// What it is compared with by `in` and `nin`.
        [5 "vals"]
        pub vals: Vec<Cow<'a, str>>,
        /// What `op` combines.
        [6 "nodes"]
        pub nodes: Vec<FilterNode<'a>>,
    }
}

message! {
    /// A key of a shared-poll channel and the version that a client has.
    pub struct KeyedItem<'a> {
        /// The key.
        [1 "key"]
        pub key: Cow<'a, str>,
        /// The version.
        [2 "version"]
        pub version: u64,
    }
}

message! {
    /// Keys that a client may follow, with the proof.
    pub struct TrackBatch<'a> {
        /// The proof.
        [1 "signature"]
        pub signature: Cow<'a, str>,
        /// The keys.
        [2 "items"]
        pub items: Vec<KeyedItem<'a>>,
    }
}

impl Encode for Signed {
    fn is_absent(&self) -> bool {
        self.0 == 0
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        self.0.write_json(out)
    }

    fn field_size(&self, number: u32) -> usize {
        self.zigzag().field_size(number)
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        self.zigzag().write_field(number, out);
    }
}

impl<'de> Decode<'de> for Signed {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        self.0.read_json(from)
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        let zigzag = from.varint()?;
        self.0 = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Ok(())
    }
}

impl Signed {
    /// 0, −1, 1, −2, 2… as 0, 1, 2, 3, 4…
    const fn zigzag(self) -> u64 {
        ((self.0 << 1) ^ (self.0 >> 63)) as u64
    }
}
