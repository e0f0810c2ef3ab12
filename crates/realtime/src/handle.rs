//! What the host tells the engine and asks of it, beside the requests that it hands over: [`Handle`].

use std::sync::Arc;

use chatsdk_protocol::push::Message;
use chatsdk_protocol::{ClientInfo, Disconnect, Payload, Publication, Push, UnsubscribeCode};
use chatsdk_types::Millis;

use crate::authority::Grant;
use crate::broker::answer::Answer;
use crate::broker::memory::stream::Range;
use crate::broker::order::{Deed, Order, Target};
use crate::broker::publication::Position;
use crate::broker::{BrokerError, Kept, Outgoing, TopicName};
use crate::commands::fits_into_a_frame;
use crate::connection::{Connection, Phase};
use crate::engine::Shared;
use crate::publish::{Publish, Published};
use crate::server_side;
use crate::stats::Stats;
use crate::topics::options::Keep;

/// How many connections are closed before other tasks get their turn: about two milliseconds.
const BATCH: usize = 256;

/// The part of an engine that does not depend on its host's authority. Clones are the same engine.
///
/// It may be used from any thread, inside the runtime or not.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

/// Which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom<'a> {
    /// Those of one session.
    Session {
        /// The app of the session.
        app: &'a str,
        /// The session.
        session: &'a str,
    },
    /// Those of one user.
    User {
        /// The app of the user.
        app: &'a str,
        /// The user.
        user: &'a str,
    },
    /// Those of one user but for one session: "sign out my other devices".
    UserExcept {
        /// The app of the user.
        app: &'a str,
        /// The user.
        user: &'a str,
        /// The session that is spared.
        session: &'a str,
    },
    /// Those of one app.
    App {
        /// The app.
        app: &'a str,
    },
    /// All of them, those that are not authenticated yet as well.
    Everyone,
}

impl Handle {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Ends the connections of `whom` with `why`, and answers how many that are; those that were ending
    /// already do not count. Each of them is sent
    /// its close frame at once (more than a few hundred: within milliseconds, by a task), and is broken
    /// off after `close_wait` if the client does not answer.
    ///
    /// Connections whose connect or refresh command the authority is thinking about are included: give
    /// the order after the authority can see the reason for it.
    ///
    /// This and the other orders below hold on every node that the broker joins; what is counted are the
    /// connections of this one.
    pub fn disconnect(&self, whom: &Whom<'_>, why: &Disconnect) -> usize {
        self.order(whom, Deed::Disconnect(why.clone()))
    }

    /// The same on this node alone: for hosts that every node learns of the reason by itself.
    pub fn disconnect_here(&self, whom: &Whom<'_>, why: &Disconnect) -> usize {
        let found = self.0.hub.order(whom, why);
        let living = |connection: &&Arc<Connection>| connection.phase() != Phase::Closing;
        let count = found.iter().filter(living).count();
        self.close_all(found, why);
        count
    }

