//! The audit log.

use chatsdk_store::AuditEntry;

use crate::harness::{NOW, contract, unit};

contract! {
    async fn lines_are_appended_and_old_ones_dropped(database: Database) {
        let store = database.open().await;
        unit!(store, |tx| for at in [NOW, NOW + 1, NOW + 2] {
            let entry = AuditEntry { at, action: "token.mint".to_owned(), actor: "key:abcd1234".to_owned(), ..AuditEntry::default() };
            tx.append_audit(&entry).await?;
        }).unwrap();
        let pruned = unit!(store, |tx| (tx.prune_audit(NOW + 2).await?, tx.prune_audit(NOW + 2).await?)).unwrap();
        assert_eq!(pruned, (2, 0));
    }
}
