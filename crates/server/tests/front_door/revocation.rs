//! Ending sessions and banning people, on both databases.

use chatsdk_store::StoreError;
use chatsdk_testkit::{Database, Socket, TestServer};
use serde_json::json;

both! {
    /// Logout ends this device, at once and durably, and no other.
    async fn logout_ends_one_device(database: Database) {
        let server = TestServer::start(database).await;
        let (phone, laptop) = (server.backend.sign_in("ann").await, server.backend.sign_in("ann").await);
        let mut socket = Socket::connected(server.realtime(), &phone.access).await;
        let done = server.request("POST", "/auth/revoke").json(&json!({ "refreshToken": phone.refresh })).send().await.ok();
        assert_eq!(done.json(), json!({}));
        assert_eq!(socket.closed().await, (3503, "session_revoked".to_owned()));
        assert_eq!(phone.standing().await, "401 token_revoked");
        assert_eq!(phone.refresh_standing().await, "401 session_revoked");
        assert_eq!(laptop.standing().await, "200");
        assert_eq!(laptop.refresh_standing().await, "200");
    }

    /// RFC 7009: what is unknown, old or garbage is answered the same; an old counter still logs out.
    async fn revoking_is_idempotent_and_forgiving(database: Database) {
        let server = TestServer::start(database).await;
        let revoke = async |token: &str| server.request("POST", "/auth/revoke").json(&json!({ "refreshToken": token })).send().await.outcome();
        assert_eq!(revoke("garbage").await, "200");
        let ann = server.backend.sign_in("ann").await;
        server.clock.advance(1000);
        let newer = ann.refreshed().await;
        assert_eq!(newer.standing().await, "200");
        server.clock.advance(8 * 24 * 3_600_000);
        assert_eq!(revoke(&ann.refresh).await, "200");
        assert_eq!(revoke(&ann.refresh).await, "200");
        assert_eq!(newer.refresh_standing().await, "401 session_revoked");
    }

    /// The other devices, or all of them, with a live proof.
    async fn others_and_all(database: Database) {
        let server = TestServer::start(database).await;
        let (a, b, c) = (server.backend.sign_in("ann").await, server.backend.sign_in("ann").await, server.backend.sign_in("ann").await);
        let bob = server.backend.sign_in("bob").await;
        server.request("POST", "/auth/revoke").json(&json!({ "refreshToken": a.refresh, "scope": "others" })).send().await.ok();
        assert_eq!((a.standing().await, b.standing().await, c.standing().await), ("200".into(), "401 token_revoked".into(), "401 token_revoked".into()));
        let d = server.backend.sign_in("ann").await;
        d.request("POST", "/auth/revoke").json(&json!({ "scope": "user" })).send().await.ok();
        assert_eq!((a.standing().await, d.standing().await), ("401 token_revoked".into(), "401 token_revoked".into()));
        assert_eq!(bob.standing().await, "200");
        let again = server.backend.sign_in("ann").await;
        assert_eq!(again.standing().await, "200", "a new login right after works, in the same millisecond too");
        assert_eq!(server.request("POST", "/auth/revoke").json(&json!({ "refreshToken": d.refresh, "scope": "user" })).send().await.outcome(), "401 session_revoked");
        assert_eq!(again.standing().await, "200");
    }

    /// A person lists and ends their own sessions, and nobody else's.
    async fn own_sessions(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in_with(&json!({ "userId": "ann", "deviceName": "Ann's phone" })).await;
        let other = server.backend.sign_in("ann").await;
        let bob = server.backend.sign_in("bob").await;
        let listed = ann.request("GET", "/auth/sessions").send().await.ok().json();
        let listed = listed["sessions"].as_array().unwrap();
        assert_eq!(listed.len(), 2);
        let own = listed.iter().find(|session| session["current"] == true).unwrap();
        assert_eq!((own["id"].as_str(), own["deviceName"].as_str()), (Some(ann.session.as_str()), Some("Ann's phone")));
        assert_eq!(ann.request("DELETE", &format!("/auth/sessions/{}", bob.session)).send().await.outcome(), "404 session_not_found");
        ann.request("DELETE", &format!("/auth/sessions/{}", other.session)).send().await.ok();
        assert_eq!((other.standing().await, bob.standing().await), ("401 token_revoked".into(), "200".into()));
    }

    /// The host's calls: list, end one, all, all but one.
    async fn a_host_ends_sessions(database: Database) {
        let server = TestServer::start(database).await;
        let (a, b) = (server.backend.sign_in("ann").await, server.backend.sign_in("ann").await);
        let bob = server.backend.sign_in("bob").await;
        let listed = server.backend.request("GET", "/auth/users/ann/sessions").send().await.ok().json();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
        server.backend.request("DELETE", &format!("/auth/users/ann/sessions/{}", a.session)).send().await.ok();
        assert_eq!((a.standing().await, b.standing().await), ("401 token_revoked".into(), "200".into()));
        let c = server.backend.sign_in("ann").await;
        server.backend.request("POST", "/auth/users/ann/revoke").json(&json!({ "except": c.session })).send().await.ok();
        assert_eq!((b.standing().await, c.standing().await), ("401 token_revoked".into(), "200".into()));
        server.backend.request("DELETE", "/auth/users/ann/sessions").send().await.ok();
        assert_eq!((c.standing().await, bob.standing().await), ("401 token_revoked".into(), "200".into()));
        server.backend.request("DELETE", "/auth/users/nobody/sessions").send().await.ok();
    }

    /// A ban closes everything at once, and waits with the sessions until it is lifted.
    async fn a_ban_and_its_lifting(database: Database) {
        let mut server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let mut socket = Socket::connected(server.realtime(), &ann.access).await;
        server.backend.request("POST", "/auth/users/ann/ban").json(&json!({ "reason": "spam" })).send().await.ok();
        assert_eq!(socket.closed().await, (3503, "user_banned".to_owned()));
        assert_eq!(ann.standing().await, "403 user_banned");
        assert_eq!(ann.refresh_standing().await, "403 user_banned");
        assert_eq!(server.backend.mint(&json!({ "userId": "ann" })).await.outcome(), "403 user_banned");
        let (_, event) = Socket::connect(server.realtime(), &ann.access).await;
        assert_eq!(event, chatsdk_testkit::Event::Closed(3503, "user_banned".into()));
        server.restart().await;
        let ann = chatsdk_testkit::Person { address: server.api(), ..ann };
        assert_eq!(ann.standing().await, "403 user_banned", "a restart forgets nothing");
        server.backend.request("DELETE", "/auth/users/ann/ban").send().await.ok();
        assert_eq!(ann.standing().await, "200");
        assert_eq!(ann.refresh_standing().await, "200");
    }

    /// Who was never minted for can be banned; the ban waits.
    async fn a_ban_ahead_of_the_first_login(database: Database) {
        let server = TestServer::start(database).await;
        server.backend.request("POST", "/auth/users/mallory/ban").json(&json!({})).send().await.ok();
        assert_eq!(server.backend.mint(&json!({ "userId": "mallory" })).await.outcome(), "403 user_banned");
    }

    /// Introspection tells a backend what works, of its own app alone.
    async fn introspection(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let active = async |token: &str| {
            server.backend.request("POST", "/auth/introspect").json(&json!({ "token": token })).send().await.ok().json()
        };
        let reply = active(&ann.access).await;
        assert_eq!((reply["active"].as_bool(), reply["sub"].as_str(), reply["sid"].as_str()), (Some(true), Some("ann"), Some(ann.session.as_str())));
        assert_eq!(active(&ann.refresh).await["token_type"], "refresh_token");
        assert_eq!(active("garbage").await, json!({ "active": false }));
        let foreign = crate::common::another_app(&server).await;
        let asked = foreign.request("POST", "/auth/introspect").json(&json!({ "token": ann.access })).send().await.ok();
        assert_eq!(asked.json(), json!({ "active": false }));
        server.clock.advance(3_600_000);
        assert_eq!(active(&ann.access).await, json!({ "active": false }));
        server.backend.request("DELETE", "/auth/users/ann/sessions").send().await.ok();
        assert_eq!(active(&ann.refresh).await, json!({ "active": false }));
    }

    /// One app's key reaches nothing of another app.
    async fn apps_are_strangers(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let foreign = crate::common::another_app(&server).await;
        foreign.request("DELETE", "/auth/users/ann/sessions").send().await.ok();
        foreign.request("DELETE", &format!("/auth/users/ann/sessions/{}", ann.session)).send().await;
        foreign.request("POST", "/auth/users/ann/ban").json(&json!({})).send().await.ok();
        assert_eq!(ann.standing().await, "200");
        assert_eq!(ann.refresh_standing().await, "200");
        let theirs = foreign.request("GET", "/auth/users/ann/sessions").send().await.ok().json();
        assert_eq!(theirs["sessions"], json!([]));
    }

    /// The audit log names who did what, and holds no secret.
    async fn no_secret_is_stored(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        let newer = ann.refreshed().await;
        newer.request("POST", "/auth/revoke").json(&json!({})).send().await.ok();
        let secrets = [&server.backend.key, &ann.access, &ann.refresh, &newer.access, &newer.refresh];
        let dump = crate::common::dump(&server, database).await;
        assert!(dump.contains("token.mint") && dump.contains("session.revoke"));
        for secret in secrets {
            assert!(!dump.contains(secret.as_str()), "a secret is in the database");
            assert!(!dump.contains(secret.rsplit('.').next().unwrap()), "a signature is in the database");
        }
    }
}

