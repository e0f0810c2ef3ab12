//! `chatsdk connections`.

use chatsdk_types::{AppId, Millis, SessionId, UserId};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::Global;
use super::live::{LiveNode, NodeFlags, encoded};
use super::output::{Failure, moment, print_json, print_line};

/// List the realtime connections of the live node.
///
/// Of the server that serves from the data directory, or of the node at --url. With an id, everything
/// that there is to see of one connection.
#[derive(Debug, Args)]
pub(crate) struct Connections {
    /// The id of one connection
    #[arg(conflicts_with_all = ["app", "user", "session", "topic", "limit"])]
    client: Option<String>,
    /// Connections of this app
    #[arg(long, value_name = "APPID")]
    app: Option<AppId>,
    /// Connections of this user
    #[arg(long)]
    user: Option<UserId>,
    /// Connections of this session
    #[arg(long)]
    session: Option<SessionId>,
    /// Connections that listen to this topic
    #[arg(long)]
    topic: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    node: NodeFlags,
}

/// A page of the list.
#[derive(Deserialize)]
struct Page {
    connections: Vec<Connection>,
    next: Option<String>,
}

/// A connection, as the node tells it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    client: String,
    app: String,
    user: String,
    session: String,
    transport: String,
    encoding: String,
    connected_at: Millis,
    topics: usize,
    queued_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<Vec<String>>,
}

/// How long a page is asked for.
const PAGE: usize = 500;

impl Connections {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let node = self.node.find(global)?;
        match &self.client {
            Some(client) => show(&node, client, global.json).await,
            None => self.list(&node, global.json).await,
        }
    }

    async fn list(&self, node: &LiveNode, json: bool) -> Result<(), Failure> {
        let filters = self.filters();
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut from = "0".to_owned();
        if !json {
            print_line(&row(&[
                "CLIENT", "USER", "APP", "SESSION", "OVER", "SINCE", "TOPICS", "QUEUED",
            ]));
        }
        while left > 0 {
            let limit = left.min(PAGE);
            let path = format!("/admin/connections?from={from}&limit={limit}{filters}");
            let page: Page = node.get(&path).await?;
            left = left.saturating_sub(page.connections.len());
            for connection in &page.connections {
                if json {
                    print_json(connection);
                } else {
                    print_line(&line(connection));
                }
            }
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(())
    }

    /// The filters as they stand behind other parameters.
    fn filters(&self) -> String {
        [
            ("app", self.app.as_ref().map(AppId::as_str)),
            ("user", self.user.as_ref().map(UserId::as_str)),
            ("session", self.session.as_ref().map(SessionId::as_str)),
            ("topic", self.topic.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("&{name}={}", encoded(value?))))
        .collect()
    }
}

async fn show(node: &LiveNode, client: &str, json: bool) -> Result<(), Failure> {
    let path = format!("/admin/connections/{}", encoded(client));
    let connection: Connection = node.get(&path).await?;
    if json {
        print_json(&connection);
        return Ok(());
    }
    print_line(&format!(
        "{}\n  user       {}\n  app        {}\n  session    {}\n  over       {}\n  since      {}\n  expires    {}\n  queued     {} bytes\n  topics     {}",
        connection.client,
        plain(&connection.user),
        connection.app,
        connection.session,
        over(&connection),
        moment(connection.connected_at),
        connection
            .expires_at
            .map_or_else(|| "never".to_owned(), moment),
        connection.queued_bytes,
        plain(&connection.subscriptions.unwrap_or_default().join("  ")),
    ));
    Ok(())
}

fn line(connection: &Connection) -> String {
    row(&[
        &connection.client,
        &plain(&connection.user),
        &connection.app,
        &connection.session,
        &over(connection),
        &moment(connection.connected_at),
        &connection.topics.to_string(),
        &connection.queued_bytes.to_string(),
    ])
}

/// Cells in columns; what is longer than its column pushes the rest along.
fn row(cells: &[&str; 8]) -> String {
    const WIDTHS: [usize; 8] = [36, 16, 30, 30, 20, 20, 6, 6];
    let padded = cells
        .iter()
        .zip(WIDTHS)
        .map(|(cell, width)| format!("{cell:width$}"));
    let row: Vec<_> = padded.collect();
    row.join("  ").trim_end().to_owned()
}

fn over(connection: &Connection) -> String {
    format!("{}/{}", connection.transport, connection.encoding)
}

/// Text of strangers, without what would move the cursor or change colours.
fn plain(text: &str) -> String {
    let visible = |character: char| {
        if character.is_control() {
            '\u{FFFD}'
        } else {
            character
        }
    };
    text.chars().map(visible).collect()
}
