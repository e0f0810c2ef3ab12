//! `chatsdk audit`: who did what.

use chatsdk_auth::{AuditFilter, AuditLine, Auth};
use chatsdk_types::{AppId, Clock, SystemClock, UserId};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Global;
use super::output::{Failure, moment, print_json, print_line};
use super::since::Since;

/// How many lines are read at once.
const PAGE: u32 = 500;

/// Read the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List what was done, newest first
    List(List),
}

/// List what was done, newest first.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// What concerns this app
    #[arg(long, value_name = "APPID")]
    app: Option<AppId>,
    /// What concerns this user
    #[arg(long)]
    user: Option<UserId>,
    /// Not what is older: so long ago, such as 24h, or a moment, such as 2024-01-09T21:20:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// How many lines at most
    #[arg(long, value_name = "COUNT", default_value = "100")]
    limit: u32,
}

impl Audit {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let auth = global.auth().await?;
        let Self::List(list) = self;
        list.run(global, &auth).await?;
        auth.close().await?;
        Ok(())
    }
}

impl List {
    async fn run(self, global: &Global, auth: &Auth) -> Result<(), Failure> {
        if let Some(app) = &self.app {
            super::known_app(auth, app).await?;
        }
        let filter = AuditFilter {
            app: self.app,
            user: self.user,
            since: self.since.map(|since| since.before(SystemClock.now())),
        };
        let (mut left, mut last) = (self.limit, None);
        while left > 0 {
            let page = auth.audit(&filter, last.as_ref(), left.min(PAGE)).await?;
            for line in &page {
                if global.json {
                    print_json(&object(line));
                } else {
                    print_line(&sentence(line));
                }
            }
            left -= left.min(PAGE);
            last = page.into_iter().last();
            if last.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// A line for programs: what does not apply is null.
fn object(line: &AuditLine) -> serde_json::Value {
    let entry = &line.entry;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "seq": line.seq,
        "at": entry.at,
        "action": entry.action,
        "actor": entry.actor,
        "appId": given(&entry.app),
        "userId": given(&entry.user),
        "sessionId": given(&entry.session),
        "ip": given(&entry.ip),
        "userAgent": given(&entry.user_agent),
        "requestId": given(&entry.request_id),
        "detail": given(&entry.detail),
    })
}

/// A line for people: what does not apply is left out.
fn sentence(line: &AuditLine) -> String {
    let entry = &line.entry;
    let mut text = format!("{}  {}  by {}", moment(entry.at), entry.action, entry.actor);
    for (name, value) in [
        ("app", &entry.app),
        ("user", &entry.user),
        ("session", &entry.session),
        ("from", &entry.ip),
        ("with", &entry.user_agent),
        ("request", &entry.request_id),
        ("detail", &entry.detail),
    ] {
        if !value.is_empty() {
            // One line says one thing, whatever stands in it.
            let value = value.replace(['\n', '\t'], " ");
            text.extend(["  ", name, " ", value.as_str()]);
        }
    }
    text
}
