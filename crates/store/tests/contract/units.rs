//! Units of work: all or nothing, each for itself, to the end.

use chatsdk_store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::harness::{contract, unit};

#[derive(Debug, PartialEq)]
enum Decision {
    TooMany,
    Store(StoreError),
}

impl From<StoreError> for Decision {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn fact(store: &Store, name: &str) -> Option<String> {
    store.meta(name).await.unwrap()
}

/// Holds the writer of SQLite until the sender is dropped or used, so that what comes meanwhile shares
/// the next transaction. On PostgreSQL it holds nobody.
async fn hold(store: &Store) -> (std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (entered, ready) = oneshot::channel();
    let store = store.clone();
    let unit = tokio::spawn(async move {
        store
            .write(move |_| {
                Box::pin(async move {
                    let _ = entered.send(());
                    let _ = held.recv();
                    Ok::<_, StoreError>(())
                })
            })
            .await
            .unwrap();
    });
    ready.await.unwrap();
    (release, unit)
}

contract! {
    async fn a_unit_that_decides_otherwise_is_undone(database: Database) {
        let store = database.open().await;
        let decided = store.write(|tx| Box::pin(async move {
            tx.set_meta("a", "1").await?;
            Err::<(), _>(Decision::TooMany)
        })).await;
        assert_eq!(decided, Err(Decision::TooMany));
        assert_eq!(fact(&store, "a").await, None);
    }

    async fn a_failing_unit_among_fifty_fails_alone(database: Database) {
        let store = database.open().await;
        let (release, held) = hold(&store).await;
        let units: Vec<_> = (0..50).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store.write(move |tx| Box::pin(async move {
                    tx.set_meta(&format!("a{n}"), "1").await?;
                    tx.set_meta(&format!("b{n}"), "1").await?;
                    match n {
                        7 => Err(Decision::TooMany),
                        13 => panic!("a unit of work with a bug in it"),
                        _ => Ok(n),
                    }
                })).await
            })
        }).collect();
        drop(release);
        held.await.unwrap();
        for (n, unit) in units.into_iter().enumerate() {
            let answer = unit.await.unwrap();
            let wanted = match n {
                7 => Err(Decision::TooMany),
                13 => Err(Decision::Store(StoreError::Panicked)),
                _ => Ok(n),
            };
            assert_eq!(answer, wanted);
            let kept = answer.is_ok().then(|| "1".to_owned());
            assert_eq!((fact(&store, &format!("a{n}")).await, fact(&store, &format!("b{n}")).await), (kept.clone(), kept));
        }
        unit!(store, |tx| tx.set_meta("after", "1").await?).unwrap();
    }

    async fn the_first_unit_of_a_transaction_can_fail_too(database: Database) {
        let store = database.open().await;
        for n in 0..3 {
            let refused = store.write(move |tx| Box::pin(async move {
                tx.set_meta("a", "1").await?;
                Err::<(), _>(Decision::TooMany)
            })).await;
            assert_eq!(refused, Err(Decision::TooMany));
            unit!(store, |tx| tx.set_meta(&format!("b{n}"), "1").await?).unwrap();
        }
        assert_eq!((fact(&store, "a").await, fact(&store, "b2").await), (None, Some("1".to_owned())));
    }

    async fn a_caller_that_goes_away_cancels_nothing(database: Database) {
        let store = database.open().await;
        let (entered, ready) = oneshot::channel();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let writing = store.clone();
        let caller = tokio::spawn(async move {
            writing.write(move |tx| Box::pin(async move {
                tx.set_meta("a", "1").await?;
                let _ = entered.send(());
                let _ = held.recv();
                tx.set_meta("b", "1").await?;
                Ok::<_, StoreError>(())
            })).await
        });
        ready.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        drop(release);
        // Closing waits for what was handed in.
        store.close().await;
        let store = database.open().await;
        assert_eq!((fact(&store, "a").await, fact(&store, "b").await), (Some("1".to_owned()), Some("1".to_owned())));
    }

    async fn a_swallowed_failure_does_not_pass_for_success(database: Database) {
        let store = database.open().await;
        let app = crate::harness::app();
        let hidden = store.write(move |tx| Box::pin(async move {
            tx.insert_app(&app).await?;
            // The same id again; PostgreSQL gives up the transaction here.
            let _ = tx.insert_app(&app).await;
            Ok::<_, StoreError>(())
        })).await;
        assert!(matches!(hidden, Err(StoreError::Duplicate(_))), "{hidden:?}");
        assert_eq!(store.apps().await, Ok(vec![]));
    }

    async fn reads_see_what_was_answered_before_they_began(database: Database) {
        let store = database.open().await;
        for n in 0..200 {
            unit!(store, |tx| tx.set_meta("n", &n.to_string()).await?).unwrap();
            assert_eq!(fact(&store, "n").await, Some(n.to_string()));
        }
    }

    async fn two_processes_write_beside_each_other(database: Database) {
        let (one, other) = (database.open().await, database.open().await);
        let writers: Vec<_> = (0..40).map(|n| {
            let store = if n % 2 == 0 { one.clone() } else { other.clone() };
            tokio::spawn(async move { unit!(store, |tx| tx.set_meta(&format!("k{n}"), "1").await?) })
        }).collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        for n in 0..40 {
            assert_eq!(fact(&one, &format!("k{n}")).await.as_deref(), Some("1"));
        }
    }

    async fn a_closed_store_says_so(database: Database) {
        let store = database.open().await;
        store.ping().await.unwrap();
        store.close().await;
        assert_eq!(unit!(store, |tx| tx.set_meta("a", "1").await?), Err(StoreError::Closed));
        assert_eq!(store.meta("a").await, Err(StoreError::Closed));
        assert_eq!(store.ping().await, Err(StoreError::Closed));
        store.close().await;
    }
}
