//! A service for the tests of this crate.

use std::path::Path;
use std::sync::Arc;

use chatsdk_store::{AppLifetimes, Location, Store, UserPatch};
use chatsdk_types::tokens::TokenReply;
use chatsdk_types::{AppId, ManualClock, Scopes, SystemEntropy};

use crate::api_key::Env;
use crate::secret::DeploymentSecret;
use crate::{Auth, AuthConfig, KeyCaller, KeyTerms, Mint, Peer, Secrets};

/// A secret of this text.
pub(crate) fn secret(text: &str) -> DeploymentSecret {
    DeploymentSecret::parse(text).unwrap()
}

/// Opens one on the database at `location`, with its journal in `directory`.
pub(crate) async fn open(location: Location, directory: &Path, clock: &ManualClock) -> Auth {
    let secret = secret("a deployment secret for tests, of more than 32 bytes");
    open_with(&secret.into(), location, directory, clock).await
}

/// The same, with `secrets`.
pub(crate) async fn open_with(
    secrets: &Secrets,
    location: Location,
    directory: &Path,
    clock: &ManualClock,
) -> Auth {
    let (auth, _) = Auth::open(
        Store::open(location).await.unwrap(),
        AuthConfig::default(),
        secrets,
        directory,
        crate::OpenTo::Serve,
        Arc::new(clock.clone()),
        Arc::new(SystemEntropy),
    )
    .await
    .unwrap();
    auth
}

/// Makes an app called `name`, signs ann in to it, and answers its name and what she got.
pub(crate) async fn sign_in(auth: &Auth, name: &str) -> (AppId, TokenReply) {
    let terms = KeyTerms {
        env: Env::Test,
        name: name.to_owned(),
        scopes: Scopes::all(),
        expires_in: None,
    };
    let (app, key) = auth
        .create_app(name.to_owned(), AppLifetimes::default(), terms, "test")
        .await
        .unwrap();
    let caller = KeyCaller {
        key: key.id,
        app: app.id.clone(),
    };
    let mint = Mint {
        user: "ann".parse().unwrap(),
        patch: UserPatch::default(),
        access_ttl: None,
        refresh_ttl: None,
        session_ttl: None,
        device_id: None,
        device_name: None,
    };
    let reply = auth.mint(&caller, mint, &Peer::default()).await.unwrap();
    (app.id, reply)
}