both! {
    /// While a host goes on minting, a key is revoked with its sessions: none of them is left.
    async fn a_stolen_key_takes_its_sessions_along(database: Database) {
        let server = TestServer::start(database).await;
        let (minters, minted) = mint_without_end(&server, "ann");
        let key: chatsdk_types::KeyId = server.backend.key.split('_').nth(2).unwrap().parse().unwrap();
        minted.reaches(50).await;
        server.auth().revoke_key(&key, true, "test", &chatsdk_auth::Peer::default()).await.unwrap().unwrap();
        for person in minters.end("401 api_key_revoked").await {
            assert_eq!(person.refresh_standing().await, "401 session_revoked");
        }
    }

    /// The same with a user who is deleted.
    async fn a_deleted_user_takes_their_sessions_along(database: Database) {
        let server = TestServer::start(database).await;
        let (minters, minted) = mint_without_end(&server, "ann");
        minted.reaches(50).await;
        let (app, user) = (server.app.clone(), "ann".parse().unwrap());
        server.auth().change_user(&app, &user, chatsdk_auth::UserChange::Delete, "test", &chatsdk_auth::Peer::default()).await.unwrap();
        for person in minters.end("403 user_banned").await {
            assert_eq!(person.refresh_standing().await, "401 session_revoked");
        }
    }

    /// Who was never seen can be deleted, too, and stays so.
    async fn a_deletion_ahead_of_the_first_login(database: Database) {
        let server = TestServer::start(database).await;
        let (app, user) = (server.app.clone(), "mallory".parse().unwrap());
        assert!(server.auth().change_user(&app, &user, chatsdk_auth::UserChange::Delete, "test", &chatsdk_auth::Peer::default()).await.unwrap());
        assert_eq!(server.backend.mint(&json!({ "userId": "mallory" })).await.outcome(), "403 user_banned");
    }

    /// A logout whose reply was lost is sent again.
    async fn a_logout_can_be_repeated(database: Database) {
        let server = TestServer::start(database).await;
        let ann = server.backend.sign_in("ann").await;
        for _ in 0..2 {
            ann.request("POST", "/auth/revoke").json(&json!({})).send().await.ok();
        }
        let others = ann.request("POST", "/auth/revoke").json(&json!({ "scope": "others" })).send().await;
        assert_eq!(others.outcome(), "401 token_revoked");
    }
}

