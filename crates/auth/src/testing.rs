//! A service for the tests of this crate.

use std::path::Path;
use std::sync::Arc;

use chatsdk_store::{Location, Store};
use chatsdk_types::{ManualClock, SystemEntropy};

use crate::secret::DeploymentSecret;
use crate::{Auth, AuthConfig};

/// Opens one on the database at `location`, with its journal in `directory`.
pub(crate) async fn open(location: Location, directory: &Path, clock: &ManualClock) -> Auth {
    let secret =
        DeploymentSecret::parse("a deployment secret for tests, of more than 32 bytes").unwrap();
    let (auth, _) = Auth::open(
        Store::open(location).await.unwrap(),
        AuthConfig::default(),
        &secret.into(),
        directory,
        crate::OpenTo::Serve,
        Arc::new(clock.clone()),
        Arc::new(SystemEntropy),
    )
    .await
    .unwrap();
    auth
}
