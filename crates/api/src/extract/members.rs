//! The members of a body, with the types that they must have. A member that is absent, one that is
//! `null` and one that has a value are three things.

use std::borrow::Cow;
use std::fmt;

use chatsdk_auth::profile::Given;
use chatsdk_types::{ErrorCode, Lifetime, Millis, UserId};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::Problem;
use crate::extract::json::Name;
use crate::extract::key::names_key;

/// The largest integer that every JSON parser keeps exactly.
const MAX_EXACT: i64 = 1 << 53;

/// A request type, made from the members of a body.
pub(crate) trait FromMembers: Sized {
    /// Takes what it knows; what it does not know is ignored.
    fn from_members(members: &Members<'_>) -> Result<Self, Problem>;
}

/// The members of a body that is known to be well-formed.
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// No members.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    fn get(&self, field: &'static str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| *value)
    }

    /// A member as it stands, or `null`.
    pub(crate) fn raw(&self, field: &'static str) -> Given<&'a RawValue> {
        self.get(field)
            .map(|value| (value.get() != "null").then_some(value))
    }

    /// A text, or `null`.
    pub(crate) fn text(&self, field: &'static str) -> Result<Given<String>, Problem> {
        match self.raw(field) {
            None => Ok(None),
            Some(None) => Ok(Some(None)),
            Some(Some(value)) => serde_json::from_str::<String>(value.get())
                .map(|text| Some(Some(text)))
                .map_err(|_| Problem::field(field, format!("{field} is a string."))),
        }
    }

    /// A text that may be left out. `null` says the same as leaving it out.
    pub(crate) fn optional_text(&self, field: &'static str) -> Result<Option<String>, Problem> {
        self.text(field).map(Option::flatten)
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, field: &'static str) -> Result<String, Problem> {
        match self.text(field)? {
            Some(Some(text)) if !text.is_empty() => Ok(text),
            Some(Some(_)) => Err(Problem::field(field, format!("{field} is empty."))),
            Some(None) => Err(null_sent(field)),
            None => Err(required(field)),
        }
    }

    /// A text that may be left out, and is one where it is there.
    pub(crate) fn given_text(&self, field: &'static str) -> Result<Option<String>, Problem> {
        match self.text(field)? {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
            Some(None) => Err(null_sent(field)),
        }
    }

    /// An id that may be left out, and is one where it is there.
    pub(crate) fn given_id<T>(&self, field: &'static str) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr<Err = chatsdk_types::ids::BadId>,
    {
        self.given_text(field)?
            .map(|text| text.parse())
            .transpose()
            .map_err(|bad| Problem::field(field, format!("{field} is {bad}.")))
    }

    /// A whole number that may be left out, and is one where it is there.
    pub(crate) fn given_integer(&self, field: &'static str) -> Result<Option<i64>, Problem> {
        let Some(value) = self.raw(field) else {
            return Ok(None);
        };
        match value.and_then(|value| whole(value.get())) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::field(field, format!("{field} is a whole number."))),
        }
    }

    /// Any value but `null`; it must be there.
    pub(crate) fn value(&self, field: &'static str) -> Result<&'a RawValue, Problem> {
        match self.raw(field) {
            None => Err(required(field)),
            Some(None) => Err(Problem::field(field, format!("{field} is null."))),
            Some(Some(value)) => Ok(value),
        }
    }

    /// A whole number that may be left out.
    pub(crate) fn optional_integer(&self, field: &'static str) -> Result<Option<Millis>, Problem> {
        let Some(Some(value)) = self.raw(field) else {
            return Ok(None);
        };
        match whole(value.get()) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::field(
                field,
                format!("{field} is a whole number of milliseconds."),
            )),
        }
    }

    /// A lifetime that may be left out: text such as `1h`, or whole seconds.
    pub(crate) fn optional_lifetime(
        &self,
        field: &'static str,
    ) -> Result<Option<Lifetime>, Problem> {
        let Some(Some(value)) = self.raw(field) else {
            return Ok(None);
        };
        let parsed = if value.get().starts_with('"') {
            serde_json::from_str::<String>(value.get())
                .ok()
                .and_then(|text| text.parse().ok())
        } else {
            whole(value.get()).and_then(Lifetime::from_secs)
        };
        match parsed {
            Some(lifetime) => Ok(Some(lifetime)),
            None => Err(Problem::field(
                field,
                format!(
                    "{field} is one to six digits and a unit (ms, s, m, h, d, w), such as \"1h\" or \"7d\", or a whole number of seconds, and more than zero."
                ),
            )),
        }
    }

    /// The host's id of a person: text, or an integer, which many hosts' ids are, as its digits.
    pub(crate) fn user_id(&self, field: &'static str) -> Result<UserId, Problem> {
        let value = match self.raw(field) {
            None => return Err(required(field)),
            Some(None) => return Err(null_sent(field)),
            Some(Some(value)) => value.get(),
        };
        let text = if value.starts_with('"') {
            // It is well-formed, so that it can be read.
            serde_json::from_str::<String>(value).unwrap_or_default()
        } else {
            match whole(value) {
                Some(number) if number >= 0 => number.to_string(),
                _ => {
                    return Err(Problem::field(
                        field,
                        format!(
                            "{field} is a string, or an integer from 0 to 2^53; above that not every JSON parser keeps it exactly."
                        ),
                    ));
                }
            }
        };
        text.parse().map_err(|bad: chatsdk_types::ids::BadId| {
            Problem::field(field, format!("{field} is {bad}."))
        })
    }

    /// Refuses names that are meant to be one of `known` and are not, such as `user_id` for `userId`: what
    /// is ignored there would be a decision about security.
    pub(crate) fn no_misspelling(&self, known: &[&'static str]) -> Result<(), Problem> {
        for (name, _) in &self.0 {
            if known.contains(&name.as_ref()) {
                continue;
            }
            let meant = plain(name);
            if let Some(right) = known.iter().find(|right| plain(right) == meant) {
                return Err(Problem::field(
                    *right,
                    format!("The name of this member is `{right}`, written exactly so."),
                ));
            }
        }
        Ok(())
    }

    /// Refuses a body that carries an API key.
    pub(crate) fn no_key(&self) -> Result<(), Problem> {
        if self.0.iter().any(|(name, _)| names_key(name)) {
            return Err(Problem::new(ErrorCode::InvalidRequest).detail(
                "An API key stands in the body. It is sent in the X-API-Key header, and from a backend alone.",
            ));
        }
        Ok(())
    }
}

