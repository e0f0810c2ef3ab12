//! A broker that joins servers of one process, and does to them what networks do.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Barrier, Mutex};

use chatsdk_realtime::{
    Announcement, Answer, Broker, BrokerError, ClientInfo, Config, History, Inbox, Incoming, Keep,
    Kept, Order, Outgoing, Position, Publication, Range, TopicName,
};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::Server;

type Topic = (String, String);

/// What comes to a node.
#[derive(Debug, Clone)]
enum Message {
    Publication(Topic, Incoming),
    Announcement(Topic, Announcement),
    Order(Order),
}

/// What all nodes share.
#[derive(Debug, Default)]
struct World {
    nodes: Vec<Node>,
    logs: HashMap<Topic, Log>,
    present: HashMap<Topic, BTreeMap<String, Arc<ClientInfo>>>,
    failing: bool,
    /// Answers wait here while it is closed.
    held: Option<Arc<Semaphore>>,
    /// Whoever says that a client has left waits here twice.
    leaving: Option<Arc<Barrier>>,
}

#[derive(Debug)]
struct Node {
    wire: UnboundedSender<Message>,
    subscribed: Vec<Topic>,
    /// How many messages are lost from now on.
    losing: usize,
    /// What is late, while something is to be.
    late: Option<Vec<Message>>,
}

/// What is kept of a topic.
#[derive(Debug)]
struct Log {
    epoch: Arc<str>,
    top: u64,
    kept: Vec<Arc<Publication>>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            epoch: "first".into(),
            top: 0,
            kept: Vec::new(),
        }
    }
}

/// Joins the nodes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cluster(Arc<Mutex<World>>);

/// One node's end.
#[derive(Debug)]
struct End {
    cluster: Cluster,
    node: usize,
    wire: Mutex<Option<UnboundedReceiver<Message>>>,
}

impl Cluster {
    /// One more node.
    pub(crate) async fn node(&self, config: Config) -> Server {
        let (wire, from) = unbounded_channel();
        let node = {
            let mut world = self.0.lock().expect("no panic");
            world.nodes.push(Node {
                wire,
                subscribed: Vec::new(),
                losing: 0,
                late: None,
            });
            world.nodes.len() - 1
        };
        let end = End {
            cluster: self.clone(),
            node,
            wire: Mutex::new(Some(from)),
        };
        Server::joined(config, Arc::new(end)).await
    }

    fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(&mut self.0.lock().expect("no panic"))
    }

    /// The next `count` messages to `node` do not arrive.
    pub(crate) fn lose(&self, node: usize, count: usize) {
        self.with(|world| world.nodes[node].losing = count);
    }

    /// Messages to `node` are late from now on.
    pub(crate) fn delay(&self, node: usize) {
        self.with(|world| world.nodes[node].late = Some(Vec::new()));
    }

    /// Those that are late arrive, in the order that `arrange` brings them into.
    pub(crate) fn arrive(&self, node: usize, arrange: impl FnOnce(&mut Vec<usize>)) {
        self.with(|world| {
            let node = &mut world.nodes[node];
            let late = node.late.take().expect("some are late");
            let mut order = (0..late.len()).collect();
            arrange(&mut order);
            for at in order {
                node.wire.send(late[at].clone()).expect("it listens");
            }
        });
    }

    /// Nothing is answered but with an error, or everything is again.
    pub(crate) fn fail(&self, failing: bool) {
        self.with(|world| world.failing = failing);
    }

    /// Answers wait from now on until the semaphore is closed.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.with(|world| world.held = Some(Arc::clone(&gate)));
        gate
    }

    /// The next thread that says that a client has left waits at the barrier for somebody else, and once more.
    pub(crate) fn stop_who_leaves(&self) -> Arc<Barrier> {
        let barrier = Arc::new(Barrier::new(2));
        self.with(|world| world.leaving = Some(Arc::clone(&barrier)));
        barrier
    }

    /// How many clients the broker says are in `channel`.
    pub(crate) fn present(&self, channel: &str) -> usize {
        let topic = ("app".to_owned(), channel.to_owned());
        self.with(|world| world.present.get(&topic).map_or(0, BTreeMap::len))
    }

    /// What is kept of `channel` is gone: it counts anew, in another epoch.
    pub(crate) fn forget_epoch(&self, channel: &str) {
        self.with(|world| {
            let log = Log {
                epoch: "second".into(),
                ..Log::default()
            };
            world.logs.insert(("app".into(), channel.into()), log);
        });
    }

    /// The last publication of `channel` was never kept, as after a restart from an older copy.
    pub(crate) fn step_back(&self, channel: &str) {
        self.with(|world| {
            let log = world.logs.get_mut(&("app".into(), channel.into()));
            let log = log.expect("something was said");
            log.kept.pop();
            log.top -= 1;
        });
    }

    /// How many topics `node` is subscribed to.
    pub(crate) fn subscribed(&self, node: usize) -> usize {
        self.with(|world| world.nodes[node].subscribed.len())
    }
}

