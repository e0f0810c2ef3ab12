//! Minting and refreshing, through the front door, on both databases.

use chatsdk_testkit::{Database, TestServer};
use serde_json::{Value, json};

both! {
    /// The specification's first two curls: documented fields, documented types.
    async fn the_specifications_curls(database: Database) {
        let server = TestServer::start(database).await;
        let body = json!({ "userId": "test-user-123", "name": "Test User", "avatar": "https://example.com/avatar.jpg" });
        let minted = server.backend.mint(&body).await.ok();
        assert_eq!(minted.header("cache-control"), Some("no-store"));
        let reply = minted.json();
        for token in ["accessToken", "refreshToken"] {
            assert!(reply[token].as_str().unwrap().starts_with("eyJ"), "{reply}");
        }
        let life = reply["expiresAt"].as_i64().unwrap() - reply["serverTime"].as_i64().unwrap();
        assert!((3_599_000..=3_600_500).contains(&life), "{life}");
        assert_eq!(reply["expiresIn"], 3600);
        assert_eq!(reply["user"], json!({ "id": "test-user-123", "name": "Test User", "avatar": "https://example.com/avatar.jpg", "custom": null }));

        let refreshed = server.request("POST", "/auth/refresh").json(&json!({ "refreshToken": reply["refreshToken"] })).send().await.ok();
        let refreshed = refreshed.json();
        assert_ne!(refreshed["accessToken"], reply["accessToken"]);
        assert_ne!(refreshed["refreshToken"], reply["refreshToken"]);
        assert_eq!(refreshed["sessionId"], reply["sessionId"]);
        assert_eq!(refreshed["user"], reply["user"]);
        // What a client stores fits into the smallest of secure stores.
        let stored = json!({ "accessToken": refreshed["accessToken"], "refreshToken": refreshed["refreshToken"], "expiresAt": refreshed["expiresAt"] });
        assert!(stored.to_string().len() <= 2048, "{}", stored.to_string().len());
    }

    /// One write for a hundred tabs that wake together.
    async fn a_hundred_at_once_get_one_successor(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let mut tabs = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let request = ann.refresh_request(&ann.refresh);
            tabs.spawn(async move { request.send().await.ok().field("refreshToken") });
        }
        let successors: std::collections::BTreeSet<String> = tabs.join_all().await.into_iter().collect();
        assert_eq!(successors.len(), 1);
        let store = server.fresh_store().await;
        let row = store.session(&ann.session.parse().unwrap()).await.unwrap().unwrap();
        // The counter follows the clock, which stood still: two writes would have moved it by two.
        assert_eq!((row.prev, row.cur), (row.created_at, row.created_at + 1));
        assert_eq!(ann.standing().await, "200", "a rotation leaves the old access token alone");
    }

    /// Repeats within a minute are answered with the same successor, byte for byte.
    async fn a_lost_reply_costs_nothing(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        server.clock.advance(1000);
        ann.refresh_request(&ann.refresh).send_and_hang_up().await;
        let again = ann.refreshed().await;
        for later in [1_000, 58_000] {
            server.clock.advance(later);
            let repeated = ann.refreshed().await;
            assert_eq!(repeated.refresh, again.refresh);
            assert_ne!(repeated.access, again.access);
        }
        // Past the minute the first successor was still never used: another one, and nobody is out.
        server.clock.advance(2_000);
        let another = ann.refreshed().await;
        assert_ne!(another.refresh, again.refresh);
        assert_eq!(another.standing().await, "200");
    }

    /// The old token after its successor was used and the grace is over: theft, and the end for both.
    async fn a_token_that_comes_back_ends_the_session(database: Database) {
        let mut server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let elsewhere = server.backend.sign_in("ann").await;
        server.clock.advance(1000);
        let newer = ann.refreshed().await;
        let mut socket = chatsdk_testkit::Socket::connected(server.realtime(), &newer.access).await;
        server.clock.advance(61_000);
        assert_eq!(ann.refresh_standing().await, "401 refresh_token_reused");
        assert_eq!(socket.closed().await, (3503, "session_revoked".to_owned()));
        // Durable before it was answered: another connection to the database sees it.
        let row = server.fresh_store().await.session(&ann.session.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(row.revoke_reason.as_deref(), Some("refresh_token_reused"));
        assert_eq!(newer.refresh_standing().await, "401 session_revoked");
        assert_eq!(newer.standing().await, "401 token_revoked");
        assert_eq!(ann.standing().await, "401 token_revoked");
        assert_eq!(elsewhere.standing().await, "200", "another device is not concerned");
        server.restart().await;
        let newer = chatsdk_testkit::Person { address: server.api(), ..newer };
        assert_eq!(newer.standing().await, "401 token_revoked", "a restart forgets nothing");
    }

    /// An access token that was used proves its pair as much as a refresh does; over HTTP, at
    /// introspection, whatever the answer.
    async fn use_of_the_access_token_proves_the_pair(database: Database) {
        let server = TestServer::start(database).await;
        for by in ["http", "introspection"] {
            let ann = server.backend.sign_in("ann").await;
            server.clock.advance(1000);
            let newer = ann.refreshed().await;
            if by == "http" {
                assert_eq!(newer.standing().await, "200");
            } else {
                let asked = server.backend.request("POST", "/auth/introspect").json(&json!({ "token": newer.access })).send().await.ok();
                assert_eq!(asked.json()["active"], true);
            }
            server.clock.advance(61_000);
            assert_eq!(ann.refresh_standing().await, "401 refresh_token_reused", "{by}");
        }
    }

    /// What was seen in use reaches the database, so that a restart does not forgive.
    async fn what_was_seen_is_written(database: Database) {
        let mut server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        server.clock.advance(1000);
        let newer = ann.refreshed().await;
        assert_eq!(newer.standing().await, "200");
        server.restart().await;
        server.clock.advance(61_000);
        let ann = chatsdk_testkit::Person { address: server.api(), ..ann };
        assert_eq!(ann.refresh_standing().await, "401 refresh_token_reused");
    }

    /// Idle tokens end; each exchange starts the time anew; the session's end is the end.
    async fn tokens_end(database: Database) {
        let server = TestServer::start(database).await;
        let body = json!({ "userId": "ann", "accessTokenExpiry": "1m", "refreshTokenExpiry": "10m", "sessionExpiry": "25m" });
        let ann = server.backend.sign_in_with(&body).await;
        server.clock.advance(59_000);
        assert_eq!(ann.standing().await, "200");
        server.clock.advance(1_000);
        assert_eq!(ann.standing().await, "401 token_expired");
        server.clock.advance(9 * 60_000 - 1_000);
        let ann = ann.refreshed().await;
        server.clock.advance(10 * 60_000);
        let ann = ann.refreshed().await;
        server.clock.advance(5 * 60_000 + 2_000);
        assert_eq!(ann.refresh_standing().await, "401 refresh_token_expired", "25 minutes are over");
        let idle = server.backend.sign_in_with(&body).await;
        server.clock.advance(10 * 60_000 + 1);
        assert_eq!(idle.refresh_standing().await, "401 refresh_token_expired");
    }

    /// A request that was held up somewhere is not fatal, and says what time it is.
    async fn a_stale_request_is_told_the_time(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let now = chatsdk_types::Clock::now(&server.clock);
        for (sent_at, outcome) in [(now - 15_001, "408 request_stale"), (now + 5_001, "408 request_stale"), (now - 15_000, "200"), (now + 5_000, "200")] {
            let reply = server.request("POST", "/auth/refresh").json(&json!({ "refreshToken": ann.refresh, "sentAt": sent_at })).send().await;
            assert_eq!(reply.outcome(), outcome, "{}", sent_at - now);
            if outcome != "200" {
                assert_eq!(reply.json()["serverTime"], now);
            }
        }
    }

    /// What a host says of a person is kept, cleared, replaced as a whole, and travels in the token.
    async fn a_profile_is_the_hosts_word(database: Database) {
        let server = TestServer::start(database).await;
        let mint = async |body: Value| server.backend.mint(&body).await.ok().json()["user"].clone();
        assert_eq!(mint(json!({ "userId": 42 })).await["name"], "42", "a number is a name, too");
        assert_eq!(mint(json!({ "userId": "42", "name": "Ann", "custom": { "role": "admin", "email": "a@b.c" } })).await["name"], "Ann");
        let kept = mint(json!({ "userId": "42" })).await;
        assert_eq!((kept["name"].as_str(), kept["custom"]["role"].as_str()), (Some("Ann"), Some("admin")));
        let replaced = mint(json!({ "userId": "42", "custom": { "permissions": ["read"] } })).await;
        assert_eq!(replaced["custom"], json!({ "permissions": ["read"] }));
        assert_eq!(mint(json!({ "userId": "42", "name": null, "custom": null })).await, json!({ "id": "42", "name": null, "avatar": null, "custom": null }));
    }

    /// A change of role reaches the token with the next refresh.
    async fn custom_data_is_read_again_at_refresh(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in_with(&json!({ "userId": "ann", "custom": { "role": "user" } })).await;
        server.backend.sign_in_with(&json!({ "userId": "ann", "custom": { "role": "admin" } })).await;
        let newer = ann.refreshed().await;
        assert_eq!(crate::common::claims(&newer.access)["custom"], json!({ "role": "admin" }));
        assert_eq!(crate::common::claims(&ann.access)["custom"], json!({ "role": "user" }));
    }

    /// A page that mints at every load with the id of its device stays one session; its counter is not touched.
    async fn a_device_is_one_session(database: Database) {
        let server = TestServer::start(database).await;
        let body = json!({ "userId": "ann", "deviceId": "phone-1", "deviceName": "Ann's phone" });
        let first = server.backend.sign_in_with(&body).await;
        let second = server.backend.sign_in_with(&body).await;
        assert_eq!((&first.session, &first.refresh), (&second.session, &second.refresh));
        let other = server.backend.sign_in_with(&json!({ "userId": "ann", "deviceId": "phone-2" })).await;
        assert_ne!(first.session, other.session);
        let listed = first.request("GET", "/auth/sessions").send().await.ok().json();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 2, "{listed}");
    }

    /// A device that is minted for with other lifetimes has a session of each kind: each is found again, and none
    /// is ended, because something on the device may live by it.
    async fn a_device_has_a_session_for_each_kind_of_lifetimes(database: Database) {
        let server = TestServer::start(database).await;
        let mint = async |access: &str| {
            let body = json!({ "userId": "ann", "deviceId": "phone-1", "accessTokenExpiry": access });
            server.backend.sign_in_with(&body).await
        };
        let (long, short) = (mint("1h").await, mint("10m").await);
        assert_ne!(long.session, short.session);
        let (long, short) = (long.refreshed().await, short.refreshed().await);
        for _ in 0..2 {
            for person in [&long, &short] {
                let access = if person.session == long.session { "1h" } else { "10m" };
                let again = mint(access).await;
                assert_eq!((&again.session, &again.refresh), (&person.session, &person.refresh));
            }
        }
        let listed = server.backend.request("GET", "/auth/users/ann/sessions").send().await.ok().json();
        let devices: Vec<_> = listed["sessions"].as_array().unwrap().iter().map(|session| &session["deviceId"]).collect();
        assert_eq!(devices, ["phone-1", "phone-1"], "{listed}");

        // Half of the refresh token's life is over, and a day: a new session begins beside the old one, which stays.
        server.clock.advance(4 * 86_400_000);
        let fresh = mint("1h").await;
        assert!(![&long.session, &short.session].contains(&&fresh.session));
        assert_eq!(mint("1h").await.session, fresh.session);
        for person in [&long, &short, &fresh] {
            assert_eq!(person.refresh_standing().await, "200");
        }
    }

    /// Unused sessions make room; used ones never do.
    async fn a_storm_of_mints_evicts_what_was_never_used(database: Database) {
        let server = TestServer::with(database, &[("tokens.sessions_per_user", "5")]).await;
        let used = server.backend.sign_in("ann").await.refreshed().await;
        let unused = server.backend.sign_in("ann").await;
        server.clock.advance(3_601_000);
        for _ in 0..6 {
            server.backend.sign_in("ann").await;
        }
        assert_eq!(used.refresh_standing().await, "200");
        assert_eq!(unused.refresh_standing().await, "401 session_revoked");
    }

    /// What was not made here is answered the same, and ends nothing.
    async fn kinds_of_garbage_are_all_one_answer(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let mut flipped = ann.refresh.clone().into_bytes();
        let last = flipped.len() - 2;
        flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        for token in ["x", "eyJhbGc...", &ann.access, &flipped, &format!("{} ", ann.refresh), &format!("{}.", ann.refresh), &"a.".repeat(5000)] {
            let outcome = ann.present(token).await.outcome();
            assert_eq!(outcome, "401 refresh_token_invalid", "{token:.20}");
        }
        assert_eq!(ann.refresh_standing().await, "200", "and nothing was ended by it");
    }
}

