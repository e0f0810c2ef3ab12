use crate::support::Server;

#[tokio::test]
async fn a_person_ends_a_device() {
    let server = Server::start().await;
    let (here, there, bob) = (
        server.sign_in("ann").await,
        server.sign_in("ann").await,
        server.sign_in("bob").await,
    );
    let path = |tokens: &serde_json::Value| {
        format!("/auth/sessions/{}", tokens["sessionId"].as_str().unwrap())
    };
    server.bearer("DELETE", &path(&there), &here).await.ok();
    server
        .refresh(&there["refreshToken"])
        .await
        .problem("session_revoked");
    server.bearer("DELETE", &path(&there), &here).await.ok();
    server
        .bearer("DELETE", &path(&bob), &here)
        .await
        .problem("session_not_found");
    server.refresh(&bob["refreshToken"]).await.ok();
    for unknown in ["ses_01h455vb4pex5vsknk084sn02q", "x", "%20", "ses_"] {
        let reply = server
            .bearer("DELETE", &format!("/auth/sessions/{unknown}"), &here)
            .await;
        reply.problem("session_not_found");
    }
    server
        .bearer("DELETE", "/auth/sessions/%ff", &here)
        .await
        .problem("invalid_request");
    server.bearer("DELETE", &path(&here), &here).await.ok();
    server
        .bearer("GET", "/auth/sessions", &here)
        .await
        .problem("token_revoked");
}
