//! `chatsdk signing-key`: what access tokens are signed with.

use clap::Subcommand;
use serde_json::json;

use super::Global;
use super::output::{Failure, moment, print, print_json, print_line};

/// List and rotate the keys that sign access tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum SigningKey {
    /// List the keys
    List,
    /// Make a successor of the active key; it signs once verifiers had the time to fetch it
    Rotate {
        /// The active key is lost to somebody: the successor signs at once, and what older keys signed
        /// counts as expired. Clients refresh; nobody is signed out
        #[arg(long)]
        emergency: bool,
    },
}

impl SigningKey {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let auth = global.auth().await?;
        match self {
            Self::List => {
                let now = auth.now();
                for key in auth.signing_keys().await? {
                    let state = match key.retired_at {
                        Some(_) if key.emergency => "withdrawn",
                        Some(_) => "retired",
                        None if key.activates_at > now => "pending",
                        None => "active",
                    };
                    if global.json {
                        print_json(&json!({
                            "kid": key.kid, "state": state, "createdAt": key.created_at,
                            "activatesAt": key.activates_at, "retiredAt": key.retired_at,
                        }));
                    } else {
                        print_line(&format!(
                            "{}  {state}  signs from {}",
                            key.kid,
                            moment(key.activates_at)
                        ));
                    }
                }
            }
            Self::Rotate { emergency } => {
                let kid = auth.rotate_signing_key(emergency, "operator").await?;
                print(
                    global.json,
                    &json!({ "kid": kid, "emergency": emergency }),
                    |_| {
                        if emergency {
                            format!(
                                "{kid} signs from now on; tokens of older keys count as expired."
                            )
                        } else {
                            format!("{kid} is published, and signs in eleven minutes.")
                        }
                    },
                );
            }
        }
        auth.close().await?;
        Ok(())
    }
}
