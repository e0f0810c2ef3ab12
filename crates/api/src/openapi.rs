//! The OpenAPI 3.1 document.
//!
//! Paths, parameters, bodies and replies come from the handlers and the types of their requests and
//! replies. What follows from these is added here, once, instead of at each handler: the failures that an
//! API key, an access token, a body or an id in the path may meet, with their statuses and headers.
//! Failures of its own a handler lists as `x-error-codes`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use chatsdk_types::ErrorCode;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, Header, HeaderBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi,
    Ref, RefOr, Required, Response, ResponseBuilder, ServerBuilder, Type,
};

use crate::problem::Document;

mod sockets;

/// The extension that lists the failures of an operation.
pub(crate) const ERROR_CODES: &str = "x-error-codes";

const DESCRIPTION: &str = "\
Chat tokens for people whom your own backend signs in.

Your backend calls `POST /auth/tokens` with its API key and hands the pair to the app; the app's SDK
exchanges the refresh token by itself and opens its realtime connection with the access token.

Bodies are JSON of at most 16 KiB, sent as `application/json`, with no member twice. Members that are
not known are ignored; names that are nearly those of known members are refused. Paths are exact: an
address that leads nowhere answers 404 `not_found`, and a method that an address does not take 405
`method_not_allowed`, with the methods that it takes in `Allow`. A request that is not addressed to one
`Host` answers 400 `invalid_request` everywhere.

Every failure is a problem document (RFC 9457) with a stable `code`; only what the HTTP parser itself
refuses, a broken request line, a giant address or a giant header, is a bare 400, 414 or 431. Times are
milliseconds since the Unix epoch, except in JWTs and in introspection, where RFC 7519 has seconds.";

/// The document as pretty-printed JSON, without a newline at its end.
pub fn openapi() -> String {
    serde_json::to_string_pretty(&document()).unwrap_or_default()
}

/// The document as JSON.
pub fn openapi_value() -> serde_json::Value {
    serde_json::to_value(document()).unwrap_or_default()
}

/// The document as it is served.
pub(crate) fn served() -> &'static str {
    static SERVED: OnceLock<String> = OnceLock::new();
    SERVED.get_or_init(openapi)
}

/// The document.
pub(crate) fn document() -> OpenApi {
    let mut document = crate::router::described().into_openapi();
    document.info = InfoBuilder::new()
        .title("ChatSDK API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    document.servers = Some(vec![
        ServerBuilder::new()
            .url("/")
            .description(Some("The server that this document came from"))
            .build(),
    ]);
    document.tags = Some(
        [
            (
                "Tokens",
                "Made for your people, exchanged, ended, looked at.",
            ),
            (
                "Sessions",
                "A person's own devices. With their access token.",
            ),
            (
                "Users",
                "Your people: their sessions, and bans. With your API key.",
            ),
            ("Keys", "What access tokens verify against."),
            (sockets::TAG, sockets::ABOUT),
            (
                "Admin",
                "A look into the live node. With the operator token; each node knows its own connections and topics.",
            ),
            ("Operations", "For operators and their machines."),
            ("Reference", "This description."),
        ]
        .map(|(name, description)| {
            TagBuilder::new()
                .name(name)
                .description(Some(description))
                .build()
        })
        .to_vec(),
    );
    let components = document.components.get_or_insert_default();
    components.schemas.insert(
        "Problem".into(),
        <Document<'_> as utoipa::PartialSchema>::schema(),
    );
    components.headers = headers();
    components.add_security_scheme(
        "apiKey",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "X-API-Key",
            "For backends. `csk_…`, from `chatsdk key create`; refused where a request shows signs of a browser.",
        ))),
    );
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".into());
    bearer.description = Some("The `accessToken` of a token reply.".into());
    components.add_security_scheme("accessToken", SecurityScheme::Http(bearer));
    let mut operator = Http::new(HttpAuthScheme::Bearer);
    operator.description = Some(
        "For operators. `CHATSDK_OPERATOR_TOKEN`, or the file `operator-token` in the data directory; refused where a request shows signs of a browser.".into(),
    );
    components.add_security_scheme("operatorToken", SecurityScheme::Http(operator));
    document.paths.paths.extend(sockets::paths());
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.delete]
            .into_iter()
            .flatten()
        {
            add_failures(operation);
        }
    }
    document
}

