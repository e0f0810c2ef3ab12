//! `chatsdk backup`: a consistent copy of the embedded database, while the server runs.

use std::path::PathBuf;

use chatsdk_auth::Auth;
use clap::Args;
use serde_json::json;

use super::output::{Failure, print};
use super::{Global, open_store};
use crate::config::Config;
use crate::secret;

/// Copy the embedded database and the secret, while the server runs.
///
/// The revocation journal is not copied, and that is its point: it stays where the deployment runs,
/// and carries what was revoked since into the copy when that is restored.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Directory to write to; it must not hold a backup yet
    to: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let config = Config::parse(&global.layers()?)?;
        crate::telemetry::log(&config);
        super::create_data_dir(&self.to)?;
        let database = self.to.join("chatsdk.db");
        let copy_of_secret = self.to.join("secret");
        for file in [&database, &copy_of_secret] {
            if file.exists() {
                return Err(Failure::new(
                    "exists",
                    format!("{} exists; a backup overwrites nothing", file.display()),
                ));
            }
        }
        let store = open_store(&config).await?;
        store
            .backup(
                &database,
                chatsdk_types::Clock::now(&chatsdk_types::SystemClock),
            )
            .await?;
        let known = Auth::known_secret(&store).await?;
        store.close().await;
        // A file of that name may belong to another database, or to none.
        let file = secret::find(&config, None).ok().flatten();
        let copied = file.is_some_and(|secret| Some(secret.fingerprint()) == known);
        if copied {
            std::fs::copy(config.data_dir.join("secret"), &copy_of_secret)?;
            std::fs::File::open(&copy_of_secret)?.sync_all()?;
            std::fs::File::open(&self.to)?.sync_all()?;
        }
        let reply = json!({ "database": database, "secret": copied });
        print(global.json, &reply, |_| {
            let secret = if copied {
                "The deployment secret is in it as well: keep the backup as safe as the server."
            } else {
                "The deployment secret is not in it: keep CHATSDK_SECRET yourself."
            };
            format!("Copied to {}. {secret}", self.to.display())
        });
        Ok(())
    }
}
