//! What only PostgreSQL can get wrong: going away, coming back, being spoken to in secret.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails says so by panicking"
)]

use std::path::Path;
use std::process::Command;

use chatsdk_pgtest::Cluster;
use chatsdk_store::{
    ApiKey, ControlKind, Exchange, Location, Session, Store, StoreError, Successor, UserPatch,
};
use chatsdk_types::{AppId, Lifetime, Scopes, SessionId, SystemEntropy};

async fn open(url: &str) -> Result<Store, StoreError> {
    Store::open(Location::Postgres(url.to_owned())).await
}

async fn set(store: &Store, name: &str) -> Result<(), StoreError> {
    let name = name.to_owned();
    store
        .write(move |tx| {
            Box::pin(async move {
                tx.set_meta(&name, "1").await?;
                tx.append_control(ControlKind::SigningKeysChanged, "", &name, 1)
                    .await
            })
        })
        .await
}

fn exchange(session: SessionId) -> Exchange {
    Exchange {
        session,
        presented: 10,
        exp: 2_000,
        seen: 0,
        now: 1_000,
        grace_since: 900,
        rt_kid: "r1".to_owned(),
        disabled: None,
        decide: |_, _, _| {
            Some(Successor {
                next: 1_000,
                rt_exp: 1_000 + 3_600_000,
            })
        },
    }
}

fn no_session() -> Exchange {
    exchange(SessionId::new(1, &SystemEntropy))
}

