//! What the tests of the front door share.

use serde_json::Value;

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! both {
    ($($(#[$doc:meta])* async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$doc])*
            async fn run($database: Database) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                run(Database::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                run(Database::Postgres).await;
            }
        }
    )+};
}

/// The claims of an access token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload)
            .unwrap(),
    )
    .unwrap()
}

/// The binary under test.
pub(crate) fn binary() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_chatsdk"))
}

/// The backend of another app on the same server.
pub(crate) async fn another_app(server: &chatsdk_testkit::TestServer) -> chatsdk_testkit::Backend {
    use chatsdk_auth::{KeyTerms, api_key::Env};
    let terms = KeyTerms {
        env: Env::Test,
        name: "other".into(),
        scopes: chatsdk_types::Scopes::all(),
        expires_in: None,
    };
    let (_, key) = server
        .auth()
        .create_app(
            "other".into(),
            chatsdk_store::AppLifetimes::default(),
            terms,
            "test",
        )
        .await
        .unwrap();
    chatsdk_testkit::Backend {
        address: server.api(),
        key: key.text.as_str().to_owned(),
    }
}

/// Everything that the database holds, as text.
pub(crate) async fn dump(
    server: &chatsdk_testkit::TestServer,
    database: chatsdk_testkit::Database,
) -> String {
    match database {
        chatsdk_testkit::Database::Sqlite => {
            let mut bytes = Vec::new();
            for file in std::fs::read_dir(server.dir.path()).unwrap() {
                let path = file.unwrap().path();
                if path
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("chatsdk.db")
                {
                    bytes.extend(std::fs::read(path).unwrap());
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        chatsdk_testkit::Database::Postgres => {
            let url = server.database_url();
            let output = tokio::process::Command::new("pg_dump")
                .args(["--data-only", "--inserts", &url])
                .output()
                .await
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
    }
}
