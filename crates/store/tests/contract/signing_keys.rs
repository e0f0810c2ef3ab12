//! Signing keys.

use chatsdk_store::SigningKey;

use crate::harness::{NOW, contract, unit};

fn key(kid: &str, created_at: i64) -> SigningKey {
    SigningKey {
        kid: kid.to_owned(),
        public: vec![1; 32],
        sealed: vec![0, 255, 2, 3],
        created_at,
        activates_at: created_at + 660_000,
        retired_at: None,
        emergency: false,
    }
}

contract! {
    async fn keys_live_through_their_states(database: Database) {
        let store = database.open().await;
        let (old, new) = (key("old", NOW), key("new", NOW + 1));
        let both = (old.clone(), new.clone());
        let listed = unit!(store, |tx| {
            tx.insert_signing_key(&both.1).await?;
            tx.insert_signing_key(&both.0).await?;
            tx.signing_keys().await?
        }).unwrap();
        assert_eq!(listed, [old, new], "oldest first");
        assert_eq!(store.signing_keys().await, Ok(listed));

        let done = unit!(store, |tx| (
            tx.activate_signing_key("new", NOW + 2).await?,
            tx.activate_signing_key("new", NOW + 3).await?,
            tx.retire_signing_key("old", NOW + 2, false).await?,
            tx.retire_signing_key("old", NOW + 3, false).await?,
            tx.retire_signing_key("old", NOW + 4, true).await?,
            tx.activate_signing_key("old", NOW - 1).await?,
        )).unwrap();
        assert_eq!(done, (true, false, true, false, true, false));
        let keys = store.signing_keys().await.unwrap();
        assert_eq!((keys[0].retired_at, keys[0].emergency), (Some(NOW + 2), true), "an emergency is told later");
        assert_eq!((keys[1].activates_at, keys[1].retired_at), (NOW + 2, None));

        let gone = unit!(store, |tx| (
            tx.delete_signing_key("old").await?,
            tx.delete_signing_key("old").await?,
        )).unwrap();
        assert_eq!(gone, (true, false));
        assert_eq!(store.signing_keys().await.unwrap().len(), 1);
    }

    async fn another_seal_changes_nothing_else(database: Database) {
        let store = database.open().await;
        let key = key("one", NOW);
        let row = key.clone();
        let resealed = unit!(store, |tx| {
            tx.insert_signing_key(&row).await?;
            (tx.reseal_signing_key("one", &[4, 5]).await?, tx.reseal_signing_key("two", &[6]).await?)
        }).unwrap();
        assert_eq!(resealed, (true, false));
        assert_eq!(store.signing_keys().await, Ok(vec![SigningKey { sealed: vec![4, 5], ..key }]));
    }
}
