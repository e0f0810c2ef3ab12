//! The endpoints of operators, before a node of the test's making.

mod connection;
mod connections;
mod disconnect;
mod node;
mod publish;
mod topics;

use std::sync::{Arc, Mutex};

use chatsdk_api::Node;
use chatsdk_api::node::{
    Close, ConnectionDetail, ConnectionView, Encoding, NodeStatus, Publication, Published, Step,
    TopicView, Transport, Unpublished, Wanted, Whom,
};
use chatsdk_types::AppId;
use serde_json::Value;

use crate::support::{OPERATOR, Reply, Server, With};

/// How much the node looks at in a step.
const STEP: u64 = 10;

/// A node with connections that are numbered, and a note of all that it was asked to do.
#[derive(Debug, Default)]
pub(crate) struct Numbered {
    connections: u64,
    asked: Mutex<Vec<String>>,
}

impl Numbered {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    /// What it was asked for since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// One step of those numbers that `wanted` says.
    fn step<T>(&self, from: u64, most: usize, mut wanted: impl FnMut(u64) -> Option<T>) -> Step<T> {
        let end = self.connections.min(from.saturating_add(STEP));
        let mut items = Vec::new();
        for number in from..end {
            if items.len() == most {
                return Step {
                    items,
                    next: Some(number),
                };
            }
            items.extend(wanted(number));
        }
        Step {
            items,
            next: (end < self.connections).then_some(end),
        }
    }
}

/// The id of the connection with this number.
fn client(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn view(number: u64) -> ConnectionView {
    ConnectionView {
        client: client(number),
        app: "app_01h455vb4pex5vsknk084sn02q".into(),
        user: if number.is_multiple_of(2) {
            "ann"
        } else {
            "bob"
        }
        .into(),
        session: "ses_01h455vb4pex5vsknk084sn02q".into(),
        transport: Transport::HttpStream,
        encoding: Encoding::Protobuf,
        connected_at: 7,
        topics: 1,
        queued_bytes: 0,
    }
}

impl Node for Numbered {
    fn admits(&self, token: &str) -> bool {
        token == OPERATOR
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            version: "1.2.3".into(),
            started_at: 7,
            uptime_ms: 8,
            draining: false,
            sockets: self.connections + 1,
            connections: self.connections,
            subscriptions: 3,
            topics: 2,
            publications: 1,
        }
    }

    fn connections(&self, wanted: &Wanted, from: u64, most: usize) -> Step<ConnectionView> {
        self.note(format!("{from} {most}"));
        self.step(from, most, |number| {
            let view = view(number);
            let user = wanted.user.as_ref();
            user.is_none_or(|user| user.as_str() == view.user)
                .then_some(view)
        })
    }

    fn connection(&self, wanted: &str, from: u64) -> Step<ConnectionDetail> {
        self.step(from, 1, |number| {
            (client(number) == wanted).then(|| ConnectionDetail {
                connection: view(number),
                expires_at: None,
                subscriptions: vec!["user:ann".into()],
            })
        })
    }

    fn topics(&self, app: Option<&AppId>, from: u64, most: usize) -> Step<TopicView> {
        self.step(from, most, |number| {
            app.is_none().then(|| TopicView {
                app: "app_01h455vb4pex5vsknk084sn02q".into(),
                topic: format!("custom:{number}"),
                subscribers: 2,
            })
        })
    }

    fn disconnect(&self, _: &AppId, whom: &Whom, close: &Close) -> usize {
        self.note(format!("{whom:?} {} {:?}", close.code, close.reason));
        2
    }

    fn disconnect_client(
        &self,
        _: Option<&AppId>,
        wanted: &str,
        close: &Close,
        from: u64,
    ) -> Step<()> {
        self.step(from, 1, |number| {
            (client(number) == wanted).then(|| self.note(format!("{number} {}", close.code)))
        })
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Published, Unpublished> {
        match publication.topic {
            "custom:deep" => return Err(Unpublished::TooDeep),
            topic if !topic.starts_with("custom:") => return Err(Unpublished::NoTopic),
            _ => {}
        }
        self.note(format!(
            "{} {} {:?}",
            publication.topic,
            publication.data.get(),
            publication.idempotency_key
        ));
        Ok(Published {
            offset: 1,
            epoch: "abc".into(),
            subscribers: 2,
        })
    }
}

/// A server before a node with so many connections.
async fn server(connections: u64) -> (Server, Arc<Numbered>) {
    let node = Arc::new(Numbered {
        connections,
        ..Numbered::default()
    });
    let with = With {
        node: Some(Arc::clone(&node) as Arc<dyn Node>),
        ..With::default()
    };
    (Server::with(with).await, node)
}

async fn get(server: &Server, path: &str) -> Reply {
    let bearer = format!("Bearer {OPERATOR}");
    server
        .send("GET", path, &[("Authorization", &bearer)], b"")
        .await
}

async fn post(server: &Server, path: &str, body: Value) -> Reply {
    let bearer = format!("Bearer {OPERATOR}");
    let headers = [("Authorization", bearer.as_str())];
    server.post(path, &headers, &body.to_string()).await
}
