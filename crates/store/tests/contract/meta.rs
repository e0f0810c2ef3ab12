//! Single facts.

use crate::harness::{contract, unit};

contract! {
    async fn a_fact_is_written_over_and_forgotten(database: Database) {
        let store = database.open().await;
        assert_eq!(store.meta("epoch").await, Ok(None));
        let seen = unit!(store, |tx| {
            tx.set_meta("epoch", "1").await?;
            tx.set_meta("epoch", "2").await?;
            tx.meta("epoch").await?
        }).unwrap();
        assert_eq!(seen.as_deref(), Some("2"));
        assert_eq!(store.meta("epoch").await, Ok(seen));
        let gone = unit!(store, |tx| (tx.delete_meta("epoch").await?, tx.delete_meta("epoch").await?)).unwrap();
        assert_eq!(gone, (true, false));
        assert_eq!(store.meta("epoch").await, Ok(None));
    }
}
