//! Deltas in the format of the Fossil version control system, and publications that carry them.
//!
//! A delta says how to make a target from a base that the other side has: `size\n`, then any of
//! `len@offset,` (copy from the base) and `len:bytes` (take these), then `checksum;`. Numbers are in base
//! 64 with digits of their own.
//!
//! - [`create`]: the delta from a base to a target. [`apply`]: the target again.
//! - [`Delta`]: a publication as subscriptions with delta get it.

mod apply;
mod create;
pub(crate) mod number;

pub use apply::{BadDelta, apply};
pub use create::create;

use crate::encoding::Encoding;
use crate::object::Publication;
use crate::payload::{NotJson, Payload};

/// What [`crate::command::SubscribeRequest::delta`] says when this is what the client understands.
pub const NAME: &str = "fossil";

/// A publication as subscriptions with delta get it: against the one before it where that is shorter,
/// in full where it is not. Made once, whatever the number of subscriptions.
#[derive(Debug, Clone)]
pub struct Delta<'a> {
    publication: &'a Publication,
    /// UTF-8 if the publication is.
    patch: Option<Vec<u8>>,
}

impl<'a> Delta<'a> {
    /// `publication` against what was published `before` it, or in full.
    pub fn new(before: Option<&Payload>, publication: &'a Publication) -> Self {
        let patch = before.and_then(|before| create(before.bytes(), publication.data.bytes()));
        Self { publication, patch }
    }

    /// Whether there is a delta, and not only the full data.
    pub const fn is_patch(&self) -> bool {
        self.patch.is_some()
    }

    /// What is sent to who has what was published before. In JSON, the data are a string: the delta, or
    /// the full data as text.
    pub fn publication(&self, encoding: Encoding) -> Result<Publication, NotJson> {
        let Some(patch) = &self.patch else {
            return full(encoding, self.publication);
        };
        let data = match encoding {
            Encoding::Protobuf => Payload::new(patch.clone()),
            Encoding::Json => json_string(&self.publication.data, patch)?,
        };
        Ok(Publication {
            data,
            delta: true,
            ..self.publication.clone()
        })
    }
}

/// What is sent to who has nothing that was published before, in a subscription with delta.
pub fn full(encoding: Encoding, publication: &Publication) -> Result<Publication, NotJson> {
    let data = match encoding {
        Encoding::Protobuf => publication.data.clone(),
        Encoding::Json => json_string(&publication.data, publication.data.bytes())?,
    };
    Ok(Publication {
        data,
        delta: false,
        ..publication.clone()
    })
}

fn json_string(data: &Payload, bytes: &[u8]) -> Result<Payload, NotJson> {
    // The client parses the text once it has it whole; what is not JSON would break it there.
    if !data.is_json() {
        return Err(NotJson);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NotJson)?;
    Ok(Payload::json_string(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(data: &str) -> Publication {
        Publication {
            data: Payload::new(data.to_owned()),
            offset: 7,
            ..Publication::default()
        }
    }

    #[test]
    fn json_has_the_delta_as_a_string() {
        let before = publication(
            "{\"text\":\"é\",\"padding\":\"0123456789012345678901234567890123456789\"}",
        );
        let after = publication(
            "{\"text\":\"è\",\"padding\":\"0123456789012345678901234567890123456789\"}",
        );
        let delta = Delta::new(Some(&before.data), &after);
        assert!(delta.is_patch());

        let sent = delta.publication(Encoding::Protobuf).expect("any bytes do");
        assert!(sent.delta && sent.offset == 7);
        let applied = apply(before.data.bytes(), sent.data.bytes(), 1024);
        assert_eq!(applied.as_deref(), Ok(&after.data.bytes()[..]));

        let quoted = delta.publication(Encoding::Json).expect("it is JSON");
        let text: String = serde_json::from_slice(quoted.data.bytes()).expect("it is a string");
        assert_eq!(text.as_bytes(), &sent.data.bytes()[..]);

        let full = full(Encoding::Json, &after).expect("it is JSON");
        assert!(!full.delta);
        let text: String = serde_json::from_slice(full.data.bytes()).expect("it is a string");
        assert_eq!(text.as_bytes(), &after.data.bytes()[..]);
    }

    #[test]
    fn what_gains_nothing_is_sent_in_full() {
        let after = publication("{\"a\":1}");
        for before in [None, Some(Payload::new("{\"a\":2}"))] {
            let delta = Delta::new(before.as_ref(), &after);
            assert!(!delta.is_patch());
            let sent = delta.publication(Encoding::Protobuf).expect("any bytes do");
            assert_eq!(sent, after);
        }
    }

    #[test]
    fn what_is_not_json_goes_to_protobuf_only() {
        let bytes = publication("1,\"offset\":99");
        assert!(full(Encoding::Protobuf, &bytes).is_ok());
        assert_eq!(full(Encoding::Json, &bytes), Err(NotJson));
        assert_eq!(
            Delta::new(None, &bytes).publication(Encoding::Json),
            Err(NotJson)
        );
    }
}
