//! Signing keys come and go, and nobody notices.

use chatsdk_testkit::{Database, TestServer};
use serde_json::Value;

async fn kids(server: &TestServer) -> Vec<String> {
    let set = server
        .request("GET", "/.well-known/jwks.json")
        .send()
        .await
        .ok();
    assert_eq!(set.header("cache-control"), Some("public, max-age=600"));
    let keys: Value = set.json();
    keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            assert!(key.get("d").is_none(), "a private half is published");
            assert_eq!(
                (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
                (
                    &"OKP".into(),
                    &"Ed25519".into(),
                    &"EdDSA".into(),
                    &"sig".into()
                )
            );
            key["kid"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn kid(token: &str) -> String {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A successor is published before it signs, so that a verifier whose key set is ten minutes old never
/// meets a key that it does not know; and the old key verifies until its last token has run out.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_seamless() {
    let server = TestServer::start(Database::Sqlite).await;
    let first = kids(&server).await;
    let mut ann = server.backend.sign_in("ann").await;
    let next = server
        .auth()
        .rotate_signing_key(false, "test")
        .await
        .unwrap();
    let mut cached = kids(&server).await;
    assert_eq!(cached.len(), 2, "pending keys are published");
    for minute in 1..=40 {
        server.clock.advance(60_000);
        server.auth().tend_signing_keys().await.unwrap();
        ann = ann.refreshed().await;
        assert_eq!(ann.standing().await, "200");
        assert!(
            cached.contains(&kid(&ann.access)),
            "minute {minute}: a verifier does not know {}",
            kid(&ann.access)
        );
        if minute % 10 == 0 {
            cached = kids(&server).await;
        }
    }
    assert_eq!(kid(&ann.access), next);
    assert!(cached.contains(&first[0]), "the old key still verifies");
    server.clock.advance(25 * 3_600_000);
    server.auth().tend_signing_keys().await.unwrap();
    assert_eq!(kids(&server).await, [next]);
    ann.refreshed().await;
}

/// By itself, once a month.
#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_by_themselves() {
    let server = TestServer::start(Database::Sqlite).await;
    let first = kids(&server).await;
    server.clock.advance(30 * 86_400_000);
    server.auth().tend_signing_keys().await.unwrap();
    assert_eq!(kids(&server).await.len(), 2);
    server.auth().tend_signing_keys().await.unwrap();
    assert_eq!(kids(&server).await.len(), 2, "one successor is enough");
    server
        .clock
        .advance(chatsdk_auth::PUBLISHED_BEFORE.as_millis());
    server.auth().tend_signing_keys().await.unwrap();
    let ann = server.backend.sign_in("ann").await;
    assert!(!first.contains(&kid(&ann.access)));
}
