//! A JSON body, read strictly.
//!
//! Parsers differ in what they make of a member that is there twice, of bytes behind the end, of
//! halves of surrogates; between two of them a check can be passed with one value and the other be
//! used. So all of it is refused, at any depth, before anything is looked at.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use chatsdk_types::ErrorCode;
use http_body_util::BodyExt as _;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::Problem;
use crate::extract::{FromMembers, Members};
use crate::state::ApiState;

/// The largest body, in bytes.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// How much of a body that is too large is read all the same: a client that is still writing would
/// see its connection break instead of the answer.
const MAX_DRAINED: usize = 1024 * 1024;

/// A request type, from a body that must be there.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// A request type, from a body that may be left out where every member may.
#[derive(Debug)]
pub(crate) struct MaybeJson<T>(pub(crate) T);

impl<T: FromMembers> FromRequest<ApiState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        is_json(request.headers())?;
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: FromMembers> FromRequest<ApiState> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return T::from_members(&Members::none()).map(Self);
        }
        json?;
        parse(&bytes).map(Self)
    }
}

/// Whether the body says that it is JSON, as it is.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = || Problem::new(ErrorCode::UnsupportedMediaType);
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(unsupported());
    };
    let essence = line
        .to_str()
        .map_err(|_| unsupported())?
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(unsupported());
    }
    match headers.get(CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(unsupported().detail("The body is compressed; send it as it is."))
        }
        _ => Ok(()),
    }
}

/// The whole body, if it is small enough and arrives in time.
async fn read(request: Request, state: &ApiState) -> Result<Bytes, Problem> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_DRAINED as u64) {
        return Err(too_large());
    }
    let body = request.into_body();
    match tokio::time::timeout(state.config().body_timeout, collect(body)).await {
        Ok(collected) => collected,
        Err(_) => Err(ErrorCode::RequestTimeout.into()),
    }
}

fn too_large() -> Problem {
    Problem::new(ErrorCode::PayloadTooLarge)
        .detail(format!("The body is larger than {MAX_BODY} bytes."))
}