/// A whole number, however it is written: `42`, `42.0` and `4.2e1` are the same to JSON. Digits are read
/// exactly; with an exponent it has to be below 2^53, where every such number is exact.
fn whole(text: &str) -> Option<i64> {
    let digits = match text.split_once('.') {
        Some((digits, zeros)) if zeros.bytes().all(|byte| byte == b'0') => digits,
        _ => text,
    };
    if let Ok(number) = digits.parse::<i64>() {
        return (-MAX_EXACT..=MAX_EXACT).contains(&number).then_some(number);
    }
    let number = serde_json::from_str::<f64>(text).ok()?;
    (number.fract() == 0.0 && number.abs() < MAX_EXACT as f64).then_some(number as i64)
}

fn null_sent(field: &'static str) -> Problem {
    Problem::field(field, format!("{field} is a string; null was sent."))
}

fn required(field: &'static str) -> Problem {
    Problem::field(field, format!("{field} is missing."))
}

/// A name without what people vary in names: case, underscores, hyphens.
pub(crate) fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    members.push((name, map.next_value::<&'de RawValue>()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Members<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn absent_null_and_value_are_three_things() {
        assert_eq!(members("{}").text("name").unwrap(), None);
        assert_eq!(
            members(r#"{"name":null}"#).text("name").unwrap(),
            Some(None)
        );
        assert_eq!(
            members(r#"{"name":"Ann"}"#).text("name").unwrap(),
            Some(Some("Ann".into()))
        );
        assert!(members(r#"{"name":1}"#).text("name").is_err());
        assert!(members(r#"{"name":["x"]}"#).text("name").is_err());
    }

    #[test]
    fn a_user_id_is_text_or_an_exact_integer() {
        for (json, id) in [
            (r#""user-123""#, "user-123"),
            ("42", "42"),
            ("0", "0"),
            ("9007199254740992", "9007199254740992"),
            ("42.0", "42"),
            ("4.2e1", "42"),
            ("9007199254740992.00", "9007199254740992"),
            (r#""👩""#, "👩"),
        ] {
            let body = format!(r#"{{"userId":{json}}}"#);
            assert_eq!(
                members(&body).user_id("userId").unwrap().as_str(),
                id,
                "{json}"
            );
        }
        let (fits, long) = (
            format!("\"{}\"", "x".repeat(128)),
            format!("\"{}\"", "x".repeat(129)),
        );
        assert!(
            members(&format!(r#"{{"userId":{fits}}}"#))
                .user_id("userId")
                .is_ok()
        );
        for json in [
            "1.5",
            "1e-3",
            "-1",
            "9007199254740993.0",
            "1e300",
            "9007199254740993",
            "18446744073709551616",
            "true",
            "[]",
            "{}",
            "null",
            "\"\"",
            "\"  \"",
            r#""a\u0000""#,
            r#""a\u202eb""#,
            &long,
        ] {
            let body = format!(r#"{{"userId":{json}}}"#);
            let problem = members(&body).user_id("userId").unwrap_err();
            assert_eq!(problem.code(), ErrorCode::InvalidField, "{json}");
        }
    }

    #[test]
    fn lifetimes_are_text_or_seconds() {
        let read = |json: &str| {
            members(&format!(r#"{{"t":{json}}}"#))
                .optional_lifetime("t")
                .map_err(|problem| problem.code())
        };
        assert_eq!(read("\"1h\""), Ok(Some(Lifetime::secs(3600))));
        assert_eq!(read("3600"), Ok(Some(Lifetime::secs(3600))));
        assert_eq!(read("null"), Ok(None));
        for bad in [
            "\"1 hour\"",
            "\"0\"",
            "0",
            "-1",
            "1.5",
            "\"-1h\"",
            "\"1e3h\"",
            "true",
            "9223372036854775807",
            "1e300",
        ] {
            assert_eq!(read(bad), Err(ErrorCode::InvalidField), "{bad}");
        }
    }

    #[test]
    fn near_misses_are_named() {
        for name in ["userID", "user_id", "userid", "USER-ID"] {
            let body = format!(r#"{{"{name}":"x"}}"#);
            let problem = members(&body)
                .no_misspelling(&["userId", "name"])
                .unwrap_err();
            assert_eq!(problem.code(), ErrorCode::InvalidField, "{name}");
        }
        members(r#"{"userId":"x","users":1,"other":2}"#)
            .no_misspelling(&["userId"])
            .unwrap();
    }

    #[test]
    fn a_key_in_the_body_is_pointed_out() {
        for name in ["apiKey", "api_key", "X-API-Key"] {
            let body = format!(r#"{{"{name}":"csk_live_secret"}}"#);
            let problem = members(&body).no_key().unwrap_err();
            assert!(
                !format!("{problem:?}").contains("csk_"),
                "it is not repeated"
            );
        }
    }
}
