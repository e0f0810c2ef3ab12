//! Opening, migrating, refusing, copying.

use chatsdk_store::{Location, Schema, Store, StoreError};

use crate::harness::{Database, NOW, contract, unit};

/// Runs `sql` on the database behind the store's back.
async fn tamper(database: &Database, sql: &str) {
    match &database.location {
        Location::Sqlite(path) => rusqlite::Connection::open(path)
            .unwrap()
            .execute_batch(sql)
            .unwrap(),
        Location::Postgres(url) => {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
                .await
                .unwrap();
            tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
        }
    }
}

contract! {
    async fn a_database_is_made_once_and_found_again(database: Database) {
        let empty = Store::inspect(database.location.clone()).await.unwrap();
        assert_eq!(empty.version, 0);
        assert!(!empty.is_current());
        let store = database.open().await;
        assert_eq!(store.migrated_from(), 0);
        unit!(store, |tx| tx.set_meta("a", "1").await?).unwrap();
        store.close().await;

        let now = Store::inspect(database.location.clone()).await.unwrap();
        assert_eq!(now, Schema { version: now.latest, latest: now.latest });
        let store = database.open().await;
        assert_eq!(store.migrated_from(), now.latest);
        assert_eq!(store.meta("a").await.unwrap().as_deref(), Some("1"));
    }

    async fn many_processes_may_be_the_first(database: Database) {
        let opening: Vec<_> = (0..6).map(|_| {
            let location = database.location.clone();
            tokio::spawn(Store::open(location))
        }).collect();
        for store in opening {
            store.await.unwrap().unwrap().ping().await.unwrap();
        }
    }

    async fn a_newer_database_is_refused(database: Database) {
        database.open().await.close().await;
        tamper(&database, "INSERT INTO schema_migrations (version, name) VALUES (99, 'future')").await;
        let refused = Store::open(database.location.clone()).await.unwrap_err();
        assert!(matches!(refused, StoreError::NewerSchema { found: 99, .. }), "{refused:?}");
        assert_eq!(Store::inspect(database.location.clone()).await.unwrap().version, 99, "it can be asked");
    }

    async fn a_row_that_we_never_wrote_is_named(database: Database) {
        let store = database.open().await;
        tamper(&database, "INSERT INTO apps (id, name, created_at) VALUES ('not an id', 'x', 1)").await;
        let unreadable = store.apps().await.unwrap_err();
        assert!(matches!(&unreadable, StoreError::InvalidRow(why) if why.contains("app")), "{unreadable:?}");
    }

    async fn a_copy_is_whole_and_knows_that_it_is_one(database: Database) {
        let store = database.open().await;
        unit!(store, |tx| tx.set_meta("a", "1").await?).unwrap();
        let to = database.directory.path().join("copy.db");
        let copied = store.backup(&to, NOW).await;
        if !database.is_sqlite() {
            assert!(matches!(copied, Err(StoreError::Unsupported(why)) if why.contains("pg_dump")));
            assert!(!to.exists());
            return;
        }
        copied.unwrap();
        unit!(store, |tx| tx.set_meta("later", "1").await?).unwrap();
        assert_eq!(store.meta("backed_up_at").await, Ok(None), "the original is no copy");

        let copy = Store::open(Location::Sqlite(to.clone())).await.unwrap();
        assert_eq!(copy.meta("backed_up_at").await, Ok(Some(NOW.to_string())));
        assert_eq!(copy.meta("a").await.unwrap().as_deref(), Some("1"));
        assert_eq!(copy.meta("later").await, Ok(None));

        let again = store.backup(&to, NOW).await;
        assert!(matches!(again, Err(StoreError::File(_))), "nothing is written over: {again:?}");
    }
}
