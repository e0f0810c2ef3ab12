//! Publications as differences to the one before.
//!
//! A JSON client that was promised differences gets every payload as a JSON string: the text of it, or
//! the difference. A Protobuf client gets bytes either way.

use bytes::Bytes;
use chatsdk_protocol::{Encoding, Payload, Publication};

use crate::interim::fossil;

/// The difference from `before` to `after`; `None` when the whole is not longer.
pub(crate) fn difference(before: &[u8], after: &[u8]) -> Option<Bytes> {
    let difference = fossil::create(before, after);
    (difference.len() < after.len()).then(|| difference.into())
}

/// `publication` in full, as such a client expects it.
pub(crate) fn whole(mut publication: Publication, encoding: Encoding) -> Publication {
    if encoding == Encoding::Json
        && let Ok(text) = std::str::from_utf8(publication.data.bytes())
    {
        publication.data = Payload::json_string(text);
    }
    publication
}

/// `publication` as `difference`; in full where a JSON string could not hold it, because it cuts a
/// character in two.
pub(crate) fn changed(
    publication: &Publication,
    difference: Bytes,
    encoding: Encoding,
) -> Publication {
    let mut changed = publication.clone();
    changed.delta = true;
    match encoding {
        Encoding::Protobuf => changed.data = Payload::new(difference),
        Encoding::Json => match std::str::from_utf8(&difference) {
            Ok(text) => changed.data = Payload::json_string(text),
            Err(_) => return whole(publication.clone(), encoding),
        },
    }
    changed
}
