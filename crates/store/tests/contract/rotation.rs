//! Rotation: `design.md` §5, line 6, as the database sees it.

use chatsdk_store::{Rotation, Session, Store};

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

async fn read(store: &Store, session: &Session) -> Session {
    store.session(&session.id).await.unwrap().unwrap()
}

contract! {
    async fn a_rotation_changes_what_it_says(database: Database) {
        let store = database.open().await;
        let before = one(&store).await;
        let wanted = rotation(&before, before.cur);
        assert_eq!(store.rotate(wanted.clone()).await, Ok(true));
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
        assert_eq!(store.rotate(missing).await, Ok(false), "there is no such session");

        let seen = Rotation { seen: fresh.cur + 1, ..rotation(&fresh, fresh.cur) };
        assert_eq!(store.rotate(seen).await, Ok(false), "memory saw a later counter");
        let seen = Rotation { seen: fresh.cur, ..rotation(&fresh, fresh.cur) };
        assert_eq!(store.rotate(seen.clone()).await, Ok(true), "memory saw this one");

        assert_eq!(store.rotate(seen.clone()).await, Ok(false), "within the grace: the same successor");
        let late = Rotation { grace_since: seen.now + 1, next: seen.next + 1, ..seen.clone() };
        assert_eq!(store.rotate(late).await, Ok(true), "after it, while the successor was not seen");

        store.raise_proven(vec![(fresh.id.clone(), seen.next)]).await.unwrap();
        let old = Rotation { grace_since: seen.now + 9, ..seen.clone() };
        assert_eq!(store.rotate(old).await, Ok(false), "the successor was seen in use");

        let row = read(&store, &fresh).await;
        let ahead = rotation(&row, row.cur + 5);
        assert_eq!(store.rotate(ahead).await, Ok(true), "ahead, because a commit was lost");

        let row = read(&store, &fresh).await;
        let (app, id) = (row.app.clone(), row.id.clone());
        unit!(store, |tx| tx.revoke_session(&app, &id, "logout", NOW).await?).unwrap();
        assert_eq!(store.rotate(rotation(&row, row.cur)).await, Ok(false), "the session was ended");
        assert_eq!(read(&store, &row).await.cur, row.cur);
    }

    async fn of_a_hundred_at_once_one_changes_the_row(database: Database) {
        let store = database.open().await;
        let before = one(&store).await;
        let wanted = rotation(&before, before.cur);
        let rotations: Vec<_> = (0..100).map(|n| {
            let (store, wanted) = (store.clone(), Rotation { next: wanted.next + n, ..wanted.clone() });
            tokio::spawn(async move { (store.rotate(wanted.clone()).await.unwrap(), wanted.next) })
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
            (refused, tokio::spawn(async move { store.rotate(wanted).await }))
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
                    if !store.rotate(wanted).await.unwrap() {
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
}
