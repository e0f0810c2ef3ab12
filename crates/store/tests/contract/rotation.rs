//! Rotation: `design.md` §5, line 6, as the database sees it, of a row that was read before and of one that
//! was not.

use std::collections::HashSet;
use std::sync::Arc;

use chatsdk_store::{Exchange, Rotation, Session, Store, StoreError, Successor, User};
use chatsdk_types::AppId;

use crate::harness::{NOW, add, app_id, contract, session, session_id, unit};

/// `n` presented a minute after the mint, with a grace of ten seconds.
fn rotation(session: &Session, presented: i64) -> Rotation {
    let now = NOW + 60_000;
    Rotation {
        session: session.id.clone(),
        presented,
        seen: 0,
        next: presented.max(session.cur) + 60_000,
        now,
        grace_since: now - 10_000,
        rt_exp: now + 1_000_000,
        rt_kid: "r2".to_owned(),
    }
}

async fn one(store: &Store) -> Session {
    let one = session(&app_id(), "ann");
    add(store, std::slice::from_ref(&one)).await;
    one
}

async fn rotate(store: &Store, rotation: Rotation) -> Result<bool, StoreError> {
    store
        .write(move |tx| Box::pin(async move { tx.rotate(&rotation).await }))
        .await
}

/// The newest token of `session`, presented a minute after the mint, with a grace of ten seconds.
fn exchange(session: &Session) -> Exchange {
    let now = NOW + 60_000;
    Exchange {
        session: session.id.clone(),
        presented: session.cur,
        exp: session.rt_exp,
        seen: 0,
        now,
        grace_since: now - 10_000,
        rt_kid: "r2".to_owned(),
        disabled: None,
        decide: successor,
    }
}

/// What line 6 gives, of rows that are kept apart from its borders. All of the table, up to its borders, is
/// put to the databases in `auth/tests/exchange.rs`.
fn successor(exchange: &Exchange, session: &Session, user: &User) -> Option<Successor> {
    let rotates = session.revoked_at.is_none()
        && user.banned_at.is_none()
        && session.proven.max(exchange.seen) <= exchange.presented
        && !(session.prev == exchange.presented && session.rotated_at >= exchange.grace_since);
    rotates.then(|| Successor {
        next: (session.cur + 1).max(exchange.now),
        rt_exp: exchange.now + session.idle_ttl.as_millis(),
    })
}

async fn read(store: &Store, session: &Session) -> Session {
    store.session(&session.id).await.unwrap().unwrap()
}

