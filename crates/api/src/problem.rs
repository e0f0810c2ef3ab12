//! A failure, as HTTP tells it: RFC 9457 `application/problem+json`.
//!
//! This is the one place where a refusal of [`chatsdk_auth`] or of an extractor becomes a status, a body
//! and headers. The list of codes with their statuses and sentences is [`ErrorCode`].

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chatsdk_auth::AuthError;
use chatsdk_types::{ErrorCode, Millis};
use serde::Serialize;

/// How long to wait where nothing better is known.
const RETRY_AFTER_OUTAGE: Millis = 1000;

/// A failure on its way to the caller.
///
/// As a response it is a bare status until the layer of [`crate::router()`], which knows the id of
/// the request, writes the document.
#[derive(Debug, Clone)]
pub struct Problem {
    code: ErrorCode,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    retry_after: Option<Millis>,
    limit: Option<u32>,
    server_time: Option<Millis>,
    cause: Option<Box<str>>,
}

impl Problem {
    /// A failure that its code says whole.
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            detail: Cow::Borrowed(code.title()),
            field: None,
            retry_after: (code.status() == 503).then_some(RETRY_AFTER_OUTAGE),
            limit: None,
            server_time: None,
            cause: None,
        }
    }

    /// The same failure with a sentence of its own, which must not repeat what may be secret.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// A member, parameter or header with a value that is not accepted.
    pub fn field(
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut problem = Self::new(ErrorCode::InvalidField).detail(detail);
        problem.field = Some(field.into());
        problem
    }

    /// A failure of ours. The cause is logged, and not told.
    pub(crate) fn internal(cause: impl Into<Box<str>>) -> Self {
        let mut problem = Self::new(ErrorCode::Internal);
        problem.cause = Some(cause.into());
        problem
    }

    /// What decided.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What happened behind the scenes, for the log alone.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The whole response, for the request called `request_id`.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let document = Document {
            kind: format!("/docs/errors#{}", self.code),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.as_str(),
            hint: self.code.hint(),
            request_id,
            field: self.field.as_deref(),
            retry_after_ms: self.retry_after,
            server_time: self.server_time,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        never_stored(headers);
        self.add_headers(headers);
        response
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: a caller who comes too early would only be sent away again.
            let seconds = HeaderValue::from((wait.max(1) as u64).div_ceil(1000));
            headers.insert(RETRY_AFTER, seconds.clone());
            if let Some(limit) = self.limit {
                headers.insert(RATELIMIT_LIMIT, HeaderValue::from(limit));
                headers.insert(RATELIMIT_REMAINING, HeaderValue::from_static("0"));
                headers.insert(RATELIMIT_RESET, seconds);
            }
        }
        match self.code {
            // RFC 6750, section 3.1: no error code where no token was sent.
            ErrorCode::TokenMissing | ErrorCode::OperatorTokenMissing => {
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"chatsdk\""),
                );
            }
            ErrorCode::TokenExpired
            | ErrorCode::TokenInvalid
            | ErrorCode::TokenRevoked
            | ErrorCode::OperatorTokenInvalid => {
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"chatsdk\", error=\"invalid_token\""),
                );
            }
            // The rest of the body is on its way and will not be read.
            ErrorCode::RequestTimeout => {
                headers.insert(
                    axum::http::header::CONNECTION,
                    HeaderValue::from_static("close"),
                );
            }
            _ => {}
        }
    }
}

const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Tokens and refusals are for this caller, now.
pub(crate) fn never_stored(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let mut problem = Self::new(error.code());
        match error {
            AuthError::Refused(_) => {}
            AuthError::Field { field, detail } => {
                problem.field = Some(Cow::Borrowed(field));
                problem.detail = Cow::Owned(detail);
            }
            AuthError::Request(detail) => problem.detail = Cow::Borrowed(detail),
            AuthError::RateLimited {
                what,
                limit,
                retry_after,
            } => {
                problem.detail = Cow::Owned(format!("There were too many {what}."));
                problem.limit = Some(limit);
                problem.retry_after = Some(retry_after.max(1));
            }
            AuthError::Stale { server_time } => problem.server_time = Some(server_time),
            AuthError::Scope(_) => problem.detail = Cow::Owned(error.to_string()),
            AuthError::Store(_) | AuthError::Journal(_) | AuthError::Internal(_) => {
                problem.cause = Some(error.to_string().into());
            }
        }
        problem
    }
}