impl World {
    fn send(&mut self, to: usize, message: Message) {
        let node = &mut self.nodes[to];
        if node.losing > 0 {
            node.losing -= 1;
        } else if let Some(late) = &mut node.late {
            late.push(message);
        } else {
            node.wire.send(message).expect("it listens");
        }
    }

    fn send_to_subscribed(&mut self, topic: &Topic, message: &Message) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].subscribed.contains(topic) {
                self.send(node, message.clone());
            }
        }
    }

    fn publish(&mut self, topic: &Topic, outgoing: &Outgoing<'_>) -> Option<Position> {
        let mut publication = outgoing.publication.clone();
        let position = match outgoing.history {
            History::None => None,
            History::Host => outgoing.position.clone(),
            History::Memory(keep) => {
                let log = self.logs.entry(topic.clone()).or_default();
                log.top += 1;
                publication.offset = log.top;
                log.kept.push(Arc::new(publication.clone()));
                let surplus = log.kept.len().saturating_sub(keep.size);
                log.kept.drain(..surplus);
                Some(log.position())
            }
        };
        publication.offset = position.as_ref().map_or(0, |position| position.offset);
        let incoming = Incoming {
            publication,
            epoch: position.as_ref().map(|it| Arc::clone(&it.epoch)),
            delta: outgoing.delta,
        };
        self.send_to_subscribed(topic, &Message::Publication(topic.clone(), incoming));
        position
    }
}

impl Log {
    fn position(&self) -> Position {
        Position {
            offset: self.top,
            epoch: Arc::clone(&self.epoch),
        }
    }

    fn read(&self, range: &Range<'_>) -> Kept {
        let first = self.top + 1 - self.kept.len() as u64;
        let limit = range.limit.unwrap_or(usize::MAX);
        let since = range.since.map_or(Some(first - 1), |(offset, epoch)| {
            let known = (epoch.is_empty() || *epoch == *self.epoch)
                && (first..=self.top + 1).contains(&(offset + 1));
            known.then_some(offset)
        });
        let publications = since.map(|since| {
            let kept = self.kept.iter().filter(|kept| kept.offset > since);
            if range.reverse {
                kept.rev().take(limit).map(Arc::clone).collect()
            } else {
                kept.take(limit).map(Arc::clone).collect()
            }
        });
        Kept {
            top: self.position(),
            publications,
        }
    }
}

impl End {
    /// Done now, and answered a little later.
    fn answer<T: Send + 'static>(&self, work: impl FnOnce(&mut World) -> T) -> Answer<T> {
        let (outcome, held) = self.cluster.with(|world| {
            let outcome = if world.failing {
                Err(BrokerError::Unavailable)
            } else {
                Ok(work(world))
            };
            (outcome, world.held.clone())
        });
        Answer::awaited(async move {
            tokio::task::yield_now().await;
            if let Some(held) = held {
                let _closed = held.acquire().await;
            }
            outcome
        })
    }
}

