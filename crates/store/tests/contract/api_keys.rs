//! API keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chatsdk_store::{ApiKey, StoreError, UserPatch};
use chatsdk_types::{AppId, Scope};

use crate::harness::{NOW, app_id, contract, key_id, unit, user_id};

fn key(app: &AppId, id: &str) -> ApiKey {
    ApiKey {
        id: key_id(id),
        app: app.clone(),
        env: "live".to_owned(),
        hash: std::array::from_fn(|at| at as u8),
        last4: "wxyz".to_owned(),
        name: "backend".to_owned(),
        scopes: [Scope::TokensMint, Scope::UsersWrite].into_iter().collect(),
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

contract! {
    async fn a_key_is_made_found_and_listed(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let one = key(&app, "aaaaaaaa");
        let two = ApiKey { created_at: NOW - 1, expires_at: Some(NOW + 9), ..key(&app, "bbbbbbbb") };
        let foreign = key(&app_id(), "cccccccc");
        let all = [one.clone(), two.clone(), foreign];
        unit!(store, |tx| for key in &all { tx.insert_api_key(key).await?; }).unwrap();
        assert_eq!(store.api_key(&one.id).await, Ok(Some(one.clone())));
        assert_eq!(store.api_key(&key_id("dddddddd")).await, Ok(None));
        assert_eq!(store.api_keys(&app).await, Ok(vec![two, one.clone()]), "oldest first");
        let again = unit!(store, |tx| tx.insert_api_key(&one).await?);
        assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    }

    async fn a_key_ends_once_and_in_its_own_app(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let one = key(&app, "aaaaaaaa");
        let (row, a, id) = (one.clone(), app.clone(), one.id.clone());
        let ended = unit!(store, |tx| {
            tx.insert_api_key(&row).await?;
            (
                tx.revoke_api_key(&app_id(), &id, NOW).await?,
                tx.revoke_api_key(&a, &id, NOW + 1).await?,
                tx.revoke_api_key(&a, &id, NOW + 2).await?,
            )
        }).unwrap();
        assert_eq!(ended, (false, true, false));
        assert_eq!(store.api_key(&one.id).await.unwrap().unwrap().revoked_at, Some(NOW + 1));
    }

    async fn an_end_only_comes_nearer(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let one = key(&app, "aaaaaaaa");
        let (row, id) = (one.clone(), one.id.clone());
        let changed = unit!(store, |tx| {
            tx.insert_api_key(&row).await?;
            (
                tx.expire_api_key(&id, NOW + 20).await?,
                tx.expire_api_key(&id, NOW + 30).await?,
                tx.expire_api_key(&id, NOW + 10).await?,
            )
        }).unwrap();
        assert_eq!(changed, (true, false, true));
        assert_eq!(store.api_key(&one.id).await.unwrap().unwrap().expires_at, Some(NOW + 10));
    }

    async fn the_last_use_only_moves_on(database: Database) {
        let (store, app) = (database.open().await, app_id());
        let (one, two) = (key(&app, "aaaaaaaa"), key(&app, "bbbbbbbb"));
        let both = [one.clone(), two.clone()];
        unit!(store, |tx| {
            for key in &both { tx.insert_api_key(key).await?; }
            tx.touch_api_keys(vec![(both[1].id.clone(), NOW + 5), (both[0].id.clone(), NOW + 7)]).await?;
            tx.touch_api_keys(vec![(both[0].id.clone(), NOW + 6), (key_id("dddddddd"), NOW)]).await?;
        }).unwrap();
        assert_eq!(store.api_key(&one.id).await.unwrap().unwrap().last_used_at, Some(NOW + 7));
        assert_eq!(store.api_key(&two.id).await.unwrap().unwrap().last_used_at, Some(NOW + 5));
    }

    /// Minters whose hold on a key overlaps without end do not keep it from being revoked.
    async fn a_key_in_constant_use_can_be_changed(database: Database) {
        let store = database.open().await;
        let key = key(&app_id(), "aaaaaaaa");
        let row = key.clone();
        unit!(store, |tx| tx.insert_api_key(&row).await?).unwrap();
        let held = Arc::new(AtomicUsize::new(0));
        let mut minters = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (store, key, held) = (store.clone(), key.clone(), Arc::clone(&held));
            minters.spawn(async move {
                loop {
                    let (app, id) = (key.app.clone(), key.id.clone());
                    let found = unit!(store, |tx| {
                        let found = tx.held_api_key(&id).await?.unwrap();
                        // All but one wait here, with the key in their hands.
                        tx.upsert_user(&app, &user_id("ann"), &UserPatch::default(), NOW).await?;
                        for _ in 0..30 {
                            tx.user(&app, &user_id("ann")).await?;
                        }
                        found
                    });
                    if found.unwrap().revoked_at.is_some() {
                        return;
                    }
                    held.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while held.load(Ordering::Relaxed) < 50 {
            tokio::task::yield_now().await;
        }
        let id = key.id.clone();
        unit!(store, |tx| tx.touch_api_keys(vec![(id, NOW)]).await?).unwrap();
        unit!(store, |tx| tx.revoke_api_key(&key.app, &key.id, NOW).await?).unwrap();
        while let Some(minter) = minters.join_next().await {
            minter.unwrap();
        }
    }
}