/// The codes of the failures that an operation may answer, in the order of the list of codes.
fn failures(operation: &Operation) -> Vec<ErrorCode> {
    let mut codes: BTreeSet<&str> = BTreeSet::from(["internal"]);
    // Their bodies and addresses are read by the engine, which has failures of its own.
    let of_engine = operation.tags.as_deref() == Some(&[sockets::TAG.to_owned()]);
    let listed = operation
        .extensions
        .as_ref()
        .and_then(|extensions| extensions.get(ERROR_CODES)?.as_array());
    codes.extend(
        listed
            .into_iter()
            .flatten()
            .filter_map(|code| code.as_str()),
    );
    if operation.request_body.is_some() && !of_engine {
        codes.extend([
            "invalid_request",
            "invalid_json",
            "invalid_field",
            "payload_too_large",
            "unsupported_media_type",
            "request_timeout",
        ]);
    }
    if operation
        .parameters
        .as_ref()
        .is_some_and(|all| !all.is_empty() && !of_engine)
    {
        codes.extend(["invalid_request", "invalid_field"]);
    }
    let schemes: Vec<_> = operation
        .security
        .iter()
        .flatten()
        .filter_map(|required| serde_json::to_value(required).ok())
        .collect();
    let needs = |scheme: &str| {
        schemes.iter().all(|known| known.get(scheme).is_some()) && !schemes.is_empty()
    };
    if needs("apiKey") {
        codes.extend([
            "invalid_request",
            "api_key_missing",
            "api_key_invalid",
            "api_key_revoked",
            "api_key_expired",
            "api_key_scope",
            "browser_forbidden",
            "rate_limited",
        ]);
    }
    if needs("accessToken") {
        codes.extend([
            "invalid_request",
            "token_missing",
            "token_expired",
            "token_invalid",
            "token_revoked",
            "rate_limited",
        ]);
    }
    if needs("operatorToken") {
        codes.extend([
            "invalid_request",
            "operator_token_missing",
            "operator_token_invalid",
            "browser_forbidden",
            "rate_limited",
        ]);
    }
    let asks_store = !schemes.is_empty()
        || operation.request_body.is_some()
        || operation.operation_id.as_deref() == Some("getReadiness");
    if asks_store {
        codes.insert("unavailable");
    }
    ErrorCode::ALL
        .iter()
        .copied()
        .filter(|code| codes.contains(code.as_str()))
        .collect()
}

fn add_failures(operation: &mut Operation) {
    may_be_left_out(operation);
    let codes = failures(operation);
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in &codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    operation
        .extensions
        .get_or_insert_default()
        .insert(ERROR_CODES.into(), names.into());
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let (name, header) = shared("x-request-id");
            response.headers.insert(name, header);
        }
    }
    for (status, codes) in by_status {
        operation
            .responses
            .responses
            .insert(status.to_string(), RefOr::T(failure(status, &codes)));
    }
}

/// A body that may be left out is described as one that may be `null`; `null` is no object and is refused.
fn may_be_left_out(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if let Some(RefOr::T(Schema::OneOf(choice))) = &content.schema {
            let object = choice
                .items
                .iter()
                .find(|item| matches!(item, RefOr::Ref(_)))
                .cloned();
            if object.is_some() {
                content.schema = object;
                body.required = Some(Required::False);
            }
        }
    }
}

