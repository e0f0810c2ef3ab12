//! What a host may say of a person: name, avatar and custom data, and their bounds.

use chatsdk_store::Patch;
use serde_json::value::RawValue;

use crate::AuthError;

/// The longest name, in characters.
pub const MAX_NAME: usize = 128;
/// The longest avatar address, in bytes.
pub const MAX_AVATAR: usize = 2048;
/// Longer avatar addresses stay out of access tokens, which travel with every request.
pub const MAX_AVATAR_IN_TOKEN: usize = 256;
/// The largest custom object, in bytes of compact JSON.
pub const MAX_CUSTOM: usize = 1024;
/// How deep the custom object may nest.
pub const MAX_CUSTOM_DEPTH: usize = 8;

/// A member of a body that may be absent, `null` or a value.
pub type Given<T> = Option<Option<T>>;

fn refuse<T>(field: &'static str, detail: impl Into<String>) -> Result<T, AuthError> {
    Err(AuthError::Field {
        field,
        detail: detail.into(),
    })
}

fn patch<T>(
    given: Given<T>,
    check: impl FnOnce(T) -> Result<String, AuthError>,
) -> Result<Patch<String>, AuthError> {
    Ok(match given {
        None => Patch::Keep,
        Some(None) => Patch::Clear,
        Some(Some(value)) => Patch::Set(check(value)?),
    })
}

/// A name: up to [`MAX_NAME`] characters, none of them a control character.
pub fn name(given: Given<String>) -> Result<Patch<String>, AuthError> {
    patch(given, |name| {
        if name.chars().count() > MAX_NAME {
            return refuse("name", format!("A name has at most {MAX_NAME} characters."));
        }
        if name.chars().any(char::is_control) {
            return refuse("name", "A name has no control characters.");
        }
        Ok(name)
    })
}

