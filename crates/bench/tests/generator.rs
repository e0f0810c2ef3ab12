//! The generator against servers that know what a chain is.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use chatsdk_bench::floors;
use chatsdk_bench::load::{Address, Chain, Outcome, Plan, Script, drive, script};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const WINDOW: Duration = Duration::from_millis(300);

/// The newest counter of each session. A refresh that presents any other is refused.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashMap<String, u64>>>);

async fn rotate(
    State(sessions): State<Sessions>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let token = body["refreshToken"].as_str().unwrap_or_default();
    let (session, counter) = token.split_once('.').unwrap_or((token, "0"));
    let mut sessions = sessions.0.lock().unwrap();
    let newest = sessions.entry(session.to_owned()).or_default();
    if counter.parse() != Ok(*newest) {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({ "code": "refresh_token_reused" })),
        );
    }
    *newest += 1;
    (
        StatusCode::OK,
        Json(json!({ "accessToken": "a", "refreshToken": format!("{session}.{newest}") })),
    )
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn run(to: SocketAddr, scripts: Vec<Script>) -> Outcome {
    let plan = Plan {
        to,
        scripts,
        warm_up: Duration::ZERO,
        window: WINDOW,
        watched: vec![std::process::id()],
    };
    drive(plan).await.unwrap()
}

fn chain(to: &Address, token: &str) -> Script {
    let head = script::head("POST", to, &[]);
    Script::Chain(
        Chain::new(
            &head,
            r#"{"refreshToken":"{token}"}"#,
            "refreshToken",
            token.to_owned(),
        )
        .unwrap(),
    )
}

#[tokio::test]
async fn chains_present_each_successor_once_and_go_on_in_the_next_run() {
    let sessions = Sessions::default();
    let at = serve(
        Router::new()
            .route("/refresh", post(rotate))
            .with_state(sessions.clone()),
    )
    .await;
    let to = Address::resolve(&format!("http://{at}/refresh"))
        .await
        .unwrap();
    let scripts = (0..8)
        .map(|session| chain(&to, &format!("s{session}.0")))
        .collect();

    let first = run(at, scripts).await;
    assert!(first.is_valid(), "{:?}", first.errors);
    let after_first: u64 = sessions.0.lock().unwrap().values().sum();
    // Requests that ended behind the window were finished, but not counted.
    assert!(first.latencies.count() <= after_first && after_first <= first.latencies.count() + 8);

    let second = run(at, first.scripts).await;
    assert!(second.is_valid(), "{:?}", second.errors);
    assert_eq!(sessions.0.lock().unwrap().len(), 8);
    assert!(sessions.0.lock().unwrap().values().sum::<u64>() > after_first);
}

#[tokio::test]
async fn one_refused_chain_makes_the_run_invalid() {
    let at = serve(
        Router::new()
            .route("/refresh", post(rotate))
            .with_state(Sessions::default()),
    )
    .await;
    let to = Address::resolve(&format!("http://{at}/refresh"))
        .await
        .unwrap();
    let outcome = run(at, vec![chain(&to, "a.0"), chain(&to, "b.7")]).await;
    assert!(!outcome.is_valid());
    assert_eq!(
        outcome.errors.get("401"),
        Some(&1),
        "a broken chain is not presented again"
    );
    assert!(outcome.sample.unwrap().contains("refresh_token_reused"));
    assert!(outcome.latencies.count() > 0, "the other chain went on");
}

#[tokio::test]
async fn the_floor_echoes_a_body_of_the_product_s_size() {
    let at = serve(floors::http::router()).await;
    let to = Address::resolve(&format!("http://{at}{}", floors::http::PATH))
        .await
        .unwrap();
    let floor = Script::fixed(&script::head("POST", &to, &[]), &floors::http::body());
    let outcome = run(at, vec![floor; 4]).await;
    assert!(outcome.is_valid(), "{:?}", outcome.errors);
    assert!(outcome.cpu_micros(0).is_some_and(|micros| micros > 0.0));
}

#[tokio::test]
async fn every_status_but_success_is_an_error() {
    let at =
        serve(Router::new().route("/", post(|| async { StatusCode::SERVICE_UNAVAILABLE }))).await;
    let to = Address::resolve(&format!("http://{at}/")).await.unwrap();
    let outcome = run(
        at,
        vec![Script::fixed(&script::head("POST", &to, &[]), "{}")],
    )
    .await;
    assert!(
        outcome.errors.get("503").is_some_and(|count| *count > 1),
        "fixed requests go on"
    );
    assert!(!outcome.is_valid());
}
