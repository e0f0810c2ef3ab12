//! The `chatsdk` binary on a database of its own: what its commands and its server share.

use std::path::{Path, PathBuf};

use chatsdk_store::{Location, Store};
use serde_json::Value;
use tokio::process::Command;

use crate::server::SECRET;
use crate::{Database, process};

/// A data directory and a database, and the binary that is run on them.
#[derive(Debug)]
pub struct Deployment {
    binary: PathBuf,
    dir: tempfile::TempDir,
    /// The address of the PostgreSQL database; SQLite stands in the data directory.
    url: Option<String>,
}

impl Deployment {
    /// An empty one, for `binary`.
    pub async fn new(binary: &Path, database: Database) -> Self {
        let url = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(chatsdk_pgtest::fresh_database().await),
        };
        Self {
            binary: binary.to_owned(),
            dir: tempfile::tempdir().expect("a directory for the data"),
            url,
        }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.dir.path()
    }

    /// The address of the PostgreSQL database; none of SQLite.
    pub fn database_url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// What the binary needs to be told to find its database and the keys to it.
    fn environment(&self) -> Vec<(&str, &str)> {
        self.url.as_ref().map_or_else(Vec::new, |url| {
            vec![
                ("CHATSDK_DATABASE_URL", url.as_str()),
                ("CHATSDK_SECRET", SECRET),
            ]
        })
    }

    /// A command in the making.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::chatsdk(&self.binary, self.data(), arguments);
        command.envs(self.environment());
        command
    }

    /// Runs a command to its end and answers the JSON lines that it printed.
    pub async fn run(&self, arguments: &[&str]) -> Vec<Value> {
        process::answered(self.command(arguments)).await
    }

    /// Runs a command to its end and answers what it printed for people.
    pub async fn text(&self, arguments: &[&str]) -> String {
        process::printed(self.command(arguments)).await
    }

    /// Runs a command that fails and answers `error` of the JSON line that says why.
    pub async fn refused(&self, arguments: &[&str]) -> Value {
        process::why(self.command(arguments)).await
    }

    /// Starts `chatsdk serve` on free ports, without rate limits, and waits until it is ready.
    pub async fn serve(&self) -> process::Process {
        self.serve_with(&[]).await
    }

    /// The same with more in its environment.
    pub async fn serve_with(&self, more: &[(&str, &str)]) -> process::Process {
        let environment = [&self.environment(), more].concat();
        let lifted = ["--rate-limits", "off"];
        process::serve(&self.binary, self.data(), &environment, &lifted).await
    }

    /// The database through a connection that no server knows of.
    pub async fn store(&self) -> Store {
        let location = self.url.clone().map_or_else(
            || Location::Sqlite(self.data().join("chatsdk.db")),
            Location::Postgres,
        );
        Store::open(location).await.expect("the database answers")
    }
}
