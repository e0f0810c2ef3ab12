//! JSON that can be read in one way only: no member twice in one object, and no deeper than sixteen.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep arrays and objects may be nested, the outermost counted.
pub(crate) const MAX_DEPTH: u8 = 16;

/// The name of a member, borrowed where it has no escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Reads a value for its form alone. The number is how deep it may still be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WellFormed(pub(crate) u8);

impl<'de> DeserializeSeed<'de> for WellFormed {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl WellFormed {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.0.checked_sub(1);
        depth.map(Self).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> Visitor<'de> for WellFormed {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names: Vec<Name<'de>> = Vec::new();
        while let Some(name) = members.next_key()? {
            members.next_value_seed(inner)?;
            names.push(name);
        }
        distinct(&mut names)
    }
}

/// Refuses a name that stands there twice. Sorting keeps a hostile object of thousands of members cheap.
pub(crate) fn distinct<E: Error>(names: &mut [Name<'_>]) -> Result<(), E> {
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(E::custom("a member stands there twice"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well_formed(json: &str) -> bool {
        let mut reader = serde_json::Deserializer::from_str(json);
        WellFormed(MAX_DEPTH).deserialize(&mut reader).is_ok() && reader.end().is_ok()
    }

    #[test]
    fn duplicates_are_seen_at_every_depth_and_through_escapes() {
        assert!(well_formed(
            r#"{"a":{"a":[{"a":1,"b":-1.5e3,"c":null,"d":true,"e":"x"}]}}"#
        ));
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[[{"x":{"b":1,"c":2,"b":3}}]]"#,
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{"a":1/**/}"#,
        ] {
            assert!(!well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(well_formed(&nested(16)));
        assert!(!well_formed(&nested(17)));
        assert!(!well_formed(&nested(10_000)));
    }
}