/// Two nodes that share a database behave as one.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_are_one_server() {
    let here = TestServer::start(Database::Postgres).await;
    let there = here.another_node().await;
    let ann = here.backend.sign_in("ann").await;
    let mut tabs = tokio::task::JoinSet::new();
    for tab in 0..100 {
        let node = if tab % 2 == 0 {
            here.api()
        } else {
            there.api()
        };
        let request = chatsdk_testkit::Person {
            address: node,
            ..ann.clone()
        }
        .refresh_request(&ann.refresh);
        tabs.spawn(async move { request.send().await.ok().field("refreshToken") });
    }
    let successors: std::collections::BTreeSet<String> =
        tabs.join_all().await.into_iter().collect();
    assert_eq!(successors.len(), 1);

    let over_there = chatsdk_testkit::Person {
        address: there.api(),
        ..here.backend.sign_in("bob").await
    };
    let mut socket = chatsdk_testkit::Socket::connected(there.realtime(), &over_there.access).await;
    here.backend
        .request("POST", "/auth/users/bob/ban")
        .json(&json!({}))
        .send()
        .await
        .ok();
    assert_eq!(socket.closed().await, (3503, "user_banned".to_owned()));
    assert_eq!(over_there.standing().await, "403 user_banned");
    assert_eq!(over_there.refresh_standing().await, "403 user_banned");
}

