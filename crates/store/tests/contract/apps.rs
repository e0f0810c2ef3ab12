//! Apps.

use chatsdk_store::{App, AppLifetimes, StoreError};
use chatsdk_types::{AppId, Lifetime, SystemEntropy};

use crate::harness::{NOW, app, app_id, contract, unit};

contract! {
    async fn an_app_is_made_found_and_listed(database: Database) {
        let store = database.open().await;
        let one = app();
        let two = App {
            id: AppId::new(NOW + 1, &SystemEntropy),
            lifetimes: AppLifetimes { access: Some(Lifetime::secs(900)), refresh: None, session: Some(Lifetime::days(30)) },
            ..app()
        };
        let both = (one.clone(), two.clone());
        unit!(store, |tx| { tx.insert_app(&both.1).await?; tx.insert_app(&both.0).await?; }).unwrap();
        assert_eq!(store.app(&two.id).await, Ok(Some(two.clone())));
        assert_eq!(store.app(&app_id()).await, Ok(None));
        assert_eq!(store.apps().await, Ok(vec![one.clone(), two]), "oldest first");

        let again = unit!(store, |tx| tx.insert_app(&one).await?);
        assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    }

    async fn one_is_disabled_until_it_is_enabled(database: Database) {
        let store = database.open().await;
        let one = app();
        let (row, id) = (one.clone(), one.id.clone());
        let changed = unit!(store, |tx| {
            tx.insert_app(&row).await?;
            (tx.enable_app(&id).await?, tx.disable_app(&id, NOW + 1).await?, tx.disable_app(&id, NOW + 2).await?)
        }).unwrap();
        assert_eq!(changed, (false, true, false));
        assert_eq!(store.app(&one.id).await.unwrap().unwrap().disabled_at, Some(NOW + 1));
        let id = one.id.clone();
        assert_eq!(unit!(store, |tx| tx.enable_app(&id).await?), Ok(true));
        assert_eq!(store.app(&one.id).await, Ok(Some(one)));
    }

    async fn its_lifetimes_are_replaced_as_a_whole(database: Database) {
        let store = database.open().await;
        let one = app();
        let (row, id) = (one.clone(), one.id.clone());
        let lifetimes = AppLifetimes { access: Some(Lifetime::secs(60)), refresh: Some(Lifetime::days(1)), session: None };
        let changed = unit!(store, |tx| {
            tx.insert_app(&row).await?;
            (tx.update_app_lifetimes(&id, &lifetimes).await?, tx.update_app_lifetimes(&app_id(), &lifetimes).await?)
        }).unwrap();
        assert_eq!(changed, (true, false));
        assert_eq!(store.app(&one.id).await.unwrap().unwrap().lifetimes, lifetimes);
    }
}
