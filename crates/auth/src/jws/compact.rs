//! `header.payload.signature`, each part in base64url without padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `bytes` in base64url without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Writes `bytes` in base64url without padding at the end of `text`.
pub(crate) fn append_base64url(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Reads base64url in its one canonical spelling: no padding, no other alphabet, no white space, no
/// set bits behind the last byte.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads exactly `N` bytes of base64url, as [`from_base64url`] does, without allocating.
pub(crate) fn array_from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (written == N).then_some(bytes)
}

/// The parts of a token, still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compact<'a> {
    /// The first part.
    pub(crate) header: &'a str,
    /// The second part.
    pub(crate) payload: &'a str,
    /// The third part.
    pub(crate) signature: &'a str,
    /// What is signed: the first two parts and the dot between them.
    pub(crate) signed: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits a token; `None` unless it has exactly two dots and something in each part.
    pub(crate) fn split(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let whole = !header.is_empty() && !payload.is_empty() && !signature.is_empty();
        (whole && !payload.contains('.')).then_some(Self {
            header,
            payload,
            signature,
            signed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_three_parts_and_two_dots() {
        let parts = Compact::split("aa.bb.cc").unwrap();
        assert_eq!(
            (parts.header, parts.payload, parts.signature, parts.signed),
            ("aa", "bb", "cc", "aa.bb")
        );
        for bad in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.",
            ".b.c",
            "a..c",
            "a.b.c.d",
            ".a.b.c",
            "a.b.c.",
            "a.b.c.d.e",
        ] {
            assert_eq!(Compact::split(bad), None, "{bad}");
        }
    }

    #[test]
    fn base64url_has_one_spelling() {
        assert_eq!(from_base64url("-_8"), Some(vec![0xfb, 0xff]));
        for bad in ["-_8=", "+/8", "-_9", "-_ 8", "-_8\n", "-", "-_8é"] {
            assert_eq!(from_base64url(bad), None, "{bad}");
        }
        assert_eq!(array_from_base64url("-_8"), Some([0xfb, 0xff]));
        assert_eq!(array_from_base64url::<1>("-_8"), None);
        assert_eq!(array_from_base64url::<3>("-_8"), None);
    }
}
