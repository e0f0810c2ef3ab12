//! `chatsdk key`: what backends prove themselves with.

use chatsdk_auth::api_key::Env;
use chatsdk_auth::{CreatedKey, KeyTerms, Peer, profile};
use chatsdk_types::{AppId, KeyId, Lifetime, Scope, Scopes};
use clap::Subcommand;
use serde_json::json;

use super::Global;
use super::output::{Failure, moment, print, print_json, print_line};

/// Create, list, rotate and revoke API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Create a key, which is shown once
    Create {
        /// The app that it speaks for
        #[arg(long, value_name = "APPID")]
        app: AppId,
        /// What to call it
        #[arg(long, default_value = "")]
        name: String,
        /// What it may do; every scope unless narrowed. May be given several times
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// How long it works, such as 90d; for ever if nothing is said
        #[arg(long, value_name = "LIFETIME")]
        expires_in: Option<Lifetime>,
        /// The environment that the key says it is for
        #[arg(long, default_value = "live")]
        env: Env,
    },
    /// List an app's keys, without their secrets
    List {
        /// The app
        #[arg(long, value_name = "APPID")]
        app: AppId,
    },
    /// Create a successor with the same scopes, and let the old key work a while longer
    Rotate {
        /// The key to be replaced
        key: KeyId,
        /// How long the old key goes on working
        #[arg(long, value_name = "LIFETIME", default_value = "24h")]
        overlap: Lifetime,
        /// How long the successor works, such as 90d; for ever if nothing is said
        #[arg(long, value_name = "LIFETIME")]
        expires_in: Option<Lifetime>,
    },
    /// Revoke a key: nothing that presents it is answered any more
    Revoke {
        /// The key
        key: KeyId,
        /// End every session that was minted with it as well: for a key that was stolen
        #[arg(long)]
        sessions: bool,
    },
}

impl Key {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let auth = global.auth().await?;
        match self {
            Self::Create {
                app,
                name,
                scopes,
                expires_in,
                env,
            } => {
                let scopes = if scopes.is_empty() {
                    Scopes::all()
                } else {
                    scopes.into_iter().collect()
                };
                let terms = KeyTerms {
                    env,
                    name: profile::key_name(name).map_err(Failure::of_flag)?,
                    scopes,
                    expires_in,
                };
                let created = auth
                    .create_key(&app, terms, "operator", &Peer::default())
                    .await?;
                show(
                    global,
                    &created.ok_or_else(|| Failure::not_found("app", app))?,
                );
            }
            Self::List { app } => {
                super::known_app(&auth, &app).await?;
                for key in auth.keys(&app).await? {
                    if global.json {
                        print_json(&json!({
                            "keyId": key.id.as_str(),
                            "env": key.env,
                            "last4": key.last4,
                            "name": key.name,
                            "scopes": key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
                            "createdAt": key.created_at,
                            "expiresAt": key.expires_at,
                            "revokedAt": key.revoked_at,
                            "lastUsedAt": key.last_used_at,
                        }));
                    } else {
                        let standing = match (key.revoked_at, key.expires_at) {
                            (Some(at), _) => format!("revoked {}", moment(at)),
                            (None, Some(at)) => format!("until {}", moment(at)),
                            (None, None) => "working".into(),
                        };
                        let used = key.last_used_at.map_or("never".into(), moment);
                        print_line(&format!(
                            "csk_{}_{}_…{}  {standing}  last used {used}  [{}]  {}",
                            key.env, key.id, key.last4, key.scopes, key.name
                        ));
                    }
                }
            }
            Self::Rotate {
                key,
                overlap,
                expires_in,
            } => {
                let created = auth
                    .rotate_key(&key, overlap, expires_in, "operator", &Peer::default())
                    .await?;
                show(
                    global,
                    &created.ok_or_else(|| Failure::not_found("working key", key))?,
                );
            }
            Self::Revoke { key, sessions } => {
                let done = auth
                    .revoke_key(&key, sessions, "operator", &Peer::default())
                    .await?
                    .ok_or_else(|| Failure::not_found("key", &key))?;
                print(
                    global.json,
                    &json!({ "keyId": key.as_str(), "revoked": done.revoked, "ended": done.ended }),
                    |_| match (done.revoked, done.ended) {
                        (true, 0) => format!("Revoked {key}."),
                        (true, ended) => format!("Revoked {key}, and ended {ended} sessions."),
                        (false, ended) => {
                            format!("{key} was revoked before; ended {ended} sessions.")
                        }
                    },
                );
            }
        }
        auth.close().await?;
        Ok(())
    }
}

fn show(global: &Global, key: &CreatedKey) {
    print(
        global.json,
        &json!({ "keyId": key.id.as_str(), "apiKey": key.text.as_str() }),
        |_| {
            format!(
                "Key      {}\nAPI key  {}\n\nThe key is shown this once.",
                key.id,
                key.text.as_str()
            )
        },
    );
}
