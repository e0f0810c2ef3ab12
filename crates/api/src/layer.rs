//! What happens to every request, in one pass: it gets an id, its caller an address; its reply gets
//! headers, a problem its document, a panic its end; and it is counted and logged.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, Version};
use axum::middleware::Next;
use axum::response::Response;
use chatsdk_types::ErrorCode;

use crate::arrival::{Arrival, X_REQUEST_ID, arrival};
use crate::cors::Verdict;
use crate::guard::guarded;
use crate::problem::{Problem, never_stored};
use crate::router::open_to_pages;
use crate::state::ApiState;

pub(crate) async fn layer(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let verdict = if open_to_pages(route) {
        state.origins().judge(request.headers())
    } else {
        Verdict::Silent
    };
    let socket = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(socket)| *socket);
    let trusted = &state.config().trusted_proxies;
    let arrival = arrival(socket, request.headers(), trusted, state.request_ids());
    request.extensions_mut().insert(arrival.clone());

    let mut response = if names_its_host(request.version(), request.headers()) {
        match guarded(next.run(request)).await {
            Ok(response) => response,
            Err(panic) => axum::response::IntoResponse::into_response(Problem::internal(panic)),
        }
    } else {
        let problem =
            Problem::new(ErrorCode::InvalidRequest).detail("A request has one Host header.");
        axum::response::IntoResponse::into_response(problem)
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log_cause(&problem, route, &arrival);
        let rendered = problem.render(arrival.id());
        let mut headers = std::mem::take(response.headers_mut());
        headers.remove(CONTENT_LENGTH);
        response = rendered;
        response.headers_mut().extend(headers);
    }

    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        never_stored(headers);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    verdict.apply(&method, headers);
    headers.insert(X_REQUEST_ID, arrival.id.clone());

    let (status, took) = (response.status(), started.elapsed());
    state.measures().record(route, &method, status, took);
    // The route, not the path or the query: those may carry what is nobody's business.
    tracing::debug!(
        http.method = %method,
        http.route = route,
        http.status = status.as_u16(),
        http.micros = took.as_micros() as u64,
        request.id = arrival.id(),
        "{method} {route} {}",
        status.as_u16(),
    );
    response
}

/// Whether there is one `Host`, as RFC 9112 (section 3.2) has it. Where there are two, a proxy in front of us
/// may have gone by the other one. HTTP/1.0 needs none.
fn names_its_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => true,
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

fn log_cause(problem: &Problem, route: &str, arrival: &Arrival) {
    let Some(cause) = problem.cause() else { return };
    let id = arrival.id();
    if problem.code() == ErrorCode::Unavailable {
        tracing::warn!(
            request.id = id,
            http.route = route,
            "{route} cannot be answered just now: {cause}"
        );
    } else {
        tracing::error!(
            request.id = id,
            http.route = route,
            "{route} failed: {cause}"
        );
    }
}

/// What a path answers to a method that it has no handler for. The router adds `Allow`.
pub(crate) async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        let mut response = Response::default();
        *response.status_mut() = axum::http::StatusCode::NO_CONTENT;
        return response;
    }
    axum::response::IntoResponse::into_response(Problem::new(ErrorCode::MethodNotAllowed))
}

/// What an address that leads nowhere answers.
pub(crate) async fn nowhere() -> Problem {
    Problem::new(ErrorCode::NotFound)
}