/// An avatar: an absolute `https:` address of up to [`MAX_AVATAR`] bytes; `http:` too where the
/// deployment is for development.
pub fn avatar(given: Given<String>, allow_http: bool) -> Result<Patch<String>, AuthError> {
    patch(given, |avatar| {
        if avatar.len() > MAX_AVATAR {
            return refuse(
                "avatar",
                format!("An avatar's address has at most {MAX_AVATAR} bytes."),
            );
        }
        let rest = strip_scheme(&avatar, "https://")
            .or_else(|| strip_scheme(&avatar, "http://").filter(|_| allow_http));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let odd = avatar.chars().any(|c| {
            c.is_control() || c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\' | '`')
        });
        match host {
            Some(host) if !host.is_empty() && !odd && !host.contains('@') => Ok(avatar),
            _ => refuse(
                "avatar",
                "An avatar is an absolute https address, such as https://example.com/avatar.jpg.",
            ),
        }
    })
}

fn strip_scheme<'a>(address: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = address.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Custom data: a JSON object of up to [`MAX_CUSTOM`] bytes when compact, not deeper than
/// [`MAX_CUSTOM_DEPTH`], without the member names that poison JavaScript objects. Kept compact.
pub fn custom(given: Given<Box<RawValue>>) -> Result<Patch<String>, AuthError> {
    patch(given, |raw| {
        let value: serde_json::Value = match serde_json::from_str(raw.get()) {
            Ok(value) => value,
            Err(error) => return refuse("custom", format!("custom cannot be read: {error}.")),
        };
        if !value.is_object() {
            return refuse("custom", "custom is a JSON object.");
        }
        check_custom(&value, 1)?;
        let compact = compact(raw.get());
        if compact.len() > MAX_CUSTOM {
            return refuse(
                "custom",
                format!(
                    "custom has {} bytes as compact JSON; at most {MAX_CUSTOM} travel in a token.",
                    compact.len()
                ),
            );
        }
        Ok(compact)
    })
}

/// JSON without the white space between its parts. Nothing else is touched: numbers keep their digits
/// and members their order, because what the host stores is the host's.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|character| {
            let keep = in_string || !character.is_ascii_whitespace();
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = in_string,
                '"' => in_string = !in_string,
                _ => {}
            }
            keep
        })
        .collect()
}

fn check_custom(value: &serde_json::Value, depth: usize) -> Result<(), AuthError> {
    use serde_json::Value;
    let children: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Object(members) => {
            if let Some(name) = members
                .keys()
                .find(|name| matches!(name.as_str(), "__proto__" | "constructor" | "prototype"))
            {
                return refuse("custom", format!("custom may not have a member `{name}`."));
            }
            Box::new(members.values())
        }
        Value::Array(items) => Box::new(items.iter()),
        _ => return Ok(()),
    };
    if depth > MAX_CUSTOM_DEPTH {
        return refuse(
            "custom",
            format!("custom nests at most {MAX_CUSTOM_DEPTH} deep."),
        );
    }
    for child in children {
        check_custom(child, depth + 1)?;
    }
    Ok(())
}

/// The longest reason of a ban, in characters.
pub const MAX_REASON: usize = 256;

/// A word on a ban: up to [`MAX_REASON`] characters, no control characters. An empty one is none.
pub fn reason(given: Option<String>) -> Result<Option<String>, AuthError> {
    match given {
        Some(text) if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) => {
            refuse(
                "reason",
                format!(
                    "A reason has at most {MAX_REASON} characters, none of them a control character."
                ),
            )
        }
        other => Ok(other.filter(|text| !text.is_empty())),
    }
}

/// What a key is called: up to [`MAX_NAME`] characters, no control characters. May be empty.
pub fn key_name(text: String) -> Result<String, AuthError> {
    if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return refuse(
            "name",
            format!(
                "A key's name has at most {MAX_NAME} characters, none of them a control character."
            ),
        );
    }
    Ok(text)
}

/// A word of the host on a device: up to 128 characters, no control characters.
pub fn device(field: &'static str, given: Option<String>) -> Result<Option<String>, AuthError> {
    match given {
        Some(text)
            if text.is_empty()
                || text.chars().count() > 128
                || text.chars().any(char::is_control) =>
        {
            refuse(
                field,
                format!("{field} has 1 to 128 characters, none of them a control character."),
            )
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<Patch<String>, AuthError> {
        custom(Some(Some(RawValue::from_string(text.into()).unwrap())))
    }

    #[test]
    fn absent_keeps_and_null_clears() {
        assert_eq!(name(None).unwrap(), Patch::Keep);
        assert_eq!(name(Some(None)).unwrap(), Patch::Clear);
        assert_eq!(
            name(Some(Some("Ann".into()))).unwrap(),
            Patch::Set("Ann".into())
        );
        assert!(name(Some(Some("x".repeat(129)))).is_err());
    }

    #[test]
    fn avatars_are_https_addresses() {
        for good in [
            "https://example.com/avatar.jpg",
            "HTTPS://example.com",
            "https://e.com/a?b=c#d",
        ] {
            assert!(avatar(Some(Some(good.into())), false).is_ok(), "{good}");
        }
        let long = format!("https://e.com/{}", "x".repeat(2048 - 14));
        assert_eq!(long.len(), 2048);
        assert!(avatar(Some(Some(long.clone())), false).is_ok());
        for bad in [
            "javascript:alert(1)",
            "data:image/png;base64,AA",
            "//host/a",
            "http://e.com/a",
            "https://",
            "https:///a",
            "/a.png",
            "",
            "https://e.com/a b",
            "https://e.com/\"",
            "https://u:p@e.com/",
            &format!("{long}x"),
        ] {
            assert!(avatar(Some(Some(bad.into())), false).is_err(), "{bad}");
        }
        assert!(avatar(Some(Some("http://localhost:3000/a.png".into())), true).is_ok());
    }

    #[test]
    fn custom_is_one_small_safe_object() {
        assert_eq!(
            given(r#"{ "role" : "admin" }"#).unwrap(),
            Patch::Set(r#"{"role":"admin"}"#.into())
        );
        let kept =
            r#"{"n":12345678901234567890123,"z":" a \" b ","a":1.0,"e":1e2,"u":"\\u0000\\\\"}"#;
        assert_eq!(given(kept).unwrap(), Patch::Set(kept.into()));
        let deep = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
        assert!(given(&deep(8)).is_ok());
        assert!(given(&deep(9)).is_err());
        for bad in [
            "[]",
            "\"x\"",
            "1",
            r#"{"__proto__":{}}"#,
            r#"{"a":[{"constructor":1}]}"#,
            &format!(r#"{{"a":"{}"}}"#, "x".repeat(1024)),
        ] {
            assert!(given(bad).is_err(), "{bad}");
        }
    }
}