contract! {
    async fn a_rotation_changes_what_it_says(database: Database) {
        let store = database.open().await;
        let before = one(&store).await;
        let wanted = rotation(&before, before.cur);
        assert_eq!(rotate(&store, wanted.clone()).await, Ok(true));
        let after = read(&store, &before).await;
        assert_eq!(after, Session {
            cur: wanted.next,
            prev: wanted.presented,
            proven: wanted.presented,
            rotated_at: wanted.now,
            rt_exp: wanted.rt_exp,
            rt_kid: wanted.rt_kid,
            ..before
        });
    }

    async fn it_holds_only_under_its_conditions(database: Database) {
        let store = database.open().await;
        let fresh = one(&store).await;

        let missing = Rotation { session: session_id(), ..rotation(&fresh, fresh.cur) };
        assert_eq!(rotate(&store, missing).await, Ok(false), "there is no such session");

        let seen = Rotation { seen: fresh.cur + 1, ..rotation(&fresh, fresh.cur) };
        assert_eq!(rotate(&store, seen).await, Ok(false), "memory saw a later counter");
        let seen = Rotation { seen: fresh.cur, ..rotation(&fresh, fresh.cur) };
        assert_eq!(rotate(&store, seen.clone()).await, Ok(true), "memory saw this one");

        assert_eq!(rotate(&store, seen.clone()).await, Ok(false), "within the grace: the same successor");
        let late = Rotation { grace_since: seen.now + 1, next: seen.next + 1, ..seen.clone() };
        assert_eq!(rotate(&store, late).await, Ok(true), "after it, while the successor was not seen");

        store.raise_proven(vec![(fresh.id.clone(), seen.next)]).await.unwrap();
        let old = Rotation { grace_since: seen.now + 9, ..seen.clone() };
        assert_eq!(rotate(&store, old).await, Ok(false), "the successor was seen in use");

        let row = read(&store, &fresh).await;
        let ahead = rotation(&row, row.cur + 5);
        assert_eq!(rotate(&store, ahead).await, Ok(true), "ahead, because a commit was lost");

        let row = read(&store, &fresh).await;
        let (app, id) = (row.app.clone(), row.id.clone());
        unit!(store, |tx| tx.revoke_session(&app, &id, "logout", NOW).await?).unwrap();
        assert_eq!(rotate(&store, rotation(&row, row.cur)).await, Ok(false), "the session was ended");
        assert_eq!(read(&store, &row).await.cur, row.cur);
    }

    async fn of_a_hundred_at_once_one_changes_the_row(database: Database) {
        let store = database.open().await;
        let before = one(&store).await;
        let wanted = rotation(&before, before.cur);
        let rotations: Vec<_> = (0..100).map(|n| {
            let (store, wanted) = (store.clone(), Rotation { next: wanted.next + n, ..wanted.clone() });
            tokio::spawn(async move { (rotate(&store, wanted.clone()).await.unwrap(), wanted.next) })
        }).collect();
        let mut winners = Vec::new();
        for rotation in rotations {
            let (changed, next) = rotation.await.unwrap();
            if changed {
                winners.push(next);
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(read(&store, &before).await.cur, winners[0]);
    }

    async fn everyone_is_told_of_his_own(database: Database) {
        let store = database.open().await;
        let app = app_id();
        let sessions: Vec<_> = (0..200).map(|_| session(&app, "ann")).collect();
        add(&store, &sessions).await;
        // Every third is presented with a counter that the grace of nobody covers.
        let rotations: Vec<_> = sessions.iter().enumerate().map(|(n, session)| {
            let refused = n % 3 == 0;
            let wanted = Rotation {
                seen: if refused { i64::MAX } else { 0 },
                ..rotation(session, session.cur)
            };
            let store = store.clone();
            (refused, tokio::spawn(async move { rotate(&store, wanted).await }))
        }).collect();
        for (session, (refused, rotation)) in sessions.iter().zip(rotations) {
            assert_eq!(rotation.await.unwrap(), Ok(!refused));
            assert_eq!(read(&store, session).await.prev, if refused { 0 } else { session.cur });
        }
    }

    async fn chains_beside_revocations_lose_nothing(database: Database) {
        let store = database.open().await;
        let app = app_id();
        let sessions: Vec<_> = (0..40).map(|_| session(&app, "ann")).collect();
        add(&store, &sessions).await;
        let chains: Vec<_> = sessions.iter().cloned().map(|mut row| {
            let store = store.clone();
            tokio::spawn(async move {
                for step in 1..=20 {
                    let next = row.cur + step;
                    let wanted = Rotation {
                        next,
                        now: NOW + step * 60_000,
                        grace_since: NOW + step * 60_000 - 10_000,
                        ..rotation(&row, row.cur)
                    };
                    if !rotate(&store, wanted).await.unwrap() {
                        return (row, false);
                    }
                    (row.prev, row.cur) = (row.cur, next);
                }
                (row, true)
            })
        }).collect();
        // Other writers lock the same rows, many at once and in an order of their own choosing.
        let (a, count) = (app.clone(), sessions.len());
        let raising = store.raise_proven(sessions.iter().rev().map(|row| (row.id.clone(), 1)).collect());
        let ending = store.write(move |tx| Box::pin(async move {
            tx.revoke_sessions_of_user(&a, &"ann".parse().unwrap(), None, "all", NOW).await
        }));
        let (raised, ended) = tokio::join!(raising, ending);
        assert_eq!(raised, Ok(()));
        assert_eq!(ended.map(|ended: Vec<_>| ended.len()), Ok(count));
        for chain in chains {
            let (row, _) = chain.await.unwrap();
            let stored = read(&store, &row).await;
            assert_eq!((stored.cur, stored.prev), (row.cur, row.prev), "what was answered is there, and no more");
            assert!(stored.revoked_at.is_some());
        }
    }

    async fn proven_only_grows(database: Database) {
        let store = database.open().await;
        let (a, b) = (one(&store).await, one(&store).await);
        store.raise_proven(vec![(a.id.clone(), 7), (b.id.clone(), 3), (a.id.clone(), 5), (session_id(), 9)]).await.unwrap();
        store.raise_proven(vec![(b.id.clone(), 2)]).await.unwrap();
        store.raise_proven(vec![]).await.unwrap();
        assert_eq!((read(&store, &a).await.proven, read(&store, &b).await.proven), (7, 3));
    }

    async fn an_exchange_reads_and_changes_in_one(database: Database) {
        let store = database.open().await;
        let before = one(&store).await;
        let wanted = exchange(&before);
        let exchanged = store.exchange(wanted.clone(), |it| it).await.unwrap().unwrap();
        assert_eq!(exchanged.before, before);
        assert_eq!((&exchanged.user.id, exchanged.user.name.as_deref()), (&before.user, Some("ann")));
        let after = read(&store, &before).await;
        assert_eq!(after, Session {
            cur: exchanged.successor.next,
            prev: wanted.presented,
            proven: wanted.presented,
            rotated_at: wanted.now,
            rt_exp: exchanged.successor.rt_exp,
            rt_kid: wanted.rt_kid.clone(),
            ..before
        });
        assert_eq!(exchanged.successor, Successor { next: wanted.now, rt_exp: wanted.now + after.idle_ttl.as_millis() });

        assert_eq!(store.exchange(wanted.clone(), |it| it).await, Ok(None), "within the grace: the same successor");
        let missing = Exchange { session: session_id(), ..wanted };
        assert_eq!(store.exchange(missing, |it| it).await, Ok(None), "there is no such session");
        assert_eq!(read(&store, &after).await, after);
    }

    async fn an_exchange_of_an_app_that_is_disabled_changes_nothing(database: Database) {
        let store = database.open().await;
        let sessions: Vec<_> = (0..60).map(|n| session(&app_id(), &format!("user-{n}"))).collect();
        add(&store, &sessions).await;
        let shut: HashSet<AppId> = sessions.iter().step_by(3).map(|of| of.app.clone()).collect();
        let wanted = |session: &Session, shut: &Option<Arc<HashSet<AppId>>>| Exchange {
            disabled: shut.clone(),
            ..exchange(session)
        };
        // Each knows some of them: whoever shares a statement with others is not bound by what those know not.
        let sets: Vec<_> = shut.iter().map(|app| Some(Arc::new(HashSet::from([app.clone()])))).collect();
        let all = Some(Arc::new(shut));

        // One by one, then all at once.
        let (few, many) = sessions.split_at(6);
        for (n, session) in few.iter().enumerate() {
            let exchanged = store.exchange(wanted(session, &all), |it| it).await.unwrap();
            assert_eq!(exchanged.is_some(), n % 3 != 0);
        }
        let asked: Vec<_> = many.iter().enumerate().map(|(n, session)| {
            let own = sets.iter().find(|set| set.as_ref().is_some_and(|set| set.contains(&session.app)));
            let known = if n % 2 == 0 { &all } else { own.unwrap_or(&None) };
            let (store, wanted) = (store.clone(), wanted(session, known));
            tokio::spawn(async move { store.exchange(wanted, |it| it).await })
        }).collect();
        for (n, exchange) in asked.into_iter().enumerate() {
            assert_eq!(exchange.await.unwrap().unwrap().is_some(), n % 3 != 0);
        }
        for (n, session) in sessions.iter().enumerate() {
            assert_eq!(read(&store, session).await == *session, n % 3 == 0);
        }
    }

    async fn of_a_hundred_exchanges_at_two_nodes_one_changes_the_row(database: Database) {
        let nodes = [database.open().await, database.open().await];
        for _ in 0..10 {
            let before = one(&nodes[0]).await;
            let asked: Vec<_> = (0..100).map(|n| {
                let (node, wanted) = (nodes[n % 2].clone(), exchange(&before));
                tokio::spawn(async move { node.exchange(wanted, |it| it).await.unwrap() })
            }).collect();
            let mut winners = Vec::new();
            for exchange in asked {
                winners.extend(exchange.await.unwrap());
            }
            assert_eq!(winners.len(), 1);
            assert_eq!(winners[0].before, before);
            assert_eq!(read(&nodes[1], &before).await.cur, winners[0].successor.next);
        }
    }

    async fn everyone_is_told_what_became_of_his_own(database: Database) {
        let store = database.open().await;
        let app = app_id();
        let sessions: Vec<_> = (0..200).map(|n| session(&app, &format!("user-{n}"))).collect();
        add(&store, &sessions).await;
        // Every third is presented after a later counter was seen in use.
        let asked: Vec<_> = sessions.iter().enumerate().map(|(n, session)| {
            let refused = n % 3 == 0;
            let wanted = Exchange {
                seen: if refused { i64::MAX } else { 0 },
                ..exchange(session)
            };
            let store = store.clone();
            (refused, tokio::spawn(async move { store.exchange(wanted, |it| it).await }))
        }).collect();
        for (session, (refused, exchange)) in sessions.iter().zip(asked) {
            let exchanged = exchange.await.unwrap().unwrap();
            assert_eq!(exchanged.as_ref().map(|of| (&of.before, &of.user.id)), (!refused).then_some((session, &session.user)));
            assert_eq!(read(&store, session).await.prev, if refused { 0 } else { session.cur });
        }
    }

    async fn exchanges_beside_revocations_lose_nothing(database: Database) {
        let nodes = [database.open().await, database.open().await];
        let app = app_id();
        let sessions: Vec<_> = (0..40).map(|_| session(&app, "ann")).collect();
        add(&nodes[0], &sessions).await;
        let chains: Vec<_> = sessions.iter().cloned().enumerate().map(|(n, mut row)| {
            let nodes = nodes.clone();
            tokio::spawn(async move {
                for step in 1..=30 {
                    let now = NOW + step * 60_000;
                    let wanted = Exchange { now, grace_since: now - 10_000, ..exchange(&row) };
                    let presented = row.cur;
                    match nodes[(n + step as usize) % 2].exchange(wanted, |it| it).await.unwrap() {
                        Some(exchanged) => {
                            assert_eq!((exchanged.before.cur, exchanged.before.prev), (row.cur, row.prev));
                            (row.prev, row.cur) = (presented, exchanged.successor.next);
                        }
                        None => break,
                    }
                }
                row
            })
        }).collect();
        // Other writers lock the same rows, many at once and in an order of their own choosing.
        let (a, count) = (app.clone(), sessions.len());
        let raising = nodes[0].raise_proven(sessions.iter().rev().map(|row| (row.id.clone(), 1)).collect());
        let ending = nodes[1].write(move |tx| Box::pin(async move {
            tx.revoke_sessions_of_user(&a, &"ann".parse().unwrap(), None, "all", NOW).await
        }));
        let (raised, ended) = tokio::join!(raising, ending);
        assert_eq!(raised, Ok(()));
        assert_eq!(ended.map(|ended: Vec<_>| ended.len()), Ok(count));
        for chain in chains {
            let row = chain.await.unwrap();
            let stored = read(&nodes[0], &row).await;
            assert_eq!((stored.cur, stored.prev), (row.cur, row.prev), "what was answered is there, and no more");
            assert!(stored.revoked_at.is_some());
        }
    }
}
