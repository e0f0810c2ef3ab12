//! The audit log.

use chatsdk_store::{AuditEntry, AuditFilter, AuditLine, Store};
use chatsdk_types::Millis;

use crate::harness::{NOW, contract, unit};

/// What the log says to a filter, without the numbers of its lines.
async fn read(store: &Store, filter: &AuditFilter, limit: u32) -> Vec<(Millis, String)> {
    let lines = store.audit(filter, None, limit).await.unwrap();
    lines
        .into_iter()
        .map(|AuditLine { entry, .. }| (entry.at, entry.detail))
        .collect()
}

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

    async fn lines_are_read_newest_first_through_a_filter(database: Database) {
        let store = database.open().await;
        assert_eq!(read(&store, &AuditFilter::default(), 10).await, []);
        let (app, other) = ("app_00000000000000000000000001", "app_00000000000000000000000002");
        unit!(store, |tx| for (at, app, user, detail) in [
            (NOW, app, "ann", "1"), (NOW, app, "bob", "2"), (NOW + 1, other, "ann", "3"), (NOW + 2, "", "", "4"),
        ] {
            let (action, actor) = ("token.mint".to_owned(), "operator".to_owned());
            let entry = AuditEntry {
                at, action, actor, app: app.to_owned(), user: user.to_owned(), detail: detail.to_owned(),
                session: "ses".to_owned(), ip: "::1".to_owned(), user_agent: "curl".to_owned(), request_id: "r".to_owned(),
            };
            tx.append_audit(&entry).await?;
        }).unwrap();
        let said = async |filter: AuditFilter| {
            let lines = read(&store, &filter, 10).await;
            lines.into_iter().map(|(_, detail)| detail).collect::<String>()
        };
        let all = AuditFilter::default;
        assert_eq!(said(all()).await, "4321");
        assert_eq!(said(AuditFilter { app: Some(app.parse().unwrap()), ..all() }).await, "21");
        assert_eq!(said(AuditFilter { user: Some("ann".parse().unwrap()), ..all() }).await, "31");
        assert_eq!(said(AuditFilter { since: Some(NOW + 1), ..all() }).await, "43");
        let both = AuditFilter { app: Some(other.parse().unwrap()), user: Some("ann".parse().unwrap()), since: Some(NOW + 2) };
        assert_eq!(said(both).await, "");
        assert_eq!(read(&store, &all(), 1).await, [(NOW + 2, "4".to_owned())]);

        // Page after page, also through lines of one millisecond.
        let (mut pages, mut last) = (String::new(), None);
        while let Some(line) = store.audit(&all(), last.as_ref(), 1).await.unwrap().pop() {
            pages.push_str(&line.entry.detail);
            last = Some(line);
        }
        assert_eq!(pages, "4321");
        let last = last.unwrap().entry;
        assert_eq!((last.session, last.ip, last.user_agent, last.request_id), ("ses".into(), "::1".into(), "curl".into(), "r".into()));
    }
}
