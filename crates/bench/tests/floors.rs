//! The commit loops against real databases.

use std::time::Duration;

use chatsdk_bench::floors;

#[tokio::test]
async fn the_commit_loop_commits_on_sqlite() {
    let directory =
        std::env::temp_dir().join(format!("chatsdk-bench-commit-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let commits = floors::commit::run(&directory, Duration::from_millis(50)).unwrap();
    assert!(commits.rate() > 0.0);
    let database = rusqlite::Connection::open(directory.join("commit.db")).unwrap();
    let last: i64 = database
        .query_row("SELECT max(cur) FROM session", [], |row| row.get(0))
        .unwrap();
    assert_eq!(last as u64, commits.latencies.count());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn the_commit_loop_commits_on_postgresql() {
    let url = chatsdk_pgtest::fresh_database().await;
    let commits = floors::pg_commit::run(&url, Duration::from_millis(50))
        .await
        .unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let last: i64 = client
        .query_one("SELECT max(cur) FROM session", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(last as u64, commits.latencies.count());
    assert!(!floors::pg_commit::version(&url).await.unwrap().is_empty());
}
