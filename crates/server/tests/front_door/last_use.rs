//! When something was last used: of an API key its owner learns it, of a session nobody learns more than the day.

use chatsdk_testkit::{Database, Deployment, TestServer};
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// When a key was last used, as the operator is told.
async fn last_use_of(site: &Deployment, app: &str, id: &Value) -> Option<i64> {
    let keys = site.run(&["key", "list", "--app", app]).await;
    let key = keys.iter().find(|key| key["keyId"] == *id).unwrap();
    key["lastUsedAt"].as_i64()
}

both! {
    /// Whoever rotates a key sees whether the old one is still in use.
    async fn of_a_key_it_is_listed(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let app = site.run(&["app", "create", "one"]).await[0].clone();
        let id = app["appId"].as_str().unwrap();
        let old = site.run(&["key", "list", "--app", id]).await[0].clone();
        let new = site.run(&["key", "rotate", old["keyId"].as_str().unwrap()]).await[0].clone();
        assert_eq!(last_use_of(&site, id, &old["keyId"]).await, None);

        let server = site.serve().await;
        let backend = server.backend_of(&app["apiKey"]);
        let minted = backend.mint(&json!({ "userId": "ann" })).await.ok().json()["serverTime"].as_i64().unwrap();
        let ban = backend.request("DELETE", "/auth/users/ann/ban").send().await;
        assert_eq!(ban.status, 200);
        // Who knows the key's name alone does not use it.
        let mut forged = server.backend_of(&new["apiKey"]);
        let last = if forged.key.pop() == Some('0') { '1' } else { '0' };
        forged.key.push(last);
        assert_eq!(forged.mint(&json!({ "userId": "ann" })).await.outcome(), "401 api_key_invalid");
        server.end().await;
        let used = last_use_of(&site, id, &old["keyId"]).await.unwrap();
        assert!(used >= minted && used < minted + DAY, "{used}, {minted}");
        assert_eq!(last_use_of(&site, id, &new["keyId"]).await, None);
        let text = site.text(&["key", "list", "--app", id]).await;
        assert_eq!(text.matches("last used never").count(), 1, "{text}");
    }

    /// However often a key is used, it is one write when the time for it comes, and the newest moment counts.
    async fn of_a_key_it_is_written_once(database: Database) {
        let server = TestServer::start(database).await;
        let written = async || {
            let store = server.fresh_store().await;
            let id = server.backend.key.split('_').nth(2).unwrap().parse().unwrap();
            store.api_key(&id).await.unwrap().unwrap().last_used_at
        };
        server.auth().flush_key_use().await.unwrap();
        let before = written().await;
        for _ in 0..50 {
            server.clock.advance(100);
            server.backend.sign_in("ann").await;
        }
        assert_eq!(written().await, before, "not at each use");
        server.auth().flush_key_use().await.unwrap();
        assert_eq!(written().await, Some(server.auth().now()));
    }

    /// `SECURITY.md`: a thief cannot look up when the owner refreshed, to slip in before or behind it.
    async fn of_a_session_no_reply_tells_more_than_the_day(database: Database) {
        let server = TestServer::start(database).await;
        let (ann, phone) = (server.backend.sign_in("ann").await, server.backend.sign_in("ann").await);
        server.clock.advance(DAY + HOUR);
        let (ann, phone) = (ann.refreshed().await, phone.refreshed().await);
        // All that speaks of sessions, asked by those who have another token, an old one, or the API key.
        let asked = async || {
            let introspected = async |token: &str| {
                let request = server.backend.request("POST", "/auth/introspect");
                request.json(&json!({ "token": token })).send().await.ok().text
            };
            let sessions = async |path| server.backend.request("GET", path).send().await.ok().text;
            [
                phone.request("GET", "/auth/sessions").send().await.ok().text,
                ann.request("GET", "/auth/sessions").send().await.ok().text,
                sessions("/auth/users/ann/sessions").await,
                introspected(&ann.access).await,
                introspected(&phone.access).await,
            ]
        };
        let before = asked().await;
        server.clock.advance(HOUR / 2);
        let newer = ann.refreshed().await;
        server.clock.advance(HOUR / 4);
        assert_eq!(asked().await, before, "a refresh changes none of it");
        let listed = newer.request("GET", "/auth/sessions").send().await.ok().json();
        for session in listed["sessions"].as_array().unwrap() {
            assert_eq!(session["lastUsedAt"].as_i64().unwrap() % DAY, 0, "{session}");
        }
        // Nor does the refusal of a refresh that was sent long ago: it is the same for every session.
        let stale = async |token: &str| {
            let request = server.request("POST", "/auth/refresh");
            let body = json!({ "refreshToken": token, "sentAt": 1 });
            let mut problem = request.json(&body).send().await.json();
            problem["requestId"].take();
            problem
        };
        let (refreshed, not) = (stale(&ann.refresh).await, stale(&phone.refresh).await);
        assert_eq!((&refreshed["code"], &refreshed), (&json!("request_stale"), &not));
    }
}
