//! What only SQLite can get wrong: the file, its owner, the one writer.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chatsdk_store::{Location, Store, StoreError};
use tempfile::TempDir;
use tokio::sync::oneshot;

async fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(Location::Sqlite(path.to_owned())).await
}

async fn fresh() -> (TempDir, PathBuf, Store) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chatsdk.db");
    let store = open(&path).await.unwrap();
    (directory, path, store)
}

async fn set(store: &Store, name: &str) -> Result<(), StoreError> {
    let name = name.to_owned();
    store
        .write(move |tx| Box::pin(async move { tx.set_meta(&name, "1").await }))
        .await
}

#[tokio::test]
async fn another_programs_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes.txt");
    std::fs::write(
        &text,
        "not a database, but longer than the header of one would be; ".repeat(20),
    )
    .unwrap();
    assert!(matches!(open(&text).await, Err(StoreError::Foreign(_))));
    assert!(
        std::fs::read_to_string(&text)
            .unwrap()
            .starts_with("not a database")
    );

    let other = directory.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (a)")
        .unwrap();
    let refused = open(&other).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Foreign(file) if file.ends_with("other.db")),
        "{refused:?}"
    );
    assert!(Store::inspect(Location::Sqlite(other)).await.is_err());
}

#[tokio::test]
async fn a_place_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = open(&directory.path().join("no/such/folder.db"))
        .await
        .unwrap_err();
    assert!(
        matches!(&nowhere, StoreError::Location(why) if why.contains("folder.db")),
        "{nowhere:?}"
    );
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    let (directory, path, store) = fresh().await;
    set(&store, "a").await.unwrap();
    let copy = directory.path().join("copy.db");
    store.backup(&copy, 1).await.unwrap();
    for file in [path.clone(), path.with_extension("db-wal"), copy] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
}

#[tokio::test]
async fn a_closed_database_is_one_file() {
    let (directory, path, store) = fresh().await;
    set(&store, "a").await.unwrap();
    let mut follow = store.follow();
    assert!(follow.changed().await);
    store.close().await;
    let copy = directory.path().join("elsewhere.db");
    std::fs::copy(&path, &copy).unwrap();
    let copy = open(&copy).await.unwrap();
    assert_eq!(copy.meta("a").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn a_unit_that_waits_for_something_else_is_refused() {
    let (_directory, _, store) = fresh().await;
    let (never, waiting) = oneshot::channel::<()>();
    let refused = store
        .write(move |tx| {
            Box::pin(async move {
                tx.set_meta("a", "1").await?;
                let _ = waiting.await;
                Ok::<_, StoreError>(())
            })
        })
        .await;
    drop(never);
    assert_eq!(refused, Err(StoreError::Waited));
    assert_eq!(store.meta("a").await, Ok(None), "and undone");
    set(&store, "b").await.unwrap();
}

/// Whoever holds the file longer than anyone waits costs a typed error, not the writer.
#[tokio::test]
async fn a_locked_file_is_unavailable_and_then_available() {
    let (_directory, path, store) = fresh().await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (one, two) = tokio::join!(set(&store, "a"), set(&store, "b"));
    for refused in [one, two] {
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
    }
    store.ping().await.expect("reading goes on meanwhile");
    other.execute_batch("COMMIT").unwrap();
    set(&store, "a").await.unwrap();
}

/// A full disk takes the whole transaction: nobody in it may be told that it was written.
#[tokio::test]
async fn a_full_disk_fails_everyone_who_was_not_written() {
    let (_directory, path, store) = fresh().await;
    set(&store, "small").await.unwrap();
    store.close().await;
    // A trigger that fills the database past its bound stands in for the disk.
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON meta WHEN NEW.name LIKE 'big%'
             BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END",
        )
        .unwrap();
    let store = open(&path).await.unwrap();
    let units: Vec<_> = (0..60)
        .map(|n| {
            let store = store.clone();
            let name = if n % 20 == 10 {
                format!("big{n}")
            } else {
                format!("a{n}")
            };
            tokio::spawn(async move { (set(&store, &name).await, name) })
        })
        .collect();
    for unit in units {
        let (answer, name) = unit.await.unwrap();
        let there = store.meta(&name).await.unwrap().is_some();
        assert_eq!(answer.is_ok(), there, "{name}: {answer:?}");
        assert!(!name.starts_with("big") || answer.is_err());
    }
    set(&store, "after").await.unwrap();
}

/// The log is begun anew under steady writing, so it does not grow with what is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_does_not_grow_for_ever() {
    let (_directory, path, store) = fresh().await;
    let log = path.with_extension("db-wal");
    let value = "x".repeat(200_000);
    let (mut written, mut renewed, mut last) = (0_u64, false, 0);
    // At most 200 MB; it takes a few checkpoints, each of which begins a tenth of a second after a write.
    while !renewed && written < 1000 {
        let value = value.clone();
        store
            .write(move |tx| Box::pin(async move { tx.set_meta("big", &value).await }))
            .await
            .unwrap();
        written += 1;
        let length = std::fs::metadata(&log).unwrap().len();
        // Every one of these writes is longer than the log of one: if it does not grow, it begins anew.
        renewed = length == last;
        last = length;
    }
    assert!(renewed, "{written} writes, and a log of {last} bytes");
}

/// A copy under load is of one moment: of two facts that are always written together it has both or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_load_is_of_one_moment() {
    let (directory, _, store) = fresh().await;
    let writing = store.clone();
    let (stop, mut stopped) = oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut n = 0;
        while stopped.try_recv().is_err() {
            n += 1;
            let value = format!("{n}");
            writing
                .write(move |tx| {
                    Box::pin(async move {
                        tx.set_meta("left", &value).await?;
                        tx.set_meta("right", &value).await
                    })
                })
                .await
                .unwrap();
        }
    });
    for round in 0..5 {
        let to = directory.path().join(format!("copy{round}.db"));
        store.backup(&to, round).await.unwrap();
        let copy = open(&to).await.unwrap();
        assert_eq!(copy.meta("left").await, copy.meta("right").await);
        copy.close().await;
    }
    stop.send(()).unwrap();
    writer.await.unwrap();
    let left: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains("partial")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Without `close`, dropping the last handle ends the threads and loses nothing that was answered.
#[tokio::test]
async fn a_dropped_store_keeps_what_it_answered() {
    let (_directory, path, store) = fresh().await;
    set(&store, "a").await.unwrap();
    let mut follow = store.follow();
    drop(store);
    while follow.changed().await {}
    assert_eq!(
        open(&path)
            .await
            .unwrap()
            .meta("a")
            .await
            .unwrap()
            .as_deref(),
        Some("1")
    );
}
