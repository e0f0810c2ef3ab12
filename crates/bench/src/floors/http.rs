//! A bare axum endpoint that reads a JSON body and answers it.

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Where the endpoint is.
pub const PATH: &str = "/echo";

/// The body: as large as that of a refresh.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Echo {
    refresh_token: String,
}

async fn echo(Json(body): Json<Echo>) -> Json<Echo> {
    Json(body)
}

/// The body of a request to it, with a token as long as the product's.
pub fn body() -> String {
    format!(r#"{{"refreshToken":"{}"}}"#, "e".repeat(236))
}

/// The endpoint, without any layer.
pub fn router() -> Router {
    Router::new().route(PATH, post(echo))
}

/// Serves it on a free port of the loopback interface, says where, and goes on until killed. On a
/// runtime like the product's: a worker per core.
pub fn serve() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let ready = serde_json::json!({ "event": "ready", "api": format!("http://{}", listener.local_addr()?) });
        println!("{ready}");
        axum::serve(listener, router()).await
    })
}
