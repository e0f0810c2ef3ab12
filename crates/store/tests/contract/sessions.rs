//! Sessions, but for their rotation.

use chatsdk_store::{Session, StoreError};
use chatsdk_types::{AppId, Lifetime, SessionId};

use crate::harness::{NOW, add, app_id, contract, key_id, session, session_id, unit, user_id};

fn several(app: &AppId, user: &str, count: i64) -> Vec<Session> {
    (0..count)
        .map(|n| Session {
            id: SessionId::new(NOW + n, &chatsdk_types::SystemEntropy),
            created_at: NOW + n,
            ..session(app, user)
        })
        .collect()
}

fn ids(sessions: &[Session]) -> Vec<SessionId> {
    sessions.iter().map(|session| session.id.clone()).collect()
}

contract! {
    async fn what_was_inserted_is_read_back(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let full = Session {
            device_id: Some("d1".to_owned()),
            device_name: Some("Ann's phone".to_owned()),
            prev: 5,
            proven: 4,
            rotated_at: NOW + 1,
            revoked_at: Some(NOW + 2),
            revoke_reason: Some("logout".to_owned()),
            ..session(&app, "ann")
        };
        let bare = Session { key: None, ..session(&app, "ann") };
        add(&store, &[full.clone(), bare.clone()]).await;
        assert_eq!(store.session(&full.id).await, Ok(Some(full.clone())));
        assert_eq!(store.session(&bare.id).await, Ok(Some(bare)));
        assert_eq!(store.session(&session_id()).await, Ok(None));

        let (read, user) = store.session_for_refresh(&full.id).await.unwrap().unwrap();
        assert_eq!(read, full);
        assert_eq!((user.id, user.name.as_deref()), (full.user, Some("ann")));
        assert_eq!(store.session_for_refresh(&session_id()).await, Ok(None));
    }

    async fn an_id_is_used_once(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let one = session(&app, "ann");
        add(&store, std::slice::from_ref(&one)).await;
        let again = unit!(store, |tx| tx.insert_session(&one).await?);
        assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    }

    async fn a_list_is_newest_first_and_shows_the_living(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let mut all = several(&app, "ann", 4);
        all[1].revoked_at = Some(NOW);
        add(&store, &all).await;
        add(&store, &[session(&app, "bob"), session(&app_id(), "ann")]).await;
        let listed = store.sessions_of(&app, &user_id("ann")).await.unwrap();
        assert_eq!(ids(&listed), [&all[3], &all[2], &all[0]].map(|session| session.id.clone()));
    }

    async fn the_living_sessions_of_a_device_are_found(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let mut all = several(&app, "ann", 5);
        for (at, device) in [(0, "d1"), (1, "d1"), (2, "d1"), (3, "d1"), (4, "d2")] {
            all[at].device_id = Some(device.to_owned());
        }
        all[1].rt_exp = NOW;
        all[3].revoked_at = Some(NOW);
        add(&store, &all).await;
        let (a, ann) = (app.clone(), user_id("ann"));
        let (found, none, count) = unit!(store, |tx| (
            tx.live_sessions_of_device(&a, &ann, "d1", NOW).await?,
            tx.live_sessions_of_device(&a, &ann, "d9", NOW).await?,
            tx.count_sessions(&a, &ann).await?,
        )).unwrap();
        assert_eq!(found, [all[2].clone(), all[0].clone()]);
        assert_eq!((none.len(), count), (0, 4));
    }

    async fn a_session_ends_once_and_in_its_own_app(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let one = session(&app, "ann");
        add(&store, std::slice::from_ref(&one)).await;
        let (a, id) = (app.clone(), one.id.clone());
        let ended = unit!(store, |tx| (
            tx.revoke_session(&app_id(), &id, "logout", NOW).await?,
            tx.revoke_session(&a, &id, "logout", NOW + 1).await?,
            tx.revoke_session(&a, &id, "stolen", NOW + 2).await?,
        )).unwrap();
        assert_eq!(ended, (false, true, false));
        let row = store.session(&one.id).await.unwrap().unwrap();
        assert_eq!((row.revoked_at, row.revoke_reason.as_deref()), (Some(NOW + 1), Some("logout")));
    }

    async fn all_sessions_of_a_user_end_but_one(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let all = several(&app, "ann", 5);
        let bobs = session(&app, "bob");
        add(&store, &all).await;
        add(&store, std::slice::from_ref(&bobs)).await;
        let (a, kept) = (app.clone(), all[2].id.clone());
        let ended = unit!(store, |tx|
            tx.revoke_sessions_of_user(&a, &user_id("ann"), Some(&kept), "others", NOW).await?
        ).unwrap();
        assert_eq!(ended, ids(&[all[0].clone(), all[1].clone(), all[3].clone(), all[4].clone()]));
        assert_eq!(ids(&store.sessions_of(&app, &user_id("ann")).await.unwrap()), [all[2].id.clone()]);

        let a = app.clone();
        let rest = unit!(store, |tx|
            tx.revoke_sessions_of_user(&a, &user_id("ann"), None, "all", NOW).await?
        ).unwrap();
        assert_eq!(rest, [all[2].id.clone()]);
        assert_eq!(store.session(&bobs.id).await.unwrap().unwrap().revoked_at, None);
    }

    async fn the_sessions_of_a_key_end_with_it(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let mut all = several(&app, "ann", 3);
        all[1].key = Some(key_id("other678"));
        add(&store, &all).await;
        let a = app.clone();
        let ended = unit!(store, |tx|
            tx.revoke_sessions_of_key(&a, &key_id("abcd1234"), "key", NOW).await?
        ).unwrap();
        assert_eq!(ended, [all[0].id.clone(), all[2].id.clone()]);
    }

    async fn only_unused_sessions_make_room(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let mut all = several(&app, "ann", 6);
        all[0].prev = 1;
        all[1].proven = 1;
        all[4].access_ttl = Lifetime::days(30);
        add(&store, &all).await;
        // Their first access tokens expired, but for that of number 4.
        let now = NOW + 3_600_006;
        let a = app.clone();
        let (enough, ended, none_left) = unit!(store, |tx| (
            tx.evict_unused_sessions(&a, &user_id("ann"), 6, now).await?,
            tx.evict_unused_sessions(&a, &user_id("ann"), 4, now).await?,
            tx.evict_unused_sessions(&a, &user_id("ann"), 0, now).await?,
        )).unwrap();
        assert_eq!(enough, []);
        assert_eq!(ended, [all[2].id.clone(), all[3].id.clone()], "oldest first");
        assert_eq!(none_left, [all[5].id.clone()], "used ones and fresh ones stay");
        let row = store.session(&all[2].id).await.unwrap().unwrap();
        assert_eq!(row.revoke_reason.as_deref(), Some("evicted"));
    }

    async fn a_sweep_walks_the_table_and_removes_what_is_over(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let mut all = several(&app, "ann", 10);
        for (at, session) in all.iter_mut().enumerate() {
            match at {
                2 | 7 => session.abs_exp = NOW - 1,
                4 => session.rt_exp = NOW - 1001,
                5 => session.rt_exp = NOW - 1000,
                _ => {}
            }
        }
        add(&store, &all).await;
        let (mut after, mut deleted, mut steps) = (None, 0, 0);
        loop {
            let from: Option<SessionId> = after.clone();
            let (gone, next) = unit!(store, |tx| tx.sweep_sessions(from.as_ref(), 4, NOW, 1000).await?).unwrap();
            (deleted, steps) = (deleted + gone, steps + 1);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((deleted, steps), (3, 3));
        let mut left = ids(&store.sessions_of(&app, &user_id("ann")).await.unwrap());
        left.sort();
        let kept: Vec<_> = [0, 1, 3, 5, 6, 8, 9].map(|at: usize| all[at].id.clone()).into();
        assert_eq!(left, kept);
    }
}
