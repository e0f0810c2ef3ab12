//! A database of one's own, and rows to put in it.

use chatsdk_store::{App, AppLifetimes, Location, Session, Store, StoreError};
use chatsdk_types::{AppId, KeyId, Lifetime, Millis, SessionId, SystemEntropy, UserId};
use tempfile::TempDir;

/// When every test begins.
pub(crate) const NOW: Millis = 1_800_000_000_000;

/// A database, and the directory that goes with it when the test ends.
pub(crate) struct Database {
    pub(crate) location: Location,
    pub(crate) directory: TempDir,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            location: Location::Sqlite(directory.path().join("chatsdk.db")),
            directory,
        }
    }

    pub(crate) async fn postgres() -> Self {
        Self {
            location: Location::Postgres(chatsdk_pgtest::fresh_database().await),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.location.clone()).await.unwrap()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.location, Location::Sqlite(_))
    }
}

/// Each test twice: over SQLite and over PostgreSQL. A test is given its database.
macro_rules! contract {
    ($($(#[$about:meta])* async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        $(#[$about])*
        mod $name {

            use super::*;
            use crate::harness::Database;

            async fn run($database: Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(Database::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(Database::postgres().await).await;
            }
        }
    )+};
}
pub(crate) use contract;

pub(crate) fn app_id() -> AppId {
    AppId::new(NOW, &SystemEntropy)
}

pub(crate) fn session_id() -> SessionId {
    SessionId::new(NOW, &SystemEntropy)
}

pub(crate) fn user_id(text: &str) -> UserId {
    text.parse().unwrap()
}

pub(crate) fn key_id(text: &str) -> KeyId {
    text.parse().unwrap()
}

pub(crate) fn app() -> App {
    App {
        id: app_id(),
        name: "Acme".to_owned(),
        created_at: NOW,
        lifetimes: AppLifetimes::default(),
        disabled_at: None,
    }
}

/// A session that was minted just now and never refreshed.
pub(crate) fn session(app: &AppId, user: &str) -> Session {
    Session {
        id: session_id(),
        app: app.clone(),
        user: user_id(user),
        key: Some(key_id("abcd1234")),
        cur: NOW,
        prev: 0,
        proven: 0,
        rotated_at: NOW,
        rt_exp: NOW + Lifetime::days(7).as_millis(),
        abs_exp: NOW + Lifetime::days(90).as_millis(),
        rt_kid: "r1".to_owned(),
        access_ttl: Lifetime::secs(3600),
        idle_ttl: Lifetime::days(7),
        created_at: NOW,
        device_id: None,
        device_name: None,
        revoked_at: None,
        revoke_reason: None,
    }
}

/// Adds `sessions` and their users.
pub(crate) async fn add(store: &Store, sessions: &[Session]) {
    let sessions = sessions.to_vec();
    store
        .write(move |tx| {
            Box::pin(async move {
                for session in &sessions {
                    tx.upsert_user(
                        &session.app,
                        &session.user,
                        &chatsdk_store::UserPatch::default(),
                        NOW,
                    )
                    .await?;
                    tx.insert_session(session).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
}

/// `store.write` with less around it: the body sees `tx` and answers with a `Result`.
macro_rules! unit {
    ($store:expr, |$tx:ident| $body:expr) => {
        $store
            .write(move |$tx| Box::pin(async move { Ok::<_, chatsdk_store::StoreError>($body) }))
            .await
    };
}
pub(crate) use unit;
