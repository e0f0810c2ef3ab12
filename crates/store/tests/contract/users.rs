//! People.

use chatsdk_store::{Patch, UserPatch};

use crate::harness::{NOW, app_id, contract, unit, user_id};

fn named(name: &str) -> UserPatch {
    UserPatch {
        name: Patch::Set(name.to_owned()),
        ..UserPatch::default()
    }
}

contract! {
    async fn a_new_user_without_a_name_is_called_by_its_id(database: Database) {
        let (store, app, ann) = (database.open().await, app_id(), user_id("ann"));
        let (a, u) = (app.clone(), ann.clone());
        let made = unit!(store, |tx| tx.upsert_user(&a, &u, &UserPatch::default(), NOW).await?).unwrap();
        assert_eq!(made.name.as_deref(), Some("ann"));
        assert_eq!((made.created_at, made.updated_at), (NOW, NOW));
        assert_eq!(store.user(&app, &ann).await, Ok(Some(made)));
        assert_eq!(store.user(&app_id(), &ann).await, Ok(None), "another app's ann is someone else");
    }

    async fn a_patch_keeps_clears_and_sets(database: Database) {
        let (store, app, ann) = (database.open().await, app_id(), user_id("ünï 👩‍👩‍👧"));
        let full = UserPatch {
            name: Patch::Set("Ann".to_owned()),
            avatar: Patch::Set("https://a.example/1.png".to_owned()),
            custom: Patch::Set(r#"{"role":"admin","n":"\u0000"}"#.to_owned()),
        };
        let (a, u) = (app.clone(), ann.clone());
        let before = unit!(store, |tx| tx.upsert_user(&a, &u, &full, NOW).await?).unwrap();
        assert_eq!(before.custom.as_deref(), Some(r#"{"role":"admin","n":"\u0000"}"#));

        let patch = UserPatch { name: Patch::Keep, avatar: Patch::Clear, custom: Patch::Set("{}".to_owned()) };
        let (a, u) = (app.clone(), ann.clone());
        let after = unit!(store, |tx| tx.upsert_user(&a, &u, &patch, NOW + 5).await?).unwrap();
        assert_eq!(after.name.as_deref(), Some("Ann"));
        assert_eq!(after.avatar, None);
        assert_eq!(after.custom.as_deref(), Some("{}"));
        assert_eq!((after.created_at, after.updated_at), (NOW, NOW + 5));

        let clear = UserPatch { name: Patch::Clear, ..UserPatch::default() };
        let (a, u) = (app.clone(), ann.clone());
        let cleared = unit!(store, |tx| tx.upsert_user(&a, &u, &clear, NOW + 6).await?).unwrap();
        assert_eq!(cleared.name, None, "an old user who is given no name has none");
        assert_eq!(store.user(&app, &ann).await, Ok(Some(cleared)));
    }

    async fn a_patch_that_changes_nothing_writes_nothing(database: Database) {
        let (store, app, ann) = (database.open().await, app_id(), user_id("ann"));
        for later in [0, 10, 20] {
            let (a, u) = (app.clone(), ann.clone());
            unit!(store, |tx| tx.upsert_user(&a, &u, &named("Ann"), NOW + later).await?).unwrap();
        }
        assert_eq!(store.user(&app, &ann).await.unwrap().unwrap().updated_at, NOW);
    }

    async fn concurrent_upserts_of_one_user_all_succeed(database: Database) {
        let (store, app, ann) = (database.open().await, app_id(), user_id("ann"));
        let upserts: Vec<_> = (0..50).map(|n| {
            let (store, a, u) = (store.clone(), app.clone(), ann.clone());
            tokio::spawn(async move {
                unit!(store, |tx| tx.upsert_user(&a, &u, &named(&format!("Ann {n}")), NOW + n).await?)
            })
        }).collect();
        for (n, upsert) in upserts.into_iter().enumerate() {
            assert_eq!(upsert.await.unwrap().unwrap().name, Some(format!("Ann {n}")));
        }
        assert!(store.user(&app, &ann).await.unwrap().unwrap().name.unwrap().starts_with("Ann "));
    }

    async fn a_ban_holds_until_it_is_lifted(database: Database) {
        let (store, app, bob) = (database.open().await, app_id(), user_id("bob"));
        let (a, u) = (app.clone(), bob.clone());
        let bans = unit!(store, |tx| (
            tx.ban_user(&a, &u, Some("spam"), NOW).await?,
            tx.ban_user(&a, &u, Some("spam"), NOW + 1).await?,
            tx.ban_user(&a, &u, Some("worse"), NOW + 1).await?,
        )).unwrap();
        assert_eq!(bans, (true, false, true), "a stranger can be banned; once, for one reason");
        let banned = store.user(&app, &bob).await.unwrap().unwrap();
        assert_eq!((banned.banned_at, banned.ban_reason.as_deref()), (Some(NOW), Some("worse")));
        assert_eq!(store.banned_users().await, Ok(vec![(app.clone(), bob.clone())]));

        let (a, u) = (app.clone(), bob.clone());
        let minted = unit!(store, |tx| tx.upsert_user(&a, &u, &named("Bob"), NOW + 2).await?).unwrap();
        assert_eq!(minted.banned_at, Some(NOW), "the state after an upsert shows the ban");

        let (a, u) = (app.clone(), bob.clone());
        let lifted = unit!(store, |tx| (
            tx.unban_user(&a, &u, NOW + 3).await?,
            tx.unban_user(&a, &u, NOW + 4).await?,
        )).unwrap();
        assert_eq!(lifted, (true, false));
        assert_eq!(store.banned_users().await, Ok(vec![]));
        assert_eq!(store.user(&app, &bob).await.unwrap().unwrap().ban_reason, None);
    }

    async fn a_deleted_user_stays_deleted(database: Database) {
        let (store, app, ann) = (database.open().await, app_id(), user_id("ann"));
        let (a, u) = (app.clone(), ann.clone());
        let deleted = unit!(store, |tx| {
            let stranger = tx.delete_user(&a, &user_id("zoe"), NOW).await?;
            tx.upsert_user(&a, &u, &named("Ann"), NOW).await?;
            (stranger, tx.delete_user(&a, &u, NOW + 1).await?, tx.delete_user(&a, &u, NOW + 2).await?)
        }).unwrap();
        assert_eq!(deleted, (true, true, false), "a stranger is marked as well");
        assert_eq!(store.deleted_users().await, Ok(vec![(app.clone(), ann.clone()), (app.clone(), user_id("zoe"))]));

        let (a, u) = (app.clone(), ann.clone());
        let minted = unit!(store, |tx| tx.upsert_user(&a, &u, &named("Ann"), NOW + 3).await?).unwrap();
        assert_eq!((minted.deleted_at, minted.name), (Some(NOW + 1), None), "a mint does not bring it back");
    }

    async fn a_unit_sees_what_it_wrote(database: Database) {
        let (store, app, ann) = (database.open().await, app_id(), user_id("ann"));
        let (a, u) = (app.clone(), ann.clone());
        let seen = unit!(store, |tx| {
            tx.upsert_user(&a, &u, &named("Ann"), NOW).await?;
            tx.user(&a, &u).await?
        }).unwrap();
        assert_eq!(seen, store.user(&app, &ann).await.unwrap());
    }
}