/// What is no escape names nobody, rather than somebody else than was meant.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_escaped_well() {
    let server = TestServer::start(Database::Sqlite).await;
    for user in ["%zz", "%", "%2", "a%2", "%ff"] {
        for (method, end) in [("POST", "/ban"), ("DELETE", "/ban"), ("GET", "/sessions")] {
            let path = format!("/auth/users/{user}{end}");
            let mut request = server.backend.request(method, &path);
            if method == "POST" {
                request = request.json(&json!({}));
            }
            assert_eq!(
                request.send().await.outcome(),
                "400 invalid_request",
                "{method} {path}"
            );
        }
    }
    let percent = server.backend.request("POST", "/auth/users/%25zz/ban");
    percent.json(&json!({})).send().await.ok();
    let mint = server.backend.mint(&json!({ "userId": "%zz" })).await;
    assert_eq!(
        mint.outcome(),
        "403 user_banned",
        "a well escaped percent sign is one"
    );
}

/// No id of a person turns the text around it.
#[tokio::test(flavor = "multi_thread")]
async fn user_ids_have_no_marks_of_direction() {
    let server = TestServer::start(Database::Sqlite).await;
    for mark in ["\u{61c}", "\u{200e}", "\u{200f}", "\u{202e}", "\u{2066}"] {
        let mint = server
            .backend
            .mint(&json!({ "userId": format!("a{mark}b") }))
            .await;
        assert_eq!(mint.outcome(), "400 invalid_field", "{mark:?}");
    }
}
