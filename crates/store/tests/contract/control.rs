//! The control log: in the order of commits, without a gap that fills later, seen by everyone.

use std::collections::HashSet;

use chatsdk_store::{ControlKind, Store, StoreError};
use chatsdk_types::{AppId, SessionId};

use crate::harness::{NOW, app_id, contract, session_id, unit};

async fn append(store: &Store, subject: &str) {
    let subject = subject.to_owned();
    unit!(store, |tx| tx
        .append_control(ControlKind::UserBanned, "app", &subject, NOW)
        .await?)
    .unwrap();
}

contract! {
    async fn entries_are_read_from_where_one_stands(database: Database) {
        let store = database.open().await;
        assert_eq!((store.control_head().await, store.control_since(0, 10).await), (Ok(0), Ok(vec![])));
        for (n, kind) in ControlKind::ALL.iter().enumerate() {
            let (kind, at) = (*kind, NOW + n as i64);
            unit!(store, |tx| tx.append_control(kind, "app", kind.as_str(), at).await?).unwrap();
        }
        let all = store.control_since(0, 100).await.unwrap();
        assert_eq!(all.iter().map(|entry| entry.kind).collect::<Vec<_>>(), ControlKind::ALL);
        assert!(all.iter().all(|entry| entry.app == "app" && entry.subject == entry.kind.as_str()));
        assert!(all.is_sorted_by(|a, b| a.seq < b.seq));
        assert_eq!(store.control_head().await, Ok(all.last().unwrap().seq));

        assert_eq!(store.control_since(all[1].seq, 3).await, Ok(all[2..5].to_vec()));
        assert_eq!(store.control_after_time(NOW + 4).await, Ok(all[5..].to_vec()));
    }

    async fn a_number_is_never_used_again(database: Database) {
        let store = database.open().await;
        append(&store, "a").await;
        append(&store, "b").await;
        let head = store.control_head().await.unwrap();
        let pruned = unit!(store, |tx| tx.prune_control(NOW + 1).await?).unwrap();
        assert_eq!((pruned, store.control_head().await), (1, Ok(head)), "the newest row stays");
        append(&store, "c").await;
        let after = store.control_since(head, 10).await.unwrap();
        assert_eq!(after.len(), 1, "whoever stood at the old head sees it");
        assert_eq!(after[0].subject, "c");
    }

    async fn the_end_of_many_sessions_is_many_entries(database: Database) {
        let store = database.open().await;
        let app = app_id();
        let ended: Vec<SessionId> = (0..75).map(|_| session_id()).collect();
        let (a, sessions): (AppId, Vec<SessionId>) = (app.clone(), ended.clone());
        unit!(store, |tx| {
            tx.append_control_sessions(&a, &sessions, NOW).await?;
            tx.append_control(ControlKind::UserDeleted, a.as_str(), "ann", NOW).await?;
        }).unwrap();
        let all = store.control_since(0, u32::MAX).await.unwrap();
        let subjects: Vec<_> = all.iter().map(|entry| entry.subject.clone()).collect();
        let mut wanted: Vec<_> = ended.iter().map(ToString::to_string).collect();
        wanted.push("ann".to_owned());
        assert_eq!(subjects, wanted, "in the order in which they were announced");
    }

    async fn what_is_not_committed_is_not_announced(database: Database) {
        let store = database.open().await;
        let failed = store.write(|tx| Box::pin(async move {
            tx.append_control(ControlKind::UserBanned, "app", "ann", NOW).await?;
            Err::<(), _>(StoreError::Closed)
        })).await;
        assert_eq!(failed, Err(StoreError::Closed));
        assert_eq!(store.control_since(0, 10).await, Ok(vec![]));
    }

    async fn a_reader_beside_many_writers_misses_nothing(database: Database) {
        const WRITERS: usize = 16;
        const EACH: usize = 20;
        let store = database.open().await;
        let writers: Vec<_> = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    append(&store, &format!("{writer}/{n}")).await;
                }
            })
        }).collect();
        // The reader is another process, in all but name: it never looks back.
        let reader = database.open().await;
        let (mut place, mut seen, mut changes) = (0, HashSet::new(), reader.follow());
        while seen.len() < WRITERS * EACH {
            assert!(changes.changed().await);
            for entry in reader.control_since(place, u32::MAX).await.unwrap() {
                assert!(entry.seq > place);
                place = entry.seq;
                assert!(seen.insert(entry.subject));
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
    }

    async fn a_follower_hears_of_this_process_and_of_others(database: Database) {
        let store = database.open().await;
        let mut changes = store.follow();
        assert!(changes.changed().await, "the first look is free");
        append(&store, "a").await;
        assert!(changes.changed().await);
        let beside = database.open().await;
        append(&beside, "b").await;
        while store.control_head().await.unwrap() < 2 {
            assert!(changes.changed().await);
        }
        beside.close().await;
        store.close().await;
        while changes.changed().await {}
    }
}
