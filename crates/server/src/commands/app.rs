//! `chatsdk app`: the tenants of a deployment.

use chatsdk_auth::api_key::Env;
use chatsdk_auth::{Auth, KeyTerms};
use chatsdk_store::AppLifetimes;
use chatsdk_types::{AppId, Lifetime, Scopes};
use clap::Subcommand;
use serde_json::json;

use super::Global;
use super::output::{Failure, moment, print, print_json, print_line};

/// Create, list, disable and enable apps.
#[derive(Debug, Subcommand)]
pub(crate) enum App {
    /// Create an app and its first API key, which is shown once
    Create {
        /// What to call it
        name: String,
        /// How long its access tokens live, such as 1h
        #[arg(long, value_name = "LIFETIME")]
        access_ttl: Option<Lifetime>,
        /// How long its refresh tokens live, such as 7d
        #[arg(long, value_name = "LIFETIME")]
        refresh_ttl: Option<Lifetime>,
        /// How long its sessions live whatever happens, such as 90d
        #[arg(long, value_name = "LIFETIME")]
        session_ttl: Option<Lifetime>,
        /// The environment that the key says it is for
        #[arg(long, default_value = "live")]
        env: Env,
    },
    /// List the apps
    List,
    /// Disable an app: nothing of it works until it is enabled again. Nobody is signed out
    Disable {
        /// The app
        app: AppId,
    },
    /// Enable a disabled app
    Enable {
        /// The app
        app: AppId,
    },
}

impl App {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let auth = global.auth().await?;
        match self {
            Self::Create {
                name,
                access_ttl,
                refresh_ttl,
                session_ttl,
                env,
            } => {
                if name.trim().is_empty()
                    || name.chars().count() > 128
                    || name.chars().any(char::is_control)
                {
                    return Err(Failure::new(
                        "invalid_field",
                        "an app's name has 1 to 128 characters, none of them a control character",
                    ));
                }
                let lifetimes = AppLifetimes {
                    access: access_ttl,
                    refresh: refresh_ttl,
                    session: session_ttl,
                };
                let terms = KeyTerms {
                    env,
                    name: "first key".into(),
                    scopes: Scopes::all(),
                    expires_in: None,
                };
                let created = auth.create_app(name, lifetimes, terms, "operator").await;
                let (app, key) = created.map_err(Failure::of_flag)?;
                let reply = json!({ "appId": app.id.as_str(), "apiKey": key.text.as_str() });
                print(global.json, &reply, |_| {
                    format!(
                        "App      {}\nAPI key  {}\n\nThe key is shown this once. Keep it in your backend: CHATSDK_API_KEY.",
                        app.id,
                        key.text.as_str()
                    )
                });
            }
            Self::Disable { app } => switch(&auth, global, &app, true).await?,
            Self::Enable { app } => switch(&auth, global, &app, false).await?,
            Self::List => {
                for app in auth.apps().await? {
                    if global.json {
                        let life = |life: Option<Lifetime>| life.map(|life| life.to_string());
                        print_json(&json!({
                            "appId": app.id.as_str(),
                            "name": app.name,
                            "createdAt": app.created_at,
                            "disabledAt": app.disabled_at,
                            "accessTtl": life(app.lifetimes.access),
                            "refreshTtl": life(app.lifetimes.refresh),
                            "sessionTtl": life(app.lifetimes.session),
                        }));
                    } else {
                        let disabled = app.disabled_at.map_or("", |_| "  (disabled)");
                        print_line(&format!(
                            "{}  {}  {}{disabled}",
                            app.id,
                            moment(app.created_at),
                            app.name
                        ));
                    }
                }
            }
        }
        auth.close().await?;
        Ok(())
    }
}

async fn switch(auth: &Auth, global: &Global, app: &AppId, disabled: bool) -> Result<(), Failure> {
    super::known_app(auth, app).await?;
    let changed = auth.disable_app(app, disabled, "operator").await?;
    let reply = json!({ "appId": app.as_str(), "disabled": disabled, "changed": changed });
    print(global.json, &reply, |_| {
        let (is, was) = if disabled {
            ("disabled", "disabled already")
        } else {
            ("enabled", "enabled already")
        };
        format!(
            "{app} {}",
            if changed {
                format!("is {is}.")
            } else {
                format!("was {was}.")
            }
        )
    });
    Ok(())
}