fn own(topic: TopicName<'_>) -> Topic {
    (topic.app.to_owned(), topic.channel.to_owned())
}

impl Broker for End {
    fn attach(&self, inbox: Inbox) {
        let wire = self.wire.lock().expect("no panic").take();
        let mut wire = wire.expect("attached once");
        tokio::spawn(async move {
            while let Some(message) = wire.recv().await {
                match message {
                    Message::Publication((app, channel), incoming) => {
                        let topic = TopicName {
                            app: &app,
                            channel: &channel,
                        };
                        inbox.deliver(topic, incoming);
                    }
                    Message::Announcement((app, channel), announcement) => {
                        let topic = TopicName {
                            app: &app,
                            channel: &channel,
                        };
                        inbox.announce(topic, announcement);
                    }
                    Message::Order(order) => inbox.obey(&order),
                }
            }
        });
    }

    fn publish(&self, outgoing: Outgoing<'_>) -> Answer<Option<Position>> {
        self.answer(|world| world.publish(&own(outgoing.topic), &outgoing))
    }

    fn announce(&self, topic: TopicName<'_>, announcement: Announcement) -> Answer<()> {
        let topic = own(topic);
        self.answer(|world| {
            let message = Message::Announcement(topic.clone(), announcement);
            world.send_to_subscribed(&topic, &message);
        })
    }

    fn subscribe(&self, topic: TopicName<'_>) -> Answer<()> {
        self.answer(|world| {
            let subscribed = &mut world.nodes[self.node].subscribed;
            assert!(!subscribed.contains(&own(topic)), "once");
            subscribed.push(own(topic));
        })
    }

    fn unsubscribe(&self, topic: TopicName<'_>) -> Answer<()> {
        self.answer(|world| {
            world.nodes[self.node]
                .subscribed
                .retain(|other| *other != own(topic));
        })
    }

    fn history(&self, topic: TopicName<'_>, _: Keep, range: Range<'_>) -> Answer<Kept> {
        self.answer(|world| world.logs.entry(own(topic)).or_default().read(&range))
    }

    fn forget(&self, topic: TopicName<'_>) -> Answer<()> {
        self.answer(|world| world.logs.entry(own(topic)).or_default().kept.clear())
    }

    fn enter(&self, topic: TopicName<'_>, client: Arc<ClientInfo>) -> Answer<()> {
        self.answer(|world| {
            let present = world.present.entry(own(topic)).or_default();
            present.insert(client.client.to_string(), client);
        })
    }

    fn leave(&self, topic: TopicName<'_>, client: &str) -> Answer<()> {
        // In a statement of its own: others go on meanwhile.
        let barrier = self.cluster.with(|world| world.leaving.take());
        if let Some(barrier) = barrier {
            barrier.wait();
            barrier.wait();
        }
        self.answer(|world| {
            world.present.entry(own(topic)).or_default().remove(client);
        })
    }

    fn present(&self, topic: TopicName<'_>, most: usize) -> Answer<Option<Vec<Arc<ClientInfo>>>> {
        self.answer(|world| {
            let present = world.present.entry(own(topic)).or_default();
            (present.len() <= most).then(|| present.values().map(Arc::clone).collect())
        })
    }

    fn count_present(&self, topic: TopicName<'_>) -> Answer<(usize, usize)> {
        self.answer(|world| {
            let present = world.present.entry(own(topic)).or_default();
            let mut users: Vec<&str> = present.values().map(|info| &*info.user).collect();
            users.sort_unstable();
            users.dedup();
            (present.len(), users.len())
        })
    }

    fn send(&self, order: Order) -> Answer<()> {
        self.answer(|world| {
            for node in (0..world.nodes.len()).filter(|node| *node != self.node) {
                world.send(node, Message::Order(order.clone()));
            }
        })
    }
}
