//! `chatsdk disconnect`.

use chatsdk_types::{AppId, SessionId, UserId};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Global;
use super::live::NodeFlags;
use super::output::{Failure, print};

/// Close realtime connections of the live node.
///
/// One connection by its id, or those of a session, of a user, or of a whole app. The session lives on:
/// to keep somebody away, end it (`chatsdk session revoke`) or ban the user (`chatsdk user ban`).
#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    #[command(flatten)]
    target: Target,
    /// The app; needed where there is more than one
    #[arg(long, value_name = "APPID")]
    app: Option<AppId>,
    /// Close with 3011, after which every client comes back at once
    #[arg(long, conflicts_with = "code")]
    reconnect: bool,
    /// The close code; without it 3503, after which stock clients stay away
    #[arg(long)]
    code: Option<u16>,
    /// What clients are told beside the code
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    node: NodeFlags,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// The id of one connection
    client: Option<String>,
    /// All connections of this session
    #[arg(long)]
    session: Option<SessionId>,
    /// All connections of this user
    #[arg(long)]
    user: Option<UserId>,
    /// All connections of the app
    #[arg(long)]
    everyone: bool,
}

/// What the node answers.
#[derive(Deserialize, Serialize)]
struct Closed {
    disconnected: usize,
    code: u16,
    reconnects: bool,
}

/// The code after which clients come back at once.
const FORCE_RECONNECT: u16 = 3011;

impl Disconnect {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let node = self.node.find(global)?;
        let closed: Closed = node.post("/admin/disconnect", &self.body()).await?;
        print(global.json, &closed, |closed| {
            let later = if closed.reconnects {
                "clients come back by themselves"
            } else {
                "stock clients stay away"
            };
            format!(
                "Closed {} with {}: {later}.",
                closed.disconnected, closed.code
            )
        });
        Ok(())
    }

    fn body(&self) -> Value {
        let target = &self.target;
        let code = self.code.or(self.reconnect.then_some(FORCE_RECONNECT));
        let members: [(&str, Option<Value>); 7] = [
            ("client", target.client.as_deref().map(Value::from)),
            (
                "session",
                target.session.as_ref().map(|id| id.as_str().into()),
            ),
            ("user", target.user.as_ref().map(|id| id.as_str().into())),
            ("everyone", target.everyone.then_some(true.into())),
            ("app", self.app.as_ref().map(|id| id.as_str().into())),
            ("code", code.map(Value::from)),
            ("reason", self.reason.as_deref().map(Value::from)),
        ];
        let given = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}
