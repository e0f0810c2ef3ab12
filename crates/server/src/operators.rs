//! What operators see of the realtime engine, and do to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chatsdk_api::Node;
use chatsdk_api::node::{
    self, Close, ConnectionDetail, ConnectionView, NodeStatus, Publication, Published, Step,
    TopicView, Unpublished, Wanted,
};
use chatsdk_realtime::{
    Disconnect, DisconnectCode, Encoding, Handle, Listed, Payload, Publish, TopicOptions,
    Transport, Whom,
};
use chatsdk_types::{AppId, Clock, Millis};

use crate::operator_token::OperatorToken;
use crate::topics;

/// This node.
#[derive(Debug)]
pub(crate) struct LiveNode {
    handle: Handle,
    token: OperatorToken,
    draining: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    started_at: Millis,
    personal: TopicOptions,
    custom: TopicOptions,
}

impl LiveNode {
    /// The node of `handle`, which begins to answer now.
    pub(crate) fn new(
        handle: Handle,
        token: OperatorToken,
        draining: Arc<AtomicBool>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            handle,
            token,
            draining,
            started_at: clock.now(),
            clock,
            personal: topics::personal(),
            custom: topics::custom(),
        }
    }

    /// Looks at one step of the list of connections. What `see` answers is found; with `most` of it
    /// found the step ends early.
    fn step<T>(
        &self,
        from: u64,
        most: usize,
        mut see: impl FnMut(&Listed) -> Option<T>,
    ) -> Step<T> {
        let (listed, next) = self.handle.connections(from);
        let mut items = Vec::new();
        for (index, connection) in listed.iter().enumerate() {
            if items.len() == most {
                let next = listed.get(index).map(Listed::place);
                return Step { items, next };
            }
            items.extend(see(connection));
        }
        Step { items, next }
    }
}

impl Node for LiveNode {
    fn admits(&self, token: &str) -> bool {
        self.token.admits(token)
    }

    fn status(&self) -> NodeStatus {
        let stats = self.handle.stats();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            uptime_ms: (self.clock.now() - self.started_at).max(0),
            draining: self.draining.load(Ordering::Acquire),
            sockets: read(&stats.open),
            connections: read(&stats.connected),
            subscriptions: read(&stats.subscriptions),
            topics: self.handle.topics() as u64,
            publications: read(&stats.publications),
        }
    }

    fn connections(&self, wanted: &Wanted, from: u64, most: usize) -> Step<ConnectionView> {
        self.step(from, most, |connection| {
            if !fits(wanted, connection) {
                return None;
            }
            connection.view().as_ref().map(shown)
        })
    }

    fn connection(&self, client: &str, from: u64) -> Step<ConnectionDetail> {
        self.step(from, 1, |connection| {
            if connection.client() != client {
                return None;
            }
            let view = connection.view()?;
            Some(ConnectionDetail {
                expires_at: view.expires_at,
                subscriptions: connection
                    .channels()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                connection: shown(&view),
            })
        })
    }

    fn topics(&self, app: Option<&AppId>, from: u64, most: usize) -> Step<TopicView> {
        let (topics, next) = self.handle.list_topics(from, most);
        let items = topics
            .into_iter()
            .filter(|topic| app.is_none_or(|app| *topic.app == *app.as_str()))
            .map(|topic| TopicView {
                app: topic.app.into(),
                topic: topic.channel.to_string(),
                subscribers: topic.subscribers,
            })
            .collect();
        Step { items, next }
    }

    fn disconnect(&self, app: &AppId, whom: &node::Whom, close: &Close) -> usize {
        let app = app.as_str();
        let whom = match whom {
            node::Whom::Session(session) => Whom::Session {
                app,
                session: session.as_str(),
            },
            node::Whom::User(user) => Whom::User {
                app,
                user: user.as_str(),
            },
            node::Whom::Everyone => Whom::App { app },
        };
        self.handle.disconnect(&whom, &ending(close))
    }

    fn disconnect_client(
        &self,
        app: Option<&AppId>,
        client: &str,
        close: &Close,
        from: u64,
    ) -> Step<()> {
        self.step(from, 1, |connection| {
            if connection.client() != client {
                return None;
            }
            let identity = connection.identity()?;
            let of_app = app.is_none_or(|app| *identity.app == *app.as_str());
            (of_app && connection.disconnect(&ending(close))).then_some(())
        })
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Published, Unpublished> {
        let options = match topics::of_the_server(publication.topic) {
            Some(topics::Kind::Personal) => &self.personal,
            Some(topics::Kind::Custom) => &self.custom,
            None => return Err(Unpublished::NoTopic),
        };
        let data = Payload::new(publication.data.get().as_bytes().to_vec());
        if !data.is_json() {
            return Err(Unpublished::TooDeep);
        }
        let app = publication.app.as_str();
        let subscribers = self.handle.listeners(app, publication.topic);
        let published = self.handle.publish(Publish {
            idempotency_key: publication.idempotency_key,
            ..Publish::new(app, publication.topic, data, options)
        });
        // Both kinds of topics have a history in this process, and so a position that is known.
        let (offset, epoch) = published.position().map_or((0, String::new()), |position| {
            (position.offset, position.epoch.to_string())
        });
        Ok(Published {
            offset,
            epoch,
            subscribers,
        })
    }
}

fn fits(wanted: &Wanted, connection: &Listed) -> bool {
    let Some(identity) = connection.identity() else {
        return false;
    };
    let Wanted {
        app,
        user,
        session,
        topic,
    } = wanted;
    app.as_ref()
        .is_none_or(|app| *app.as_str() == *identity.app)
        && user
            .as_ref()
            .is_none_or(|user| *user.as_str() == *identity.user)
        && session
            .as_ref()
            .is_none_or(|session| *session.as_str() == *identity.session)
        && topic
            .as_ref()
            .is_none_or(|topic| connection.listens_to(topic))
}

fn shown(view: &chatsdk_realtime::ConnectionView) -> ConnectionView {
    ConnectionView {
        client: view.client.to_string(),
        app: view.identity.app.to_string(),
        user: view.identity.user.to_string(),
        session: view.identity.session.to_string(),
        transport: match view.transport {
            Transport::WebSocket => node::Transport::Websocket,
            Transport::HttpStream => node::Transport::HttpStream,
            Transport::Events => node::Transport::Sse,
        },
        encoding: match view.encoding {
            Encoding::Json => node::Encoding::Json,
            Encoding::Protobuf => node::Encoding::Protobuf,
        },
        connected_at: view.opened_at,
        topics: view.topics,
        queued_bytes: view.queued_bytes,
    }
}

/// How the wire says `close`.
fn ending(close: &Close) -> Disconnect {
    let known = DisconnectCode::ALL
        .iter()
        .find(|code| code.code() == close.code);
    let code = known.copied().unwrap_or(DisconnectCode::ForceDisconnect);
    Disconnect::because(code, close.reason.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_operators_are_those_of_the_wire() {
        for (number, reconnects) in node::CLOSE_CODES {
            let close = Close {
                code: number,
                reason: None,
            };
            let ending = ending(&close);
            assert_eq!(ending.code(), number);
            let code = DisconnectCode::ALL
                .iter()
                .find(|code| code.code() == number)
                .unwrap();
            assert_eq!(code.reconnects(), reconnects, "{number}");
            assert_eq!(ending.reason(), code.reason(), "{number}");
        }
    }
}
