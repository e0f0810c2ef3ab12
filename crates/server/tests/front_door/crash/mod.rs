//! The binary is killed, again and again, under load. What it answered, it must know afterwards; and
//! whoever retries with what they have is never signed out.

mod ledger;
mod load;

use std::time::Duration;

use chatsdk_testkit::{Backend, Database, Deployment, Person};
use chatsdk_types::{SystemEntropy, entropy};
use serde_json::json;

use load::Load;

/// How many clients refresh, one after the other as fast as they are answered.
const CLIENTS: usize = 24;
/// How many backends mint sessions and end some of them, beside those.
const BACKENDS: usize = 4;
/// The most answers between a start of the server and the moment that is drawn for its end.
const ANSWERS: u64 = 120;
/// The most microseconds that pass after the last of these answers: more than a batch takes, so that the end
/// meets every step of one.
const MICROSECONDS: u64 = 3_000;
/// How long clients may go without an answer before they count as stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// Moments, drawn from a seed (SplitMix64).
struct Moments(u64);

impl Moments {
    /// The moments of the seed in `CRASH_SEED`, or of one that chance gives.
    fn new() -> Self {
        let given = std::env::var("CRASH_SEED").ok();
        let seed = given.map_or_else(
            || u64::from_le_bytes(entropy::bytes(&SystemEntropy)),
            |text| text.parse().unwrap(),
        );
        println!("CRASH_SEED={seed}");
        Self(seed)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Kills the server `kills` times. After each, what it answered until then is looked for in the database, by a
/// connection of the test's own, before another server has had a chance to mend anything; and what was
/// ended is refused by that one.
async fn kills_lose_nothing(database: Database, kills: usize) {
    let mut moments = Moments::new();
    let site = Deployment::new(crate::common::binary(), database).await;
    let mut server = site.serve().await;
    let backend = server.backend();
    let load = Load::new(&backend);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let user = format!("user-{number}");
        let minted = backend.mint(&json!({ "userId": user })).await.ok();
        load.ledger.pair(&minted);
        clients.spawn(load.clone().refreshes(minted.field("refreshToken")));
    }
    for number in 0..BACKENDS {
        clients.spawn(load.clone().comes_and_goes(number));
    }

    let mut ended = 0;
    for _ in 0..kills {
        let answers = load.answered() + 1 + moments.below(ANSWERS);
        tokio::select! {
            reached = tokio::time::timeout(PATIENCE, load.reaches(answers)) => {
                assert!(reached.is_ok(), "the clients are stuck");
            }
            Some(client) = clients.join_next() => panic!("a client ended early: {client:?}"),
        }
        let moment = Duration::from_micros(moments.below(MICROSECONDS));
        // The runtime's timer knows milliseconds alone.
        tokio::task::spawn_blocking(move || std::thread::sleep(moment))
            .await
            .unwrap();
        server.kill().await;

        let Ok(mut door) = tokio::time::timeout(PATIENCE, load.shut()).await else {
            panic!("somebody still waits for the dead server");
        };
        let store = site.store().await;
        let dead = load.ledger.holds(&store).await;
        store.close().await;
        server = site.serve().await;
        for token in &dead {
            let mut gone = Person::nobody(server.api);
            gone.refresh.clone_from(token);
            assert_eq!(gone.refresh_standing().await, "401 session_revoked");
        }
        ended += dead.len();
        *door = server.api;
    }
    load.finish();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }

    // All of it, at the end: what an early kill left alone, no later one has taken.
    let live = load.ledger.all_holds(&site.store().await).await;
    for token in &live {
        let mut person = Person::nobody(server.api);
        person.refresh.clone_from(token);
        assert_eq!(person.refresh_standing().await, "200");
    }
    let answered = load.answered();
    println!(
        "{kills} kills, {answered} answers, {ended} sessions ended, {} alive, nobody signed out",
        live.len()
    );
    assert!(
        ended >= kills / 10 && live.len() >= CLIENTS + kills / 10,
        "there is something of everything: {ended} ended, {} alive",
        live.len()
    );
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_lose_nothing_that_was_answered() {
    kills_lose_nothing(Database::Sqlite, 200).await;
}

/// With PostgreSQL the database outlives the server: what can be lost is what was answered ahead of the commit.
#[tokio::test(flavor = "multi_thread")]
async fn kills_on_postgres_lose_nothing_that_was_answered() {
    kills_lose_nothing(Database::Postgres, 30).await;
}

both! {
    /// A revocation and a ban that were answered hold, however soon the process dies after them.
    async fn what_was_revoked_stays_revoked(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let mut server = site.serve().await;
        let key = server.key.clone().unwrap();
        for round in 0..10 {
            let backend = Backend { address: server.api, key: key.clone() };
            let ann = backend.sign_in("ann").await;
            let bob = backend.sign_in(&format!("bob-{round}")).await;
            ann.request("POST", "/auth/revoke").json(&json!({})).send().await.ok();
            backend.request("POST", &format!("/auth/users/bob-{round}/ban")).json(&json!({})).send().await.ok();
            server.kill().await;
            server = site.serve().await;
            let at = |person: &Person| Person { address: server.api, ..person.clone() };
            assert_eq!(at(&ann).refresh_standing().await, "401 session_revoked");
            assert_eq!(at(&ann).standing().await, "401 token_revoked");
            assert_eq!(at(&bob).standing().await, "403 user_banned");
        }
        server.kill().await;
    }
}