    /// How many connections `whom` has now; for [`Whom::Everyone`] those that are not authenticated
    /// count, too.
    pub fn count(&self, whom: &Whom<'_>) -> usize {
        self.0.hub.count(whom)
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// Looks at every deadline now, because the wall clock was moved. The engine does so by itself when it
    /// finds that out, within seconds.
    pub fn recheck(&self) {
        self.0.recheck();
    }

    /// Accepts no more connections, closes all with 3001 ("shutdown", after which clients come back),
    /// and waits until they are gone: about as long as clients take to answer, and `close_wait` at
    /// most once the authority has answered what it was asked.
    pub async fn drain(&self) {
        let open = self.0.hub.drain();
        self.close_all(open, &chatsdk_protocol::DisconnectCode::Shutdown.into());
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Publishes in a topic; answers the position, `None` in a topic without history. Subscribers are
    /// told by a task, together with what is published until it runs. It is done when this returns, or will be,
    /// whether the answer is waited for or not; in one process the answer is there at once.
    ///
    /// A publication that would take up more than 900 KiB of a frame is refused
    /// ([`BrokerError::TooLong`]): clients break off where a frame has more than a MiB.
    pub fn publish(&self, publish: Publish<'_>) -> Published {
        let publication = Publication {
            data: publish.data,
            info: publish.info,
            tags: (!publish.tags.is_empty()).then(|| Arc::new(publish.tags)),
            ..Publication::default()
        };
        if !fits_into_a_frame(&publication, publish.options.delta) {
            return Published(Answer::known(Err(BrokerError::TooLong)));
        }
        let outgoing = Outgoing {
            topic: TopicName {
                app: publish.app,
                channel: publish.channel,
            },
            publication,
            history: publish.options.history,
            delta: publish.delta || publish.options.delta_publish,
            key: publish.idempotency_key,
            version: publish.version,
            position: publish.position,
            refusable: false,
        };
        Published(self.0.publish(outgoing))
    }

    /// What was said in a topic whose history the engine keeps: its position and the publications in `range`.
    pub async fn history(
        &self,
        app: &str,
        channel: &str,
        keep: Keep,
        range: Range<'_>,
    ) -> Result<Kept, BrokerError> {
        let topic = TopicName { app, channel };
        self.0.broker.history(topic, keep, range).await
    }

    /// Forgets what was said in a topic whose history the engine keeps. Its count stays.
    pub async fn forget_history(&self, app: &str, channel: &str) -> Result<(), BrokerError> {
        self.0.broker.forget(TopicName { app, channel }).await
    }

    /// Who listens to a topic, on all nodes.
    pub async fn presence(
        &self,
        app: &str,
        channel: &str,
    ) -> Result<Vec<Arc<ClientInfo>>, BrokerError> {
        let topic = TopicName { app, channel };
        let present = self.0.broker.present(topic, usize::MAX).await?;
        Ok(present.unwrap_or_default())
    }

    /// How many connections listen to a topic, of how many users, on all nodes. Where a thousand or more listen,
    /// users are those of the last second.
    pub async fn presence_stats(
        &self,
        app: &str,
        channel: &str,
    ) -> Result<(usize, usize), BrokerError> {
        self.0
            .broker
            .count_present(TopicName { app, channel })
            .await
    }

    /// How many connections of this node listen to a topic.
    pub fn listeners(&self, app: &str, channel: &str) -> usize {
        let count = self
            .0
            .topics
            .find(app, channel, |_, inner| inner.listeners());
        count.unwrap_or_default()
    }

    /// How many topics there are: with listeners, or with history.
    pub fn topics(&self) -> usize {
        self.0.topics.count()
    }

    /// Subscribes the connections of `whom` to `channel`, and answers how many did not listen to it
    /// before. In a topic whose history the host keeps, `position` is where it stands.
    pub fn subscribe(
        &self,
        whom: &Whom<'_>,
        channel: &str,
        grant: &Grant,
        position: Option<&Position>,
    ) -> usize {
        let grant = Box::new(grant.clone());
        self.order(
            whom,
            Deed::Subscribe(channel.into(), grant, position.cloned()),
        )
    }

    pub(crate) fn subscribe_here(
        &self,
        whom: &Whom<'_>,
        channel: &str,
        grant: &Grant,
        position: Option<&Position>,
    ) -> usize {
        let connections = self.0.hub.find(whom);
        connections
            .iter()
            .filter(|connection| server_side::subscribe(connection, channel, grant, position))
            .count()
    }

    /// Ends the subscriptions of `whom` to `channel`, those as well that the authority is thinking
    /// about, and answers how many that are.
    pub fn unsubscribe(&self, whom: &Whom<'_>, channel: &str, why: UnsubscribeCode) -> usize {
        self.order(whom, Deed::Unsubscribe(channel.into(), why))
    }

    pub(crate) fn unsubscribe_here(
        &self,
        whom: &Whom<'_>,
        channel: &str,
        why: UnsubscribeCode,
    ) -> usize {
        let connections = self.0.hub.find(whom);
        connections
            .iter()
            .filter(|connection| connection.unsubscribe(channel, why))
            .count()
    }

    /// Has the proofs of `whom` end at another time, in milliseconds since 1970 (`None`: never), and tells the
    /// clients. Answers how many that are.
    pub fn refresh(&self, whom: &Whom<'_>, expires_at: Option<Millis>) -> usize {
        self.order(whom, Deed::Refresh(expires_at))
    }

    pub(crate) fn refresh_here(&self, whom: &Whom<'_>, expires_at: Option<Millis>) -> usize {
        let connections = self.0.hub.find(whom);
        connections
            .iter()
            .filter(|connection| connection.expire_at(expires_at))
            .count()
    }

    /// Sends a message to the connections of `whom`, and answers how many there are.
    pub fn message(&self, whom: &Whom<'_>, data: &Payload) -> usize {
        self.order(whom, Deed::Message(data.clone()))
    }

    pub(crate) fn message_here(&self, whom: &Whom<'_>, data: &Payload) -> usize {
        let connections = self.0.hub.find(whom);
        let push = Push::of_connection(Message { data: data.clone() });
        for connection in &connections {
            connection.push(&push);
        }
        connections.len()
    }

    /// Bytes that wait for clients which do not read.
    pub fn queued_bytes(&self) -> usize {
        let everyone = self.0.hub.find(&Whom::Everyone);
        everyone.iter().map(|connection| connection.waiting()).sum()
    }

    /// Bytes that the histories of all topics take up, with the topics that are there for them alone.
    pub fn history_bytes(&self) -> usize {
        self.0.budget.total()
    }

    /// Whether [`Handle::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.0.hub.is_draining()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Obeys here, and has every other node obey.
    fn order(&self, whom: &Whom<'_>, what: Deed) -> usize {
        let order = Order {
            whom: Target::from(whom),
            what,
        };
        let count = order.obey(self);
        if self.0.broker.is_shared() {
            self.0.see_through(self.0.broker.send(order));
        }
        count
    }

    fn close_all(&self, mut connections: Vec<Arc<Connection>>, why: &Disconnect) {
        let rest = connections.split_off(connections.len().min(BATCH));
        for connection in connections {
            connection.close(why);
        }
        if !rest.is_empty() {
            // A task rather than a future of the caller's: a caller that goes away must not leave
            // half of them open.
            let why = why.clone();
            self.0.spawn(async move {
                for batch in rest.chunks(BATCH) {
                    tokio::task::yield_now().await;
                    for connection in batch {
                        connection.close(&why);
                    }
                }
            });
        }
    }
}