/// Backends that mint for one user until they are refused.
struct Minters(tokio::task::JoinSet<(Vec<chatsdk_testkit::Person>, String)>);

/// How many tokens were minted so far.
struct Minted(tokio::sync::watch::Receiver<usize>);

impl Minted {
    async fn reaches(mut self, count: usize) {
        self.0.wait_for(|minted| *minted >= count).await.unwrap();
    }
}

impl Minters {
    /// Everybody who was minted for, once each backend was refused with `outcome`.
    async fn end(mut self, outcome: &str) -> Vec<chatsdk_testkit::Person> {
        let mut people = Vec::new();
        while let Some(ended) = self.0.join_next().await {
            let (minted, refused) = ended.unwrap();
            assert_eq!(refused, outcome);
            people.extend(minted);
        }
        people
    }
}

fn mint_without_end(server: &TestServer, user: &'static str) -> (Minters, Minted) {
    let (tell, told) = tokio::sync::watch::channel(0);
    let tell = std::sync::Arc::new(tell);
    let mut minters = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (backend, tell) = (server.backend.clone(), std::sync::Arc::clone(&tell));
        minters.spawn(async move {
            let mut people = Vec::new();
            loop {
                let reply = backend.mint(&json!({ "userId": user })).await;
                if reply.status != 200 {
                    return (people, reply.outcome());
                }
                people.push(chatsdk_testkit::Person::from_reply(backend.address, &reply));
                tell.send_modify(|count| *count += 1);
            }
        });
    }
    (Minters(minters), Minted(told))
}

/// A ban that is answered while a refresh waits for its row: the statement still saw the user as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_ban_that_comes_while_a_refresh_waits_holds() {
    let server = TestServer::start(Database::Postgres).await;
    let ann = server.backend.sign_in("ann").await;
    server.clock.advance(120_000);

    let other = server.fresh_store().await;
    let (holds, held) = tokio::sync::oneshot::channel();
    let (let_go, told) = tokio::sync::oneshot::channel::<()>();
    let (app, session) = (server.app.clone(), ann.session.parse().unwrap());
    let holder = tokio::spawn(async move {
        other
            .write(move |tx| {
                Box::pin(async move {
                    tx.revoke_session(&app, &session, "undone", 0).await?;
                    let _ = holds.send(());
                    let _ = told.await;
                    Err::<(), _>(StoreError::Waited)
                })
            })
            .await
    });
    held.await.unwrap();
    let request = ann.refresh_request(&ann.refresh);
    let refresh = tokio::spawn(async move { request.send().await });
    while server.waiting_for_locks().await == 0 {
        tokio::task::yield_now().await;
    }
    let ban = server.backend.request("POST", "/auth/users/ann/ban");
    ban.json(&json!({})).send().await.ok();
    let _ = let_go.send(());
    assert_eq!(holder.await.unwrap(), Err(StoreError::Waited));
    assert_eq!(refresh.await.unwrap().outcome(), "403 user_banned");

    // The session waits, as every other of theirs.
    let unban = server.backend.request("DELETE", "/auth/users/ann/ban");
    unban.send().await.ok();
    assert_eq!(ann.refresh_standing().await, "200");
}
