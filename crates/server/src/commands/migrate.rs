//! `chatsdk migrate`: the schema, ahead of a start.

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
        let version = store.schema_version().await?;
        print(global.json, &json!({ "schemaVersion": version }), |_| format!("The schema is at version {version}."));
        store.close().await?;
        Ok(())
    }
}
