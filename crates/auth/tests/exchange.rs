//! An exchange in one visit to the database says what the decision table says: rows of every kind, on both
//! sides of every border, put to both databases and to [`decide`].
#![expect(clippy::unwrap_used, reason = "a test")]

use chatsdk_auth::rotation::{Decision, GRACE, Known, Presented, Row, decide, line_6};
use chatsdk_store::{Exchange, Location, Session, Store, StoreError, UserPatch};
use chatsdk_types::{AppId, Lifetime, Millis, SessionId, SystemEntropy};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

const NOW: Millis = 1_767_225_600_000;
const IDLE: Millis = 3_600_000;

/// A session, the state of its user, and what is presented.
#[derive(Debug, Clone)]
struct Case {
    row: Row,
    banned: bool,
    deleted: bool,
    n: i64,
    exp: Millis,
    seen: i64,
}

fn counter() -> impl Strategy<Value = i64> {
    select(vec![
        1,
        NOW - 200_000,
        NOW - 5,
        NOW - 4,
        NOW - 3,
        NOW,
        NOW + 9,
    ])
}

fn around_now() -> impl Strategy<Value = Millis> {
    select(vec![
        NOW - 9,
        NOW - 1,
        NOW,
        NOW + 1,
        NOW + IDLE - 1,
        NOW + 90 * IDLE,
    ])
}

fn rarely() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.05)
}

prop_compose! {
    fn case()(
        cur in counter(),
        prev in prop_oneof![Just(0), counter()],
        proven in prop_oneof![Just(0), counter()],
        ago in select(vec![-5, 0, 1, GRACE - 1, GRACE, GRACE + 1, 10 * GRACE]),
        ends in (around_now(), around_now(), around_now()),
        (revoked, banned, deleted) in (rarely(), rarely(), rarely()),
        other in counter(),
        pick in 0..6,
        seen in prop_oneof![3 => Just(0), 1 => counter()],
    ) -> Case {
        Case {
            row: Row {
                cur, prev, proven, rotated_at: NOW - ago, rt_exp: ends.0, abs_exp: ends.1, idle_ttl: IDLE, revoked,
            },
            banned, deleted,
            n: match pick { 0..3 => cur, 3 => prev.max(1), _ => other },
            exp: ends.2,
            seen,
        }
    }
}

fn session(app: &AppId, user: usize, row: &Row) -> Session {
    Session {
        id: SessionId::new(NOW, &SystemEntropy),
        app: app.clone(),
        user: format!("user-{user}").parse().unwrap(),
        key: None,
        cur: row.cur,
        prev: row.prev,
        proven: row.proven,
        rotated_at: row.rotated_at,
        rt_exp: row.rt_exp,
        abs_exp: row.abs_exp,
        rt_kid: "r1".to_owned(),
        access_ttl: Lifetime::secs(60),
        idle_ttl: Lifetime::from_millis(row.idle_ttl).unwrap(),
        created_at: NOW,
        device_id: None,
        device_name: None,
        revoked_at: row.revoked.then_some(NOW),
        revoke_reason: None,
    }
}

async fn fill(store: &Store, cases: &[Case]) -> Vec<Session> {
    let app = AppId::new(NOW, &SystemEntropy);
    let sessions: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(at, case)| session(&app, at, &case.row))
        .collect();
    let (cases, added) = (cases.to_vec(), sessions.clone());
    store
        .write(move |tx| {
            Box::pin(async move {
                for (session, case) in added.iter().zip(cases) {
                    let (app, user) = (&session.app, &session.user);
                    tx.upsert_user(app, user, &UserPatch::default(), NOW)
                        .await?;
                    if case.banned {
                        tx.ban_user(app, user, None, NOW).await?;
                    }
                    if case.deleted {
                        tx.delete_user(app, user, NOW).await?;
                    }
                    tx.insert_session(session).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
    sessions
}

fn table(case: &Case) -> Decision {
    let row = Row {
        revoked: case.row.revoked || case.deleted,
        ..case.row
    };
    let presented = Presented {
        n: case.n,
        exp: case.exp,
        sent_at: None,
    };
    let known = Known {
        seen: case.seen,
        user_banned: case.banned,
        now: NOW,
    };
    decide(Some(&row), &presented, &known)
}

/// Puts every case to the table and to the database, `at_once` of them at a time.
async fn agree(location: Location, at_once: usize) {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let cases: Vec<Case> = (0..3000)
        .map(|_| case().new_tree(&mut runner).unwrap().current())
        .collect();
    let store = Store::open(location).await.unwrap();
    let sessions = fill(&store, &cases).await;

    let mut rotated = 0;
    let numbers: Vec<usize> = (0..cases.len()).collect();
    for few in numbers.chunks(at_once) {
        let asked: Vec<_> = few
            .iter()
            .map(|&at| {
                let (store, case) = (store.clone(), &cases[at]);
                let exchange = Exchange {
                    session: sessions[at].id.clone(),
                    presented: case.n,
                    exp: case.exp,
                    seen: case.seen,
                    now: NOW,
                    grace_since: NOW - GRACE,
                    rt_kid: "r2".to_owned(),
                    disabled: None,
                    decide: line_6,
                };
                tokio::spawn(async move { store.exchange(exchange, |it| it).await.unwrap() })
            })
            .collect();
        for (&at, asked) in few.iter().zip(asked) {
            let (case, before) = (&cases[at], &sessions[at]);
            let exchanged = asked.await.unwrap();
            let after = store.session(&before.id).await.unwrap().unwrap();
            let Decision::Rotate(plan) = table(case) else {
                assert_eq!(exchanged, None, "{case:?}");
                assert_eq!(&after, before, "{case:?}");
                continue;
            };
            let exchanged = exchanged.unwrap_or_else(|| panic!("not rotated: {case:?}"));
            rotated += 1;
            assert_eq!(&exchanged.before, before, "{case:?}");
            assert_eq!(exchanged.user.id, before.user);
            let wanted = plan.apply(&case.row);
            assert_eq!(Row::of(&after, &exchanged.user), wanted, "{case:?}");
            let successor = exchanged.successor;
            assert_eq!(
                (successor.next, successor.rt_exp),
                (wanted.cur, wanted.rt_exp)
            );
            assert_eq!(after.rt_kid, "r2");
        }
    }
    assert!(
        (300..2700).contains(&rotated),
        "{rotated} of 3000 were rotated"
    );
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_agrees_with_the_table() {
    let directory = tempfile::tempdir().unwrap();
    agree(Location::Sqlite(directory.path().join("chatsdk.db")), 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_agrees_with_the_table() {
    let database = chatsdk_pgtest::fresh_database().await;
    agree(Location::Postgres(database), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_agrees_with_the_table_in_batches() {
    let database = chatsdk_pgtest::fresh_database().await;
    agree(Location::Postgres(database), 50).await;
}
