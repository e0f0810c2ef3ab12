//! `chatsdk dev`: everything a newcomer needs, on loopback.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use chatsdk_auth::api_key::Env;
use chatsdk_auth::{Auth, AuthError, KeyCaller, KeyTerms, Mint, Peer};
use chatsdk_store::{AppLifetimes, Patch, UserPatch};
use chatsdk_types::{Scope, Scopes, SystemClock, SystemEntropy};
use clap::Args;
use serde_json::json;

use super::output::{Failure, print_json, print_line};
use super::serve::{ListenFlags, announce, print_created, ready, until_the_end};
use super::{Global, open_to_serve};
use crate::Server;
use crate::config::Config;

/// Serve on loopback for development: a demo page, a key, and a curl that works.
///
/// The key of the development app is kept readable in the data directory, so that it stays the
/// same from start to start. Tokens may be as short as a second, and avatars may be http.
///
/// With `--json`, lines tell of what this start made (`created`: the app and its key, `seeded`: each person) and
/// then that it is `ready`, with the addresses, the app and its key.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(flatten)]
    listen: ListenFlags,
}

/// The people that the page knows.
const PEOPLE: &[(&str, &str)] = &[("ann", "Ann"), ("bob", "Bob")];

impl Dev {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut layers = global.layers()?;
        layers.assume("tokens.min_access_ttl", "1s");
        layers.assume("tokens.min_refresh_ttl", "1s");
        layers.assume("log", "warn");
        self.listen.lay(&mut layers);
        let mut config = Config::parse(&layers)?;
        config.auth.http_avatars = true;
        config.operator_token = super::given_operator_token()?;
        crate::telemetry::log(&config);
        for address in [config.listen, config.realtime_listen] {
            if !address.ip().is_loopback() {
                return Err(Failure::new(
                    "not_loopback",
                    format!(
                        "`chatsdk dev` hands out tokens to whoever asks, so it listens on loopback alone; {address} is not"
                    ),
                ));
            }
        }
        let auth = open_to_serve(&config).await?;
        let DevApp {
            caller,
            key,
            created,
        } = dev_app(&auth, &config.data_dir).await?;
        if created && global.json {
            print_created(&caller.app, &key);
        }
        seed(&auth, &caller, global.json).await?;
        let app = caller.app.clone();
        let server = Server::start(
            &config,
            auth,
            Some(caller),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        )
        .await?;
        let page = format!("http://localhost:{}/dev/", server.api.port());
        let mut ready = ready(&server);
        ready["page"] = page.as_str().into();
        ready["appId"] = app.as_str().into();
        ready["apiKey"] = key.as_str().into();
        announce(&ready, &config, global.json);
        if !global.json {
            print_line(&format!(
                "  Page       {page}\n\n\
                 Get tokens as your backend would:\n\n\
                 curl -X POST http://localhost:{}/auth/tokens \\\n  -H \"X-API-Key: {key}\" \\\n  -H \"Content-Type: application/json\" \\\n  \
                 -d '{{\"userId\": \"test-user-123\", \"name\": \"Test User\", \"avatar\": \"https://example.com/avatar.jpg\"}}'\n",
                server.api.port()
            ));
        }
        until_the_end(server).await
    }
}

/// The development app.
struct DevApp {
    caller: KeyCaller,
    key: String,
    /// Whether this start made it.
    created: bool,
}

/// The development app and its key: those of an earlier start where its key still works.
async fn dev_app(auth: &Auth, data_dir: &Path) -> Result<DevApp, Failure> {
    let path = data_dir.join("dev-api-key");
    if let Ok(text) = std::fs::read_to_string(&path) {
        let text = text.trim();
        match auth
            .authenticate_key(text, Scope::TokensMint, &Peer::default())
            .await
        {
            Ok(caller) => {
                return Ok(DevApp {
                    caller,
                    key: text.to_owned(),
                    created: false,
                });
            }
            // Revoked, or of another database: a new one takes its place.
            Err(AuthError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let terms = KeyTerms {
        env: Env::Test,
        name: "chatsdk dev".into(),
        scopes: Scopes::all(),
        expires_in: None,
    };
    let (app, key) = auth
        .create_app(
            "development".into(),
            AppLifetimes::default(),
            terms,
            "server",
        )
        .await?;
    let text = key.text.as_str().to_owned();
    write_private(&path, &text)?;
    Ok(DevApp {
        caller: KeyCaller {
            key: key.id,
            app: app.id,
        },
        key: text,
        created: true,
    })
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")
}

/// Makes the people of the page, so that they are there before anybody signs in.
async fn seed(auth: &Auth, caller: &KeyCaller, json: bool) -> Result<(), Failure> {
    for (id, name) in PEOPLE {
        let user = id.parse()?;
        if auth.user(&caller.app, &user).await?.is_none() {
            let patch = UserPatch {
                name: Patch::Set((*name).into()),
                ..UserPatch::default()
            };
            let mint = Mint {
                user,
                patch,
                access_ttl: None,
                refresh_ttl: None,
                session_ttl: None,
                device_id: Some("seed".into()),
                device_name: None,
            };
            auth.mint(caller, mint, &Peer::default()).await?;
            if json {
                print_json(&json!({
                    "event": "seeded", "appId": caller.app.as_str(), "userId": id, "name": name,
                }));
            }
        }
    }
    Ok(())
}
