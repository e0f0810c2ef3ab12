//! `chatsdk user`: people, as the hosts named them.

use chatsdk_auth::{Peer, UserChange, profile};
use chatsdk_types::{AppId, UserId};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Global;
use super::output::{Failure, moment, print};

/// Show, ban, unban and delete users.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Show a user
    Show(Person),
    /// Ban a user: nothing of theirs works until it is lifted
    Ban {
        #[command(flatten)]
        person: Person,
        /// A word on it, for lists and the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lift a ban
    Unban(Person),
    /// Delete a user: every session ends, and the id cannot be minted for again
    Delete(Person),
}

/// One person of one app.
#[derive(Debug, Args)]
pub(crate) struct Person {
    /// The host's id of the person
    user: UserId,
    /// The app
    #[arg(long, value_name = "APPID")]
    app: AppId,
}

impl User {
    fn app(&self) -> &AppId {
        match self {
            Self::Show(person)
            | Self::Ban { person, .. }
            | Self::Unban(person)
            | Self::Delete(person) => &person.app,
        }
    }

    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let auth = global.auth().await?;
        super::known_app(&auth, self.app()).await?;
        let (person, change, done) = match self {
            Self::Show(person) => {
                let user = auth.user(&person.app, &person.user).await?;
                let user = user.ok_or_else(|| Failure::not_found("user", &person.user))?;
                let sessions = auth.sessions(&person.app, &person.user, None).await?;
                let custom: serde_json::Value = user
                    .custom
                    .as_deref()
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default();
                let shown = json!({
                    "id": user.id.as_str(), "name": user.name, "avatar": user.avatar, "custom": custom,
                    "createdAt": user.created_at, "bannedAt": user.banned_at, "banReason": user.ban_reason,
                    "deletedAt": user.deleted_at, "sessions": sessions.len(),
                });
                print(global.json, &shown, |_| {
                    let standing = match (user.deleted_at, user.banned_at) {
                        (Some(at), _) => format!("deleted {}", moment(at)),
                        (None, Some(at)) => format!(
                            "banned {} {}",
                            moment(at),
                            user.ban_reason.as_deref().unwrap_or("")
                        ),
                        (None, None) => "welcome".into(),
                    };
                    format!(
                        "{}  {}  {standing}\nsince {}, {} live sessions\ncustom {custom}",
                        user.id,
                        user.name.as_deref().unwrap_or("–"),
                        moment(user.created_at),
                        sessions.len()
                    )
                });
                auth.close().await?;
                return Ok(());
            }
            Self::Ban { person, reason } => {
                let reason = profile::reason(reason).map_err(Failure::of_flag)?;
                (person, UserChange::Ban { reason }, "banned")
            }
            Self::Unban(person) => (person, UserChange::Unban, "unbanned"),
            Self::Delete(person) => (person, UserChange::Delete, "deleted"),
        };
        let changed = auth
            .change_user(
                &person.app,
                &person.user,
                change,
                "operator",
                &Peer::default(),
            )
            .await?;
        print(
            global.json,
            &json!({ "userId": person.user.as_str(), "changed": changed }),
            |_| {
                if changed {
                    format!("{} is {done}.", person.user)
                } else {
                    format!("Nothing to do for {}.", person.user)
                }
            },
        );
        auth.close().await?;
        Ok(())
    }
}