async fn collect(mut body: Body) -> Result<Bytes, Problem> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Problem::new(ErrorCode::InvalidJson)
                .detail("The body ended before it was complete."));
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > MAX_DRAINED {
            return Err(too_large());
        }
        if length > MAX_BODY {
            // Read on, keep nothing.
            first = None;
            rest = BytesMut::new();
            continue;
        }
        // Most bodies are one frame, which is used where it lies.
        match &first {
            None => first = Some(data),
            Some(before) => {
                if rest.is_empty() {
                    rest.extend_from_slice(before);
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    if length > MAX_BODY {
        return Err(too_large());
    }
    Ok(if rest.is_empty() {
        first.unwrap_or_default()
    } else {
        rest.freeze()
    })
}

/// A request type from the text of its body.
pub(crate) fn parse<T: FromMembers>(body: &[u8]) -> Result<T, Problem> {
    let invalid = |detail: String| Problem::new(ErrorCode::InvalidJson).detail(detail);
    let text = std::str::from_utf8(body).map_err(|_| invalid("The body is not UTF-8.".into()))?;
    // Nothing of the body is repeated by these errors: they name places.
    serde_json::from_str::<WellFormed>(text)
        .map_err(|error| invalid(format!("The body is not valid JSON: {error}.")))?;
    if !text.trim_start().starts_with('{') {
        return Err(
            Problem::new(ErrorCode::InvalidRequest).detail("The body is not a JSON object.")
        );
    }
    let members = serde_json::from_str::<Members<'_>>(text)
        .map_err(|error| invalid(format!("The body is not valid JSON: {error}.")))?;
    members.no_key()?;
    T::from_members(&members)
}

/// JSON of which nothing is kept but that it is well-formed: no member is there twice.
pub(crate) struct WellFormed;

impl<'de> Deserialize<'de> for WellFormed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = WellFormed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, _: bool) -> Result<WellFormed, E> {
                Ok(WellFormed)
            }
            fn visit_i64<E>(self, _: i64) -> Result<WellFormed, E> {
                Ok(WellFormed)
            }
            fn visit_u64<E>(self, _: u64) -> Result<WellFormed, E> {
                Ok(WellFormed)
            }
            fn visit_f64<E>(self, _: f64) -> Result<WellFormed, E> {
                Ok(WellFormed)
            }
            fn visit_str<E>(self, _: &str) -> Result<WellFormed, E> {
                Ok(WellFormed)
            }
            fn visit_unit<E>(self) -> Result<WellFormed, E> {
                Ok(WellFormed)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<WellFormed, A::Error> {
                while items.next_element::<WellFormed>()?.is_some() {}
                Ok(WellFormed)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<WellFormed, A::Error> {
                let mut names = Names::default();
                while let Some(Name(name)) = members.next_key::<Name<'de>>()? {
                    if !names.add(name) {
                        return Err(A::Error::custom("a member is there twice"));
                    }
                    members.next_value::<WellFormed>()?;
                }
                Ok(WellFormed)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The name of a member, borrowed from the text where it has no escapes.
pub(crate) struct Name<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Names seen so far. A few are compared one by one; many are hashed, so that a body full of them
/// costs no more than its length.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    const FEW: usize = 12;

    /// Adds a name; `false` where it is there already.
    fn add(&mut self, name: Cow<'a, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() == Self::FEW {
            self.many.extend(self.few.drain(..));
            self.many.insert(name);
        } else {
            self.few.push(name);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn well_formed(text: &str) -> bool {
        serde_json::from_str::<WellFormed>(text).is_ok()
    }

    #[test]
    fn duplicates_are_found_at_any_depth() {
        for good in [
            "{}",
            r#"{"a":1,"b":{"a":[{"a":1},{"a":2}]}}"#,
            "[1,-1,1.5,true,null,\"x\"]",
            " {} \n",
        ] {
            assert!(well_formed(good), "{good}");
        }
        let many: Vec<_> = (0..200).map(|n| format!("\"m{n}\":{n},")).collect();
        let many = many.concat();
        assert!(well_formed(&format!("{{{many}\"m200\":0}}")));
        assert!(!well_formed(&format!("{{{many}\"m7\":0}}")));
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":{"a":1,"a":1}}"#,
            r#"{"x":[[{"a":1,"a":2}]]}"#,
            "{} {}",
            "{}x",
            "{",
            r#"{"a":"#,
            r#"{"a":1,}"#,
            "{'a':1}",
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":NaN}"#,
            "",
            "\u{feff}{}",
            "{/*x*/}",
        ] {
            assert!(!well_formed(bad), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(!well_formed(&deep));
    }

    #[test]
    fn json_is_what_says_so() {
        let check = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(line));
            }
            is_json(&headers).is_ok()
        };
        for good in [
            "application/json",
            "APPLICATION/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
        ] {
            assert!(check(&[good]), "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/problem+json",
            "",
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&[]));
        assert!(!check(&["application/json", "text/plain"]));
    }

    /// A short run of a fuzz target: bodies, and some thousand inputs made of them.
    #[test]
    fn any_body_is_read() {
        fn target(body: &[u8]) {
            let Ok(text) = std::str::from_utf8(body) else {
                return;
            };
            let seen = serde_json::from_str::<serde_json::Value>(text);
            let read = well_formed(text);
            // What is accepted is what another reader sees, with each member once.
            assert!(!read || seen.is_ok(), "{text}");
            if read && text.trim_start().starts_with('{') {
                assert!(serde_json::from_str::<Members<'_>>(text).is_ok(), "{text}");
            }
        }
        let seeds = [
            r#"{"userId":"ann","name":null,"custom":{"a":[1,-2.5e3,true,{"b":"\u00e9"}]}}"#,
            r#"{"refreshToken":"eyJ.a.b","sentAt":1800000000000}"#,
            r#"[{"a":1},{"a":2}]"#,
        ];
        crate::mutation::run(target, &seeds.map(|seed| seed.as_bytes().to_vec()));
    }
}
