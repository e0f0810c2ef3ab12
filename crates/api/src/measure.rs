//! Metrics of requests: how many, how long, by route, method and status. Labels are route templates,
//! never paths: a path may carry a person's id, and every id would be a time series.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram, counter, histogram};

/// The handles of the series, kept: finding one by its labels at each request would cost more than
/// many a request.
#[derive(Default)]
pub(crate) struct Measures(RwLock<HashMap<Box<str>, Vec<Series>>>);

#[derive(Clone)]
struct Series {
    method: &'static str,
    status: u16,
    count: Counter,
    seconds: Histogram,
}

impl Measures {
    /// Counts one reply.
    pub(crate) fn record(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let (method, status) = (method_label(method), status.as_u16());
        let known = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(route)
            .and_then(|all| {
                all.iter()
                    .find(|series| series.status == status && series.method == method)
                    .cloned()
            });
        let series = known.unwrap_or_else(|| self.add(route, method, status));
        series.count.increment(1);
        series.seconds.record(took.as_secs_f64());
    }

    fn add(&self, route: &str, method: &'static str, status: u16) -> Series {
        let series = Series {
            method,
            status,
            count: counter!("http_requests_total", "route" => route.to_owned(), "method" => method, "status" => status.to_string()),
            seconds: histogram!("http_request_duration_seconds", "route" => route.to_owned(), "method" => method, "status" => status.to_string()),
        };
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let all = routes.entry(route.into()).or_default();
        if !all
            .iter()
            .any(|known| known.status == status && known.method == method)
        {
            all.push(series.clone());
        }
        series
    }
}

/// Methods are the caller's choice; the number of series is not.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_made_once() {
        let measures = Measures::default();
        for method in [Method::GET, Method::GET, Method::POST] {
            measures.record("/a", &method, StatusCode::OK, Duration::ZERO);
        }
        let odd = Method::from_bytes(b"BREW").unwrap();
        measures.record("/a", &odd, StatusCode::OK, Duration::ZERO);
        measures.record("/a", &Method::TRACE, StatusCode::OK, Duration::ZERO);
        assert_eq!(measures.0.read().unwrap()["/a"].len(), 3);
    }
}
