use chatsdk_types::Scope;

use crate::support::Server;

#[tokio::test]
async fn a_host_sees_and_ends_sessions() {
    let server = Server::start().await;
    let (a, b) = (
        server.sign_in("ann lee/ü").await,
        server.sign_in("ann lee/ü").await,
    );
    let path = "/auth/users/ann%20lee%2F%C3%BC/sessions";
    let list = server.backend("GET", path, None).await.ok();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 2);
    let one = format!("{path}/{}", a["sessionId"].as_str().unwrap());
    server.backend("DELETE", &one, None).await.ok();
    server.backend("DELETE", &one, None).await.ok();
    server
        .refresh(&a["refreshToken"])
        .await
        .problem("session_revoked");
    let of_another = format!(
        "/auth/users/bob/sessions/{}",
        b["sessionId"].as_str().unwrap()
    );
    server
        .backend("DELETE", &of_another, None)
        .await
        .problem("session_not_found");
    server.backend("DELETE", path, None).await.ok();
    server
        .refresh(&b["refreshToken"])
        .await
        .problem("session_revoked");
    assert_eq!(
        server.backend("GET", path, None).await.ok()["sessions"],
        serde_json::json!([])
    );
    server
        .mint(serde_json::json!({ "userId": "ann lee/ü" }))
        .await
        .ok();
}

#[tokio::test]
async fn strangers_have_no_sessions_and_that_is_fine() {
    let server = Server::start().await;
    assert_eq!(
        server
            .backend("GET", "/auth/users/nobody/sessions", None)
            .await
            .ok()["sessions"],
        serde_json::json!([])
    );
    assert_eq!(
        server
            .backend("DELETE", "/auth/users/nobody/sessions", None)
            .await
            .ok(),
        serde_json::json!({})
    );
    server
        .backend("DELETE", "/auth/users/nobody/sessions/x", None)
        .await
        .problem("session_not_found");
    server
        .backend("GET", "/auth/users/%20/sessions", None)
        .await
        .about("userId");
    server
        .backend("GET", "/auth/users/%ff/sessions", None)
        .await
        .problem("invalid_request");
    let long = format!("/auth/users/{}/sessions", "x".repeat(129));
    server.backend("GET", &long, None).await.about("userId");
    server
        .backend("GET", "/auth/users//sessions", None)
        .await
        .about("userId");
}

#[tokio::test]
async fn a_tenant_sees_its_own_people_alone() {
    use chatsdk_auth::KeyTerms;
    use chatsdk_auth::api_key::Env;
    let server = Server::start().await;
    let ann = server.sign_in("ann").await;
    let terms = KeyTerms {
        env: Env::Test,
        name: "other".into(),
        scopes: chatsdk_types::Scopes::all(),
        expires_in: None,
    };
    let (_, key) = server
        .auth
        .create_app(
            "other".into(),
            chatsdk_store::AppLifetimes::default(),
            terms,
            "test",
        )
        .await
        .unwrap();
    let foreign = [("X-API-Key", key.text.as_str())];
    let list = server
        .send("GET", "/auth/users/ann/sessions", &foreign, b"")
        .await
        .ok();
    assert_eq!(list["sessions"], serde_json::json!([]));
    let one = format!(
        "/auth/users/ann/sessions/{}",
        ann["sessionId"].as_str().unwrap()
    );
    server
        .send("DELETE", &one, &foreign, b"")
        .await
        .problem("session_not_found");
    server
        .send("DELETE", "/auth/users/ann/sessions", &foreign, b"")
        .await
        .ok();
    server.refresh(&ann["refreshToken"]).await.ok();
}

#[tokio::test]
async fn they_take_their_scope() {
    let server = Server::start().await;
    let (_, key) = server
        .key_with(&[Scope::TokensMint, Scope::UsersWrite])
        .await;
    let headers = [("X-API-Key", key.as_str())];
    for (method, path) in [
        ("GET", "/auth/users/a/sessions"),
        ("DELETE", "/auth/users/a/sessions"),
        ("DELETE", "/auth/users/a/sessions/x"),
        ("POST", "/auth/users/a/revoke"),
    ] {
        let document = server
            .send(method, path, &headers, b"")
            .await
            .problem("api_key_scope");
        assert!(
            document["detail"]
                .as_str()
                .unwrap()
                .contains("sessions:revoke")
        );
        server
            .send(method, path, &[], b"")
            .await
            .problem("api_key_missing");
        let page = server
            .send(
                method,
                path,
                &[("X-API-Key", &server.key), ("Origin", "null")],
                b"",
            )
            .await;
        page.problem("browser_forbidden");
        assert_eq!(page.header("access-control-allow-origin"), None);
    }
    let (_, key) = server.key_with(&[Scope::SessionsRevoke]).await;
    for method in ["POST", "DELETE"] {
        let reply = server
            .send(method, "/auth/users/a/ban", &[("X-API-Key", &key)], b"")
            .await;
        assert!(
            reply.problem("api_key_scope")["detail"]
                .as_str()
                .unwrap()
                .contains("users:write")
        );
    }
}
