use chatsdk_auth::KeyTerms;
use chatsdk_auth::api_key::Env;
use chatsdk_store::AppLifetimes;
use chatsdk_types::{Scope, Scopes};
use serde_json::{Value, json};

use crate::support::{BEGIN, Server};

#[tokio::test]
async fn what_works_is_described_and_the_rest_is_inactive() {
    let server = Server::start().await;
    let tokens = server.sign_in("ann").await;
    let ask = async |token: &Value| {
        server
            .backend("POST", "/auth/introspect", Some(json!({ "token": token })))
            .await
            .ok()
    };

    let access = ask(&tokens["accessToken"]).await;
    assert_eq!(access["active"], true);
    assert_eq!(access["token_type"], "access_token");
    assert_eq!(access["sub"], "ann");
    assert_eq!(access["sid"], tokens["sessionId"]);
    assert_eq!(access["exp"], (BEGIN + 3_600_000) / 1000);
    assert_eq!(
        ask(&tokens["refreshToken"]).await["token_type"],
        "refresh_token"
    );
    assert_eq!(ask(&json!("garbage")).await, json!({ "active": false }));

    let terms = KeyTerms {
        env: Env::Test,
        name: "other".into(),
        scopes: Scopes::all(),
        expires_in: None,
    };
    let (_, key) = server
        .auth
        .create_app("other".into(), AppLifetimes::default(), terms, "test")
        .await
        .unwrap();
    let body = json!({ "token": tokens["accessToken"] }).to_string();
    let foreign = server
        .post(
            "/auth/introspect",
            &[("X-API-Key", key.text.as_str())],
            &body,
        )
        .await;
    assert_eq!(
        foreign.ok(),
        json!({ "active": false }),
        "another app's token is nobody's business"
    );

    server.clock.advance(3_600_000);
    assert_eq!(
        ask(&tokens["accessToken"]).await,
        json!({ "active": false })
    );
    server
        .backend("DELETE", "/auth/users/ann/sessions", None)
        .await
        .ok();
    assert_eq!(
        ask(&tokens["refreshToken"]).await,
        json!({ "active": false })
    );
}

#[tokio::test]
async fn it_takes_a_key_with_its_scope() {
    let server = Server::start().await;
    let (_, key) = server.key_with(&[Scope::TokensMint]).await;
    server
        .post(
            "/auth/introspect",
            &[("X-API-Key", &key)],
            r#"{"token":"x"}"#,
        )
        .await
        .problem("api_key_scope");
    server
        .post("/auth/introspect", &[], r#"{"token":"x"}"#)
        .await
        .problem("api_key_missing");
    server
        .backend("POST", "/auth/introspect", Some(json!({})))
        .await
        .about("token");
    server
        .backend("POST", "/auth/introspect", Some(json!({ "token": null })))
        .await
        .about("token");
}
