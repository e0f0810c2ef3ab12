//! `chatsdk session`: the devices that people are signed in on.

use chatsdk_auth::{Peer, Which};
use chatsdk_types::{AppId, SessionId, UserId};
use clap::Subcommand;
use serde_json::json;

use super::Global;
use super::output::{Failure, moment, print, print_json, print_line};

/// List and end sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// List a user's live sessions
    List {
        /// The app
        #[arg(long, value_name = "APPID")]
        app: AppId,
        /// The user
        #[arg(long)]
        user: UserId,
    },
    /// End one session, or all of a user's
    Revoke {
        /// The app
        #[arg(long, value_name = "APPID")]
        app: AppId,
        /// The session
        #[arg(required_unless_present = "user")]
        session: Option<SessionId>,
        /// All sessions of this user
        #[arg(long, conflicts_with = "session")]
        user: Option<UserId>,
    },
}

impl Session {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let auth = global.auth().await?;
        let (Self::List { app, .. } | Self::Revoke { app, .. }) = &self;
        super::known_app(&auth, app).await?;
        match self {
            Self::List { app, user } => {
                for session in auth.sessions(&app, &user, None).await? {
                    if global.json {
                        print_json(&session);
                    } else {
                        print_line(&format!(
                            "{}  since {}  until {} at most  {}",
                            session.id,
                            moment(session.created_at),
                            moment(session.expires_at),
                            session
                                .device_name
                                .or(session.device_id)
                                .unwrap_or_default()
                        ));
                    }
                }
            }
            Self::Revoke { app, session, user } => {
                let which = match (session, user) {
                    (Some(session), _) => Which::One(session),
                    (None, Some(user)) => Which::OfUser { user, except: None },
                    (None, None) => {
                        return Err(Failure::new(
                            "usage",
                            "name a session, or a user with --user",
                        ));
                    }
                };
                let ended = auth
                    .end_sessions(&app, which, "operator", "operator", &Peer::default())
                    .await?;
                print(global.json, &json!({ "ended": ended }), |_| {
                    format!("Ended {ended}.")
                });
            }
        }
        auth.close().await?;
        Ok(())
    }
}