/// A failure's status, with what each of its codes means and the headers that come with it.
fn failure(status: u16, codes: &[ErrorCode]) -> Response {
    let lines: Vec<_> = codes
        .iter()
        .map(|code| format!("`{code}`: {}", code.title()))
        .collect();
    let mut response = ResponseBuilder::new()
        .description(lines.join("\n\n"))
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build();
    let mut names = vec!["x-request-id", "cache-control"];
    if matches!(status, 429 | 503) {
        names.push("retry-after");
    }
    if status == 429 {
        names.extend(["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]);
    }
    if codes.contains(&ErrorCode::TokenInvalid) || codes.contains(&ErrorCode::OperatorTokenInvalid)
    {
        names.push("www-authenticate");
    }
    response.headers.extend(names.into_iter().map(shared));
    response
}

/// A header that is described among the components.
fn shared(name: &'static str) -> (String, RefOr<Header>) {
    let reference = Ref::new(format!("#/components/headers/{name}"));
    (name.to_owned(), RefOr::Ref(reference))
}

/// The headers that replies have in common.
fn headers() -> BTreeMap<String, RefOr<Header>> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let count = || {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
    };
    let wait = || {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
    };
    [
        (
            "x-request-id",
            "The id of the request: quote it to the operator.",
            text().pattern(Some("^[0-9A-Za-z_.-]{8,64}$")),
        ),
        (
            "cache-control",
            "Problems are never stored.",
            text().enum_values(Some(["no-store"])),
        ),
        (
            "retry-after",
            "When to try again, in seconds from now.",
            wait(),
        ),
        ("ratelimit-limit", "How many a full window holds.", count()),
        ("ratelimit-remaining", "How many are left: none.", count()),
        (
            "ratelimit-reset",
            "When there is room again, in seconds from now.",
            wait(),
        ),
        (
            "www-authenticate",
            "After RFC 6750.",
            text().examples([serde_json::json!(
                "Bearer realm=\"chatsdk\", error=\"invalid_token\""
            )]),
        ),
    ]
    .into_iter()
    .map(|(name, description, schema)| {
        let header = HeaderBuilder::new()
            .description(Some(description))
            .schema(Some(schema.build()))
            .build();
        (name.to_owned(), RefOr::T(header))
    })
    .collect()
}

/// Schemas of values that JSON can carry in more than one way.
pub(crate) mod schema {
    use serde_json::json;
    use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, SchemaType};
    use utoipa::openapi::{Object, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};

    /// Text that a user id can be: no control characters, no overrides of text direction, no white space
    /// at its ends, no step in a path. At most 128 bytes of UTF-8: bytes are nothing that a schema can
    /// count, so it counts characters, lest it refuse what the server takes; the description says bytes.
    pub(crate) const USER_ID: &str = concat!(
        r"^(?!\.{1,2}$)",
        r"(?=[^\u0009-\u000D\u0020\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000])",
        r"(?=[\s\S]*[^\u0009-\u000D\u0020\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]$)",
        r"[^\u0000-\u001F\u007F-\u009F\u061C\u200B\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]{1,128}$",
    );

    /// A user id as text.
    #[derive(Debug)]
    pub(crate) struct UserIdText;

    impl utoipa::PartialSchema for UserIdText {
        fn schema() -> RefOr<Schema> {
            user_id_text().into()
        }
    }

    impl utoipa::ToSchema for UserIdText {}

    fn user_id_text() -> Object {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(128))
            .description(Some("At most 128 bytes of UTF-8."))
            .pattern(Some(USER_ID))
            .examples([json!("user-123")])
            .build()
    }

    /// A user id in a body.
    pub(crate) fn user_id() -> Schema {
        OneOfBuilder::new()
            .description(Some("Your id of the person: 1 to 128 bytes of UTF-8, compared byte for byte. An integer is taken as its digits."))
            .item(user_id_text())
            .item(
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(0))
                    .maximum(Some(9_007_199_254_740_992_i64)),
            )
            .build()
            .into()
    }

    /// The host's own data.
    pub(crate) fn custom() -> Object {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
            .description(Some("Your own data of the person, replaced as a whole: at most 1024 bytes as compact JSON, 8 levels deep, without members called `__proto__`, `constructor` or `prototype`. It travels in the access token, where its bearer can read it. Left out: unchanged. `null`: none."))
            .property_names(Some(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some("^(?!(?:__proto__|constructor|prototype)$)")),
            ))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .examples([json!({"role": "admin", "department": "sales"})])
            .build()
    }

    /// Text and seconds between two bounds, in seconds.
    fn lifetime(description: &str, min: u64, max: u64, example: &str) -> Schema {
        AnyOfBuilder::new()
            .description(Some(description))
            .item(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some("One to six digits and a unit: ms, s, m, h, d or w."))
                    .pattern(Some(between(min * 1000, max * 1000)))
                    .examples([json!(example)]),
            )
            .item(
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .description(Some("Seconds."))
                    .minimum(Some(min as i64))
                    .maximum(Some(max as i64)),
            )
            .item(ObjectBuilder::new().schema_type(Type::Null))
            .build()
            .into()
    }

    /// A pattern of the lifetimes between two bounds, in milliseconds.
    fn between(min: u64, max: u64) -> String {
        let units = [
            ("ms", 1),
            ("s", 1000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
            ("w", 604_800_000),
        ];
        let choices: Vec<_> = units
            .into_iter()
            .filter_map(|(unit, millis)| {
                let (low, high) = (min.div_ceil(millis).max(1), (max / millis).min(999_999));
                (low <= high).then(|| format!("(?:{}){unit}", numbers(low, high).join("|")))
            })
            .collect();
        format!("^(?:{})$", choices.join("|"))
    }

    /// Patterns of the decimal numbers from `low` to `high`, without leading zeros.
    fn numbers(low: u64, high: u64) -> Vec<String> {
        let mut patterns = Vec::new();
        let mut low = low;
        while low <= high {
            // The longest run from `low` on in which the last digits are free.
            let mut free = 0;
            while low.is_multiple_of(10_u64.pow(free + 1)) && low + 10_u64.pow(free + 1) - 1 <= high
            {
                free += 1;
            }
            // Then as many values of the digit before them as fit.
            let step = 10_u64.pow(free);
            let digit = low / step % 10;
            let last = (digit..=9)
                .take_while(|last| low + (last - digit + 1) * step - 1 <= high)
                .last()
                .unwrap_or(digit);
            let head = low / step / 10;
            let mut pattern = if head > 0 {
                head.to_string()
            } else {
                String::new()
            };
            let digits = if last > digit {
                format!("[{digit}-{last}]")
            } else {
                digit.to_string()
            };
            pattern.push_str(&digits);
            let tail = match free {
                0 => String::new(),
                1 => "[0-9]".to_owned(),
                _ => format!("[0-9]{{{free}}}"),
            };
            pattern.push_str(&tail);
            patterns.push(pattern);
            low += (last - digit + 1) * step;
        }
        patterns
    }

    /// How long access tokens live.
    pub(crate) fn access_lifetime() -> Schema {
        lifetime(
            "How long access tokens of the session live: 60 s to 24 h unless the operator says otherwise.",
            60,
            86_400,
            "1h",
        )
    }

    /// How long refresh tokens live.
    pub(crate) fn refresh_lifetime() -> Schema {
        lifetime(
            "How long refresh tokens of the session live unless they are exchanged: 5 min to 90 d unless the operator says otherwise, and not less than access tokens.",
            300,
            7_776_000,
            "7d",
        )
    }

    /// How long a session lives.
    pub(crate) fn session_lifetime() -> Schema {
        lifetime(
            "How long the session lives whatever happens: 5 min to 365 d, and not less than its refresh tokens.",
            300,
            31_536_000,
            "90d",
        )
    }

    #[cfg(test)]
    mod tests {
        use super::numbers;

        #[test]
        fn ranges_of_numbers() {
            assert_eq!(numbers(1, 24), ["[1-9]", "1[0-9]", "2[0-4]"]);
            assert_eq!(numbers(60, 100), ["[6-9][0-9]", "100"]);
            assert_eq!(
                numbers(60, 86_400),
                [
                    "[6-9][0-9]",
                    "[1-9][0-9]{2}",
                    "[1-9][0-9]{3}",
                    "[1-7][0-9]{4}",
                    "8[0-5][0-9]{3}",
                    "86[0-3][0-9]{2}",
                    "86400"
                ]
            );
            assert_eq!(numbers(7, 7), ["7"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_exists() {
        let document = crate::router::described().into_openapi();
        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.post, &item.delete].into_iter().flatten() {
                let listed = operation
                    .extensions
                    .as_ref()
                    .and_then(|all| all.get(ERROR_CODES));
                for code in listed
                    .and_then(|codes| codes.as_array())
                    .into_iter()
                    .flatten()
                {
                    assert!(
                        ErrorCode::ALL
                            .iter()
                            .any(|known| Some(known.as_str()) == code.as_str()),
                        "{path}: {code}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_document_is_whole() {
        let value: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
        assert_eq!(value["openapi"], "3.1.0");
        let paths = value["paths"].as_object().unwrap();
        for path in [
            "/auth/tokens",
            "/auth/refresh",
            "/auth/revoke",
            "/auth/sessions",
            "/auth/sessions/{sessionId}",
            "/auth/users/{userId}/sessions",
            "/auth/users/{userId}/sessions/{sessionId}",
            "/auth/users/{userId}/revoke",
            "/auth/users/{userId}/ban",
            "/auth/introspect",
            "/.well-known/jwks.json",
            "/connection/websocket",
            "/ws",
            "/connection/http_stream",
            "/connection/sse",
            "/emulation",
            "/healthz",
            "/readyz",
            "/metrics",
            "/admin/node",
            "/admin/connections",
            "/admin/connections/{client}",
            "/admin/topics",
            "/admin/disconnect",
            "/admin/publish",
            "/openapi.json",
            "/docs",
        ] {
            assert!(paths.contains_key(path), "{path}");
        }
        for (path, item) in paths {
            for (method, operation) in item.as_object().unwrap() {
                assert!(
                    operation["operationId"].is_string() && operation["summary"].is_string(),
                    "{method} {path}"
                );
                assert!(operation["responses"]["500"].is_object(), "{method} {path}");
                for response in operation["responses"].as_object().unwrap().values() {
                    assert!(
                        response["headers"]["x-request-id"].is_object(),
                        "{method} {path}"
                    );
                }
            }
        }
        // No failure is without an operation, but those that belong to addresses and methods that are none.
        let described = value["paths"].to_string();
        for code in ErrorCode::ALL {
            let named = described.contains(&format!("\"{code}\""));
            let stated = DESCRIPTION.contains(&format!("`{code}`"));
            assert!(
                named || stated || code.as_str() == "app_not_found",
                "{code}"
            );
        }
        // No reference leads nowhere.
        let text = value.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(value["components"]["schemas"][name].is_object(), "{name}");
        }
        let mint = &paths["/auth/tokens"]["post"]["responses"];
        assert!(mint["429"]["headers"]["retry-after"].is_object());
        assert!(
            mint["401"]["description"]
                .as_str()
                .unwrap()
                .contains("api_key_invalid")
        );
    }
}
