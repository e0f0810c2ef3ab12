//! Responses of the HTTP transports.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use crate::config::Config;
use crate::origin::OriginPolicy;
use crate::transport::body::Body;

/// What is answered to a request before it is looked into: to a preflight, to a foreign page, to a
/// wrong method. `None`: it may be looked into.
pub(super) fn at_the_door(
    method: &Method,
    headers: &HeaderMap,
    config: &Config,
    allowed: &'static str,
) -> Option<Response<Body>> {
    if !config.origins.allows(headers) {
        return Some(plain(
            StatusCode::FORBIDDEN,
            "Pages of this origin may not connect: add it to allowed_origins.",
        ));
    }
    if method == Method::OPTIONS {
        let mut response = empty(StatusCode::NO_CONTENT);
        let answer = response.headers_mut();
        answer.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(allowed),
        );
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
        return Some(shared_with(response, headers, config));
    }
    if !allowed.split(", ").any(|it| it == method.as_str()) {
        let mut response = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "This address takes no such method.",
        );
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allowed));
        return Some(response);
    }
    None
}

/// A status and nothing else.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::text(""));
    *response.status_mut() = status;
    response
}

/// A status and a sentence.
pub(super) fn plain(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::text(sentence));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The response with the headers by which a browser lets the page that asked read it. Only for requests
/// whose origin is allowed. Cookies and the like come along only where pages are listed by name.
pub(super) fn shared_with(
    mut response: Response<Body>,
    request: &HeaderMap,
    config: &Config,
) -> Response<Body> {
    let Some(origin) = request.get(ORIGIN) else {
        return response;
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if config.origins != OriginPolicy::Any {
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}
