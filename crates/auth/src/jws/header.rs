//! The header of an access token: `alg`, `kid` and `typ`, each once, and nothing else. So `crit`, `jwk`,
//! `jku`, `x5c`, `x5u`, `b64` and `zip` need no rule of their own: whatever could change how a
//! token is read is an unknown member.

use std::borrow::Cow;

use serde::Deserialize;

/// The members of a header, as they stand there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header<'a> {
    /// Compared with the algorithm of the key; never chooses one.
    #[serde(borrow)]
    pub(crate) alg: Cow<'a, str>,
    /// Which key.
    #[serde(borrow)]
    pub(crate) kid: Cow<'a, str>,
    /// What the token is for.
    #[serde(borrow)]
    pub(crate) typ: Cow<'a, str>,
}

impl<'a> Header<'a> {
    /// Reads a header; `None` unless it is a JSON object of exactly these members.
    pub(crate) fn parse(json: &'a [u8]) -> Option<Self> {
        // Serde would also read a struct from an array of its fields.
        let object = json.trim_ascii_start().first() == Some(&b'{');
        let header = serde_json::from_slice(json).ok()?;
        object.then_some(header)
    }

    /// Whether `typ` is this media type: case means nothing in it, and `application/` may stand
    /// before it (RFC 7515 §4.1.9).
    pub(crate) fn is_typ(&self, wanted: &str) -> bool {
        const PREFIX: &str = "application/";
        let typ = match self.typ.split_at_checked(PREFIX.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
            _ => &self.typ,
        };
        typ.eq_ignore_ascii_case(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_members() {
        let good = Header::parse(br#"{"kid":"k","alg":"EdDSA","typ":"at+jwt"}"#).unwrap();
        assert_eq!((&*good.alg, &*good.kid), ("EdDSA", "k"));
        for bad in [
            r#"["EdDSA","k","at+jwt"]"#,
            r#"{"alg":"EdDSA","kid":"k"}"#,
            r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt","crit":[]}"#,
            r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt","\u0061lg":"none"}"#,
            r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}x"#,
            r#"{"alg":"EdDSA","kid":1,"typ":"at+jwt"}"#,
            r#"{"alg":null,"kid":"k","typ":"at+jwt"}"#,
            "\u{feff}{\"alg\":\"EdDSA\",\"kid\":\"k\",\"typ\":\"at+jwt\"}",
        ] {
            assert!(Header::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn media_types_are_compared_as_such() {
        let is_access_token = |typ: &str| {
            Header {
                alg: "".into(),
                kid: "".into(),
                typ: typ.into(),
            }
            .is_typ("at+jwt")
        };
        for good in [
            "at+jwt",
            "AT+JWT",
            "application/at+jwt",
            "Application/At+Jwt",
        ] {
            assert!(is_access_token(good), "{good}");
        }
        for bad in [
            "",
            "JWT",
            "rt+jwt",
            "at+jwt ",
            "application/",
            "application/application/at+jwt",
            "text/at+jwt",
            "applicatioñ/at+jwt",
        ] {
            assert!(!is_access_token(bad), "{bad}");
        }
    }
}
