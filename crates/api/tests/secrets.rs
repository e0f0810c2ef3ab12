//! Nothing secret is logged, whatever is sent wherever. A program of its own, because the log that it reads
//! is the whole process's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "routes/support.rs"]
#[expect(dead_code, reason = "the tests of the routes use the rest")]
mod support;

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use support::{OPERATOR, Server};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_has_no_secret_in_it() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let server = Server::start().await;
    let key = server.key.clone();
    let tokens = server
        .mint(json!({ "userId": "ann", "custom": { "email": "ann@example.com" } }))
        .await
        .ok();
    let (access, refresh) = (
        tokens["accessToken"].as_str().unwrap(),
        tokens["refreshToken"].as_str().unwrap(),
    );
    server
        .send(
            "GET",
            &format!("/auth/sessions?access_token={access}&key={key}"),
            &[("Authorization", &format!("Bearer {access}"))],
            b"",
        )
        .await
        .ok();
    server
        .send("GET", &format!("/nowhere/{access}?{refresh}"), &[], b"")
        .await
        .problem("not_found");
    let operator = format!("Bearer {OPERATOR}");
    let operator = [("Authorization", operator.as_str())];
    server.send("GET", "/admin/node", &operator, b"").await.ok();
    server
        .send(
            "GET",
            &format!("/admin/node?token={OPERATOR}"),
            &operator,
            b"",
        )
        .await
        .problem("invalid_request");
    server
        .send(
            "GET",
            "/admin/node",
            &[("Authorization", &format!("Bearer {OPERATOR}x"))],
            b"",
        )
        .await
        .problem("operator_token_invalid");
    server
        .post(
            &format!("/auth/tokens?apiKey={key}"),
            &[("X-API-Key", &key)],
            &format!(r#"{{"userId":"{key}","apiKey":"{key}"}}"#),
        )
        .await
        .problem("invalid_request");
    server
        .send(
            "GET",
            "/auth/sessions",
            &[("Authorization", &format!("Bearer {access}x"))],
            b"",
        )
        .await
        .problem("token_invalid");
    server
        .send(
            "GET",
            "/auth/sessions",
            &[("Authorization", &format!("Bearer {key}"))],
            b"",
        )
        .await
        .problem("token_invalid");
    server
        .refresh(&json!(format!("{refresh}x")))
        .await
        .problem("refresh_token_invalid");
    server.refresh(&json!(refresh)).await.ok();
    server.auth.close().await.unwrap();
    server.refresh(&json!(refresh)).await.problem("unavailable");

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("/auth/refresh") && text.contains("cannot be answered just now"),
        "something was logged"
    );
    for secret in ["eyJ", "csk_", "cso_", "ann@example.com", access, refresh] {
        assert!(!text.contains(secret), "{secret} in the log");
    }
}
