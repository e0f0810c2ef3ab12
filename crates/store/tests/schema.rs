//! The two databases have the same tables: columns, kinds, keys and indexes.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::collections::BTreeMap;

use chatsdk_store::{Location, Store};

/// What a table is, in words that fit both.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// Name, kind, whether it must be filled; in order.
    columns: Vec<(String, String, bool)>,
    /// The columns of the primary key, in order.
    key: Vec<String>,
    /// Each index: its name, its columns, whether it is unique, whether it covers only some rows.
    indexes: Vec<(String, Vec<String>, bool, bool)>,
}

type Tables = BTreeMap<String, Table>;

fn sqlite(path: &std::path::Path) -> Tables {
    let connection = rusqlite::Connection::open(path).unwrap();
    let strings = |sql: &str, args: &[&str]| -> Vec<Vec<String>> {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        statement
            .query_map(rusqlite::params_from_iter(args), |row| {
                (0..columns)
                    .map(|at| {
                        row.get::<_, Option<String>>(at)
                            .map(Option::unwrap_or_default)
                    })
                    .collect()
            })
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    let names = strings(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        &[],
    );
    names
        .into_iter()
        .map(|name| {
            let name = name[0].clone();
            let columns = strings(
                "SELECT name, type, CAST(\"notnull\" AS TEXT) || CAST(pk > 0 AS TEXT) FROM pragma_table_info(?1) ORDER BY cid",
                &[&name],
            );
            let key = strings("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", &[&name]);
            let indexes = strings(
                "SELECT name, CAST(\"unique\" AS TEXT), CAST(partial AS TEXT) FROM pragma_index_list(?1)
                 WHERE origin = 'c' ORDER BY name",
                &[&name],
            );
            let table = Table {
                columns: columns
                    .into_iter()
                    // A key is filled whether the table says so or not.
                    .map(|c| (c[0].clone(), c[1].clone(), c[2] != "00"))
                    .collect(),
                key: key.into_iter().map(|c| c[0].clone()).collect(),
                indexes: indexes
                    .into_iter()
                    .map(|index| {
                        let columns = strings("SELECT name FROM pragma_index_info(?1) ORDER BY seqno", &[&index[0]]);
                        let columns = columns.into_iter().map(|c| c[0].clone()).collect();
                        (index[0].clone(), columns, index[1] == "1", index[2] == "1")
                    })
                    .collect(),
            };
            (name, table)
        })
        .collect()
}

async fn postgres(url: &str) -> Tables {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut tables = Tables::new();
    let columns = client
        .query(
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0
             ORDER BY c.relname, a.attnum",
            &[],
        )
        .await
        .unwrap();
    for row in columns {
        let kind = match row.get::<_, String>(2).as_str() {
            "bigint" => "INTEGER",
            "text" => "TEXT",
            "bytea" => "BLOB",
            other => panic!("no kind of ours: {other}"),
        };
        let table = tables.entry(row.get(0)).or_default();
        table
            .columns
            .push((row.get(1), kind.to_owned(), row.get(3)));
    }
    let indexes = client
        .query(
            "SELECT t.relname::text, i.relname::text, x.indisprimary, x.indisunique, x.indpred IS NOT NULL,
                 ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                       JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum ORDER BY k.place)
             FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
             WHERE t.relnamespace = 'public'::regnamespace ORDER BY i.relname",
            &[],
        )
        .await
        .unwrap();
    for row in indexes {
        let table = tables.entry(row.get(0)).or_default();
        if row.get(2) {
            table.key = row.get(5);
        } else {
            table
                .indexes
                .push((row.get(1), row.get(5), row.get(3), row.get(4)));
        }
    }
    tables
}

#[tokio::test]
async fn the_tables_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chatsdk.db");
    let url = chatsdk_pgtest::fresh_database().await;
    for location in [
        Location::Sqlite(path.clone()),
        Location::Postgres(url.clone()),
    ] {
        Store::open(location).await.unwrap().close().await;
    }
    let (one, other) = (sqlite(&path), postgres(&url).await);
    assert!(
        one.contains_key("sessions") && one["users"].indexes.len() == 2,
        "{one:#?}"
    );
    assert_eq!(one, other);
}

/// No column that a rotation changes stands in an index: that alone makes it several times faster.
#[tokio::test]
async fn a_rotation_touches_no_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chatsdk.db");
    Store::open(Location::Sqlite(path.clone()))
        .await
        .unwrap()
        .close()
        .await;
    let sessions = &sqlite(&path)["sessions"];
    let indexed = sessions
        .indexes
        .iter()
        .flat_map(|(_, columns, ..)| columns)
        .chain(&sessions.key);
    for column in indexed {
        assert!(
            !["cur", "prev", "proven", "rotated_at", "rt_exp", "rt_kid"].contains(&column.as_str()),
            "{column}"
        );
    }
}
