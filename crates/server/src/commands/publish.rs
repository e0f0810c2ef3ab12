//! `chatsdk publish`.

use chatsdk_types::AppId;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Global;
use super::live::NodeFlags;
use super::output::{Failure, print};

/// Publish in a topic on the live node.
///
/// In nobody's name. `custom:NAME` reaches everybody who listens to it, `user:ID` all connections of one
/// user.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The topic, such as `custom:lobby` or `user:ann`
    topic: String,
    /// What to say, as JSON
    // A number may begin with what otherwise begins a flag.
    #[arg(allow_hyphen_values = true)]
    data: String,
    /// The app; needed where there is more than one
    #[arg(long, value_name = "APPID")]
    app: Option<AppId>,
    /// The same key within five minutes is the same publication
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    node: NodeFlags,
}

/// What the node is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Publication<'a> {
    topic: &'a str,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
}

/// What the node answers.
#[derive(Deserialize, Serialize)]
struct Published {
    offset: u64,
    epoch: String,
    subscribers: usize,
}

impl Publish {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let data: &RawValue = serde_json::from_str(&self.data).map_err(|error| {
            Failure::new(
                "usage",
                format!("the data is not JSON ({error}); text is written '\"text\"'"),
            )
        })?;
        let node = self.node.find(global)?;
        let publication = Publication {
            topic: &self.topic,
            data,
            app: self.app.as_ref().map(AppId::as_str),
            idempotency_key: self.idempotency_key.as_deref(),
        };
        let published: Published = node.post("/admin/publish", &publication).await?;
        print(global.json, &published, |published| {
            format!(
                "Published as {} of {}; {} connections listen.",
                published.offset, published.epoch, published.subscribers
            )
        });
        Ok(())
    }
}