/// What every failure answers: a problem document after RFC 9457.
///
/// Decide by `code`, which never changes; `title`, `detail` and `hint` are for people, and their
/// wording may change.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct Document<'a> {
    /// Where the code is explained, relative to the API.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", example = "/docs/errors#invalid_field")]
    kind: String,
    /// What happened, in the same words each time.
    #[schema(example = "A field has a value that is not accepted.")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 400)]
    status: u16,
    /// What happened this time.
    #[schema(example = "userId is not a valid user id: it is empty.")]
    detail: &'a str,
    /// The stable code.
    #[schema(schema_with = codes)]
    code: &'static str,
    /// What can be done about it.
    #[schema(example = "`field` names it; the API reference at /docs gives its bounds.")]
    hint: &'static str,
    /// The id of the request, as in the header `x-request-id`. Quote it to the operator.
    #[schema(example = "5f0a6c1b2d3e4f50-0000002a")]
    request_id: &'a str,
    /// The member, parameter or header that the problem is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "userId")]
    field: Option<&'a str>,
    /// When to try again, in milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, example = 2000)]
    retry_after_ms: Option<Millis>,
    /// The server's clock, in milliseconds since the Unix epoch. With `request_stale` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, example = 1_704_835_200_000_i64)]
    server_time: Option<Millis>,
}

/// The closed list of codes, as a schema.
fn codes() -> utoipa::openapi::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .description(Some("The stable code. The list may grow."))
        .enum_values(Some(ErrorCode::ALL.iter().map(|code| code.as_str())))
        .examples(Some(serde_json::json!("invalid_field")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatsdk_types::Scope;

    async fn body(response: Response) -> serde_json::Value {
        let bytes = axum::body::to_bytes(response.into_body(), 65536)
            .await
            .unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn every_code_is_a_document() {
        for code in ErrorCode::ALL {
            let response = Problem::new(*code).render("r1");
            assert_eq!(response.status().as_u16(), code.status());
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let bearer = matches!(
                code.as_str(),
                "token_missing"
                    | "token_expired"
                    | "token_invalid"
                    | "token_revoked"
                    | "operator_token_missing"
                    | "operator_token_invalid"
            );
            assert_eq!(
                response.headers().contains_key(WWW_AUTHENTICATE),
                bearer,
                "{code}"
            );
            let document = body(response).await;
            assert_eq!(document["code"], code.as_str());
            assert_eq!(document["type"], format!("/docs/errors#{code}"));
            assert_eq!(document["requestId"], "r1");
            assert!(document.get("field").is_none());
        }
    }

    #[tokio::test]
    async fn limits_say_when_to_come_back() {
        let error = AuthError::RateLimited {
            what: "refreshes of this session",
            limit: 120,
            retry_after: 1001,
        };
        let response = Problem::from(error).render("r");
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()["ratelimit-limit"], "120");
        assert_eq!(response.headers()["ratelimit-remaining"], "0");
        assert_eq!(response.headers()["ratelimit-reset"], "2");
        assert_eq!(body(response).await["retryAfterMs"], 1001);
        let response = Problem::new(ErrorCode::Unavailable).render("r");
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }

    #[tokio::test]
    async fn what_went_wrong_inside_is_not_told() {
        let problem = Problem::from(AuthError::Internal("the sealed key 42 is broken".into()));
        assert_eq!(problem.cause(), Some("the sealed key 42 is broken"));
        let document = body(problem.render("r")).await;
        assert_eq!(document["code"], "internal");
        assert!(!document.to_string().contains("42"));
    }

    #[tokio::test]
    async fn refusals_keep_what_they_know() {
        let document = body(Problem::from(AuthError::Stale { server_time: 7 }).render("r")).await;
        assert_eq!(
            (&document["serverTime"], &document["status"]),
            (&7.into(), &408.into())
        );
        let document = body(Problem::from(AuthError::Scope(Scope::TokensMint)).render("r")).await;
        assert!(document["detail"].as_str().unwrap().contains("tokens:mint"));
        let document = body(
            Problem::from(AuthError::Field {
                field: "avatar",
                detail: "no".into(),
            })
            .render("r"),
        )
        .await;
        assert_eq!(
            (&document["field"], &document["detail"]),
            (&"avatar".into(), &"no".into())
        );
        let document = body(Problem::new(ErrorCode::ApiKeyInvalid).render("r")).await;
        assert!(
            document["detail"]
                .as_str()
                .unwrap()
                .starts_with("API key invalid")
        );
    }
}