/// Adds sessions whose newest counter is 10.
async fn sessions(store: &Store, count: usize) -> Vec<SessionId> {
    let app = AppId::new(1, &SystemEntropy);
    let sessions: Vec<_> = (0..count)
        .map(|_| Session {
            id: SessionId::new(1, &SystemEntropy),
            app: app.clone(),
            user: "ann".parse().unwrap(),
            key: None,
            cur: 10,
            prev: 5,
            proven: 5,
            rotated_at: 10,
            rt_exp: 2_000,
            abs_exp: 10_000_000,
            rt_kid: "r1".to_owned(),
            access_ttl: Lifetime::secs(60),
            idle_ttl: Lifetime::secs(3600),
            created_at: 1,
            device_id: None,
            device_name: None,
            revoked_at: None,
            revoke_reason: None,
        })
        .collect();
    let ids = sessions.iter().map(|session| session.id.clone()).collect();
    store
        .write(move |tx| {
            Box::pin(async move {
                let user = &sessions[0].user;
                tx.upsert_user(&app, user, &UserPatch::default(), 1).await?;
                for session in &sessions {
                    tx.insert_session(session).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
    ids
}

/// A row is held by another node's transaction. Who comes alone waits, and decides by what that one leaves behind,
/// not by what stood there when the statement began. Who comes in company is told at once that nothing was
/// changed, and holds up nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_waits_for_a_row_alone_and_decides_by_what_became_of_it() {
    let url = chatsdk_pgtest::fresh_database().await;
    let store = open(&url).await.unwrap();
    let other = connect(&url).await;
    let ask = |id: &SessionId| {
        let (store, wanted) = (store.clone(), exchange(id.clone()));
        tokio::spawn(async move { store.exchange(wanted, |it| it).await })
    };
    for (change, holds) in [
        ("cur = 20, prev = 10, proven = 10, rotated_at = 950", false),
        ("cur = 20, prev = 9, proven = 9, rotated_at = 100", false),
        ("proven = 11", false),
        ("revoked_at = 999", false),
        ("rt_exp = 5, abs_exp = 5", false),
        ("proven = 9", true),
    ] {
        let mut ids = sessions(&store, 30).await;
        ids.sort();
        let (free, held) = ids.split_at(10);
        let last_free = free.iter().max().unwrap();
        other
            .batch_execute(&format!(
                "BEGIN; UPDATE sessions SET {change} WHERE id > '{last_free}'"
            ))
            .await
            .unwrap();
        let alone = ask(held.last().unwrap());
        while chatsdk_pgtest::waiting(&url).await == 0 {
            tokio::task::yield_now().await;
        }
        // By itself, which is a statement of its own, and as many as come.
        assert_eq!(ask(&held[0]).await.unwrap(), Ok(None), "{change}");
        let company: Vec<_> = ids[..29].iter().map(ask).collect();
        for (number, exchange) in company.into_iter().enumerate() {
            let exchanged = exchange.await.unwrap().unwrap().is_some();
            assert_eq!(exchanged, number < free.len(), "{change}: {number}");
        }
        assert_eq!(chatsdk_pgtest::waiting(&url).await, 1);

        other.batch_execute("COMMIT").await.unwrap();
        assert_eq!(alone.await.unwrap().unwrap().is_some(), holds, "{change}");
        let changed: i64 = other
            .query_one(
                "SELECT count(*) FROM sessions WHERE cur = 1000 AND prev = 10",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        let told = free.len() + usize::from(holds);
        assert_eq!(changed, told as i64, "{change}");
        other.batch_execute("DELETE FROM sessions").await.unwrap();
    }
    store.close().await;
}

/// The server would read small tables whole, and keep to that after they have grown. What it counts stands for
/// what it planned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_a_refresh_reads_a_table_whole() {
    const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    const READ: &str =
        "SELECT coalesce(sum(seq_scan), 0)::bigint, coalesce(sum(idx_scan), 0)::bigint
         FROM pg_stat_user_tables WHERE relname IN ('sessions', 'users')";
    let url = chatsdk_pgtest::fresh_database().await;
    let other = connect(&url).await;
    // Connections hand in what they counted when they end.
    let counted = async || {
        while other.query_one(OTHERS, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
        let row = other.query_one(READ, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    open(&url).await.unwrap().close().await;
    let (migrating, _) = counted().await;
    let store = open(&url).await.unwrap();
    let ids = sessions(&store, 40).await;
    let (alone, company) = ids.split_first().unwrap();
    assert!(store.session_for_refresh(alone).await.unwrap().is_some());
    let exchanged = store.exchange(exchange(alone.clone()), |it| it).await;
    assert!(exchanged.unwrap().is_some());
    let company: Vec<_> = company
        .iter()
        .map(|id| {
            let (store, wanted) = (store.clone(), exchange(id.clone()));
            tokio::spawn(async move { store.exchange(wanted, |it| it).await })
        })
        .collect();
    for exchange in company {
        assert!(exchange.await.unwrap().unwrap().is_some());
    }
    let seen = ids.into_iter().map(|id| (id, 10)).collect();
    store.raise_proven(seen).await.unwrap();
    store.close().await;
    let (whole, by_index) = counted().await;
    assert!(by_index >= 100, "{by_index}");
    assert_eq!(whole, migrating, "beside {by_index} by an index");
}

/// A server whose processes are stopped still takes connections and acknowledges what it is sent: its kernel
/// does. Whoever asks is told to try again; and once it goes on, so does everything.
#[tokio::test]
async fn a_server_that_is_stopped_is_unavailable_and_is_used_again() {
    let cluster = Cluster::start(&["fsync=off"]).await;
    let url = cluster.database().await;
    let store = open(&format!("{url}?tcp_user_timeout=1")).await.unwrap();
    let mut follow = store.follow();
    assert!(follow.changed().await);
    let ids = sessions(&store, 20).await;
    // In company, so that the batches have a connection that is going to be silent.
    let exchange_all = async || {
        let asked: Vec<_> = ids
            .iter()
            .map(|id| {
                let (store, wanted) = (store.clone(), exchange(id.clone()));
                tokio::spawn(async move { store.exchange(wanted, |it| it).await })
            })
            .collect();
        let mut exchanged = Vec::new();
        for exchange in asked {
            exchanged.push(exchange.await.unwrap());
        }
        exchanged
    };
    assert!(
        exchange_all()
            .await
            .iter()
            .all(|one| matches!(one, Ok(Some(_))))
    );

    cluster.freeze();
    // On the connections that it had, and on new ones.
    for turn in 0..2 {
        let (exchanged, pinged, written, raised) = tokio::join!(
            exchange_all(),
            store.ping(),
            set(&store, "during"),
            store.raise_proven(vec![(ids[0].clone(), 1)])
        );
        let mut refused: Vec<_> = exchanged.into_iter().map(|one| one.map(drop)).collect();
        refused.extend([pinged, written, raised]);
        for refused in refused {
            assert!(
                matches!(refused, Err(StoreError::Unavailable(_))),
                "turn {turn}: {refused:?}"
            );
        }
    }
    cluster.thaw();

    store.ping().await.unwrap();
    set(&store, "after").await.unwrap();
    // Within the grace of the first time.
    assert!(exchange_all().await.iter().all(|one| *one == Ok(None)));
    // The follower connects again by itself, and tells of what came meanwhile.
    assert!(follow.changed().await);
    store.close().await;
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_returns_is_used_again() {
    let cluster = Cluster::start(&["fsync=off"]).await;
    let store = open(&cluster.database().await).await.unwrap();
    let mut follow = store.follow();
    assert!(follow.changed().await);
    set(&store, "before").await.unwrap();
    assert_eq!(store.exchange(no_session(), |it| it).await, Ok(None));

    cluster.crash();
    for refused in [
        store.ping().await,
        set(&store, "during").await,
        store.exchange(no_session(), |it| it).await.map(drop),
        store
            .raise_proven(vec![(SessionId::new(1, &SystemEntropy), 1)])
            .await,
    ] {
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
    }

    cluster.restart();
    // Each pooled connection that died is replaced when it is next asked for.
    store.ping().await.unwrap();
    set(&store, "after").await.unwrap();
    assert_eq!(store.exchange(no_session(), |it| it).await, Ok(None));
    assert_eq!(store.meta("before").await.unwrap().as_deref(), Some("1"));
    assert_eq!(store.meta("during").await, Ok(None));
    // The follower connects again by itself, and tells of what came meanwhile.
    assert!(follow.changed().await);
    store.close().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let refused = open("postgres://postgres@127.0.0.1:1/none").await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_its_password() {
    for url in [
        "mysql://ann:hunter2@127.0.0.1/x",
        "postgres://ann:hunter2@127.0.0.1:port/x",
        "postgres://ann:hunter2@127.0.0.1/x?sslmode=sometimes",
        "postgres://ann:hunter2@127.0.0.1/x?no_such_option=1",
        "postgres://ann:hunter2@127.0.0.1/x?sslmode=require&sslrootcert=/no/such/file",
    ] {
        let refused = open(url).await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::Location(why) if !why.contains("hunter2")),
            "{refused:?}"
        );
    }
}

/// Whoever turned flushing off for the database did not mean the answers of a token service.
#[tokio::test]
async fn a_commit_is_flushed_whatever_the_default() {
    let cluster = Cluster::start(&["synchronous_commit=off", "log_statement=all"]).await;
    let store = open(&cluster.database().await).await.unwrap();
    set(&store, "a").await.unwrap();
    cluster.crash();
    cluster.restart();
    assert_eq!(store.meta("a").await.unwrap().as_deref(), Some("1"));
}

fn openssl(directory: &Path, args: &str) {
    let made = Command::new("openssl")
        .args(args.split(' '))
        .current_dir(directory)
        .output()
        .expect("this test needs openssl: install it with `apt-get install openssl`");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// A server with a certificate for `localhost`, and a directory with its root in `root.crt`.
async fn encrypted() -> (Cluster, tempfile::TempDir) {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    openssl(
        at,
        &format!("req -x509 {KEY} -subj /CN=root -keyout root.key -out root.crt"),
    );
    openssl(
        at,
        &format!(
            "req -x509 {KEY} -subj /CN=localhost -CA root.crt -CAkey root.key -keyout server.key -out server.crt \
             -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE"
        ),
    );
    let cluster = Cluster::encrypted(&at.join("server.crt"), &at.join("server.key")).await;
    (cluster, directory)
}

#[tokio::test]
async fn sslmode_is_kept() {
    let (cluster, directory) = encrypted().await;
    let url = cluster.database().await;
    let by_name = url.replace("127.0.0.1", "localhost");
    let root = directory.path().join("root.crt").display().to_string();

    for (url, query, encrypted) in [
        (&url, "sslmode=disable".to_owned(), false),
        (&url, "sslmode=prefer".to_owned(), true),
        (&url, "sslmode=require".to_owned(), true),
        (&url, format!("sslmode=verify-ca&sslrootcert={root}"), true),
        (
            &by_name,
            format!("sslmode=verify-full&sslrootcert={root}"),
            true,
        ),
    ] {
        let store = open(&format!("{url}?{query}&application_name=probe"))
            .await
            .unwrap();
        assert_eq!(
            cluster.is_encrypted("probe").await,
            Some(encrypted),
            "{query}"
        );
        store.close().await;
    }

    // The right root, but a certificate for another name.
    let refused = open(&format!("{url}?sslmode=verify-full&sslrootcert={root}")).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    // Another root.
    let (_other, elsewhere) = encrypted().await;
    let root = elsewhere.path().join("root.crt").display().to_string();
    let refused = open(&format!("{by_name}?sslmode=verify-full&sslrootcert={root}")).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let refused = open(&format!("{by_name}?sslmode=require&sslrootcert={root}")).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let url = chatsdk_pgtest::fresh_database().await;
    let refused = open(&format!("{url}?sslmode=require")).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    open(&format!("{url}?sslmode=prefer"))
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

/// A mint that was left in the middle, by a node that froze, holds its key. What is noted of keys goes on, and
/// who wants to revoke one is told to try again before everybody else stands behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_that_hangs_keeps_nobody_waiting_for_long() {
    let cluster = Cluster::start(&["fsync=off"]).await;
    let url = cluster.database().await;
    let store = open(&url).await.unwrap();
    let key = ApiKey {
        id: "aaaaaaaa".parse().unwrap(),
        app: AppId::new(1, &SystemEntropy),
        env: "live".to_owned(),
        hash: [0; 32],
        last4: "wxyz".to_owned(),
        name: "backend".to_owned(),
        scopes: Scopes::all(),
        created_at: 1,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    };
    let row = key.clone();
    store
        .write(move |tx| Box::pin(async move { tx.insert_api_key(&row).await }))
        .await
        .unwrap();

    let frozen = connect(&url).await;
    frozen
        .batch_execute("BEGIN; SELECT id FROM api_keys FOR KEY SHARE")
        .await
        .unwrap();

    let used = vec![(key.id.clone(), 7)];
    store
        .write(move |tx| Box::pin(async move { tx.touch_api_keys(used).await }))
        .await
        .unwrap();
    let revoke = |key: ApiKey| {
        store
            .write(move |tx| Box::pin(async move { tx.revoke_api_key(&key.app, &key.id, 9).await }))
    };
    let refused = revoke(key.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );

    frozen.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(revoke(key.clone()).await, Ok(true));
    let row = store.api_key(&key.id).await.unwrap().unwrap();
    assert_eq!((row.last_used_at, row.revoked_at), (Some(7), Some(9)));
}
