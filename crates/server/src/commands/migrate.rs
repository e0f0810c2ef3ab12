//! `chatsdk migrate`: the schema, ahead of a start.

use chatsdk_store::Store;
use clap::Args;
use serde_json::json;

use super::output::{Failure, print};
use super::{Global, open_store};
use crate::config::Config;

/// Bring the database's schema up to this version.
#[derive(Debug, Args)]
pub(crate) struct Migrate {}

impl Migrate {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let config = Config::parse(&global.layers()?)?;
        crate::telemetry::log(&config);
        // Opening migrates, as `serve` does at its start.
        let store = open_store(&config).await?;
        let from = store.migrated_from();
        let to = Store::inspect(config.database).await?.version;
        print(
            global.json,
            &json!({ "from": from, "schemaVersion": to }),
            |_| match from {
                from if from == to => format!("The schema is at version {to} already."),
                0 => format!("The schema was made, at version {to}."),
                from => format!("The schema was brought from version {from} to {to}."),
            },
        );
        store.close().await;
        Ok(())
    }
}
