//! A server serves, survives a crash with what was committed, and leaves nothing behind.

use chatsdk_pgtest::{Cluster, fresh_database};
use tokio_postgres::NoTls;

async fn one(url: &str, sql: &str) -> Option<String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(connection);
    client.query_one(sql, &[]).await.ok()?.get(0)
}

#[tokio::test]
async fn each_database_is_its_own() {
    let (one_url, other_url) = (fresh_database().await, fresh_database().await);
    assert_ne!(one_url, other_url);
    let name = one(&one_url, "SELECT current_database()::text")
        .await
        .unwrap();
    assert!(one_url.ends_with(&name));
}

#[tokio::test]
async fn a_cluster_comes_back_and_then_goes() {
    let cluster = Cluster::start(&[]).await;
    let url = cluster.url("postgres");
    assert!(one(&url, "SELECT 'here'").await.is_some());
    cluster.crash();
    assert!(one(&url, "SELECT 'here'").await.is_none());
    cluster.restart();
    assert!(one(&url, "SELECT 'here'").await.is_some());

    let directory = cluster.directory().to_owned();
    assert!(directory.exists());
    drop(cluster);
    assert!(!directory.exists(), "its files are gone with it");
    assert!(one(&url, "SELECT 'here'").await.is_none());
}
