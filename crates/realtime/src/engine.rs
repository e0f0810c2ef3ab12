//! What the host holds: an [`Engine`] to hand upgrade requests to, and a [`Handle`] to end connections,
//! count them and shut down.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chatsdk_protocol::object::Tags;
use chatsdk_protocol::push::Message;
use chatsdk_protocol::{ClientInfo, Disconnect, Payload, Publication, Push, UnsubscribeCode};
use chatsdk_types::{Clock, Entropy, Millis, entropy};
use http::{Request, Response};
use http_body_util::Full;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::arrivals::Arrivals;
use crate::authority::{Authority, Grant};
use crate::broker::answer::Answer;
use crate::broker::inbox::Inbox;
use crate::broker::memory::Memory;
use crate::broker::memory::budget::Budget;
use crate::broker::memory::stream::Range;
use crate::broker::order::{Deed, Order, Target};
use crate::broker::publication::Position;
use crate::broker::{Broker, BrokerError, Kept, Outgoing, TopicName};
use crate::config::Config;
use crate::connection::{Connection, Phase};
use crate::hub::Hub;
use crate::server_side;
use crate::stats::Stats;
use crate::topics::Topics;
use crate::topics::janitor::Janitor;
use crate::topics::options::{History, Keep, TopicOptions};
use crate::topics::positions::{self, Positions};
use crate::transport::body::Body;
use crate::transport::emulation::{self, Sessions};
use crate::transport::{events, http_stream, websocket};
use crate::wheel::Wheel;

/// How many connections are closed before other tasks get their turn: about two milliseconds.
const BATCH: usize = 256;

/// The engine. Clones are the same engine.
#[derive(Debug)]
pub struct Engine<A> {
    authority: Arc<A>,
    handle: Handle,
}

impl<A> Clone for Engine<A> {
    fn clone(&self) -> Self {
        Self {
            authority: Arc::clone(&self.authority),
            handle: self.handle.clone(),
        }
    }
}

/// The part of an engine that does not depend on its host's authority. Clones are the same engine.
///
/// It may be used from any thread, inside the runtime or not.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) stats: Stats,
    pub(crate) hub: Hub,
    pub(crate) topics: Topics,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) janitor: Arc<Janitor>,
    pub(crate) budget: Budget,
    pub(crate) wheel: Arc<Wheel>,
    pub(crate) sessions: Sessions,
    pub(crate) arrivals: Arrivals,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
    next_id: AtomicU64,
    /// Ends the wheel with the engine.
    _stop: DropGuard,
}

/// A publication of the server's own.
#[derive(Debug)]
pub struct Publish<'a> {
    /// The tenant.
    pub app: &'a str,
    /// The channel.
    pub channel: &'a str,
    /// What is said.
    pub data: Payload,
    /// How the topic behaves.
    pub options: &'a TopicOptions,
    /// What filters look at.
    pub tags: Tags,
    /// In whose name; mostly nobody's.
    pub info: Option<Arc<ClientInfo>>,
    /// Whether it may go out as the difference to the publication before.
    pub delta: bool,
    /// The same key within five minutes is the same publication: it is not made again, and the answer
    /// is the same.
    pub idempotency_key: Option<&'a str>,
    /// A version and its epoch: what is not newer than an earlier publication is not published.
    pub version: Option<(u64, &'a str)>,
    /// Where it stands, in a topic whose history the host keeps.
    pub position: Option<Position>,
}

impl<'a> Publish<'a> {
    /// `data` in `channel` of `app`, and nothing more to it.
    pub fn new(app: &'a str, channel: &'a str, data: Payload, options: &'a TopicOptions) -> Self {
        Self {
            app,
            channel,
            data,
            options,
            tags: Tags::new(),
            info: None,
            delta: false,
            idempotency_key: None,
            version: None,
            position: None,
        }
    }
}

/// The answer to a publication: await it for the position, or for why there is none.
#[derive(Debug)]
pub struct Published(Answer<Option<Position>>);

impl Published {
    /// The position, where it is known already: in one process always. `None`: there is none, or not yet.
    pub fn position(self) -> Option<Position> {
        self.0.into_known().ok()?.ok()?
    }
}

impl Future for Published {
    type Output = Result<Option<Position>, BrokerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

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

impl<A: Authority> Engine<A> {
    /// An engine that asks `authority`. Called inside a Tokio runtime, which its tasks then run on;
    /// they end with the last handle and connection.
    pub fn new(
        config: Config,
        authority: Arc<A>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self::joined(
            config,
            authority,
            clock,
            entropy,
            Arc::new(Memory::default()),
        )
    }

    /// The same, with `broker` to keep and carry what is said. One broker serves one engine.
    pub fn joined(
        config: Config,
        authority: Arc<A>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        broker: Arc<dyn Broker>,
    ) -> Self {
        let wheel = Arc::new(Wheel::new());
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Handle::current();
        let janitor = Arc::new(Janitor::default());
        let shared = Arc::new(Shared {
            sessions: Sessions::new(&*entropy),
            arrivals: Arrivals::default(),
            config,
            clock,
            entropy,
            stats: Stats::default(),
            hub: Hub::default(),
            topics: Topics::new(broker.is_shared()),
            broker,
            positions: Arc::default(),
            janitor: Arc::clone(&janitor),
            budget: Budget::default(),
            wheel: Arc::clone(&wheel),
            tasks: TaskTracker::new(),
            runtime: runtime.clone(),
            next_id: AtomicU64::new(0),
            _stop: stop.clone().drop_guard(),
        });
        shared.broker.attach(Inbox::new(&shared));
        runtime.spawn(positions::work(
            Arc::clone(&authority),
            Arc::downgrade(&shared),
            stop.clone(),
        ));
        runtime.spawn(wheel.turn(stop.clone()));
        runtime.spawn(janitor.work(Arc::downgrade(&shared), stop.clone()));
        runtime.spawn(watch_the_clock(Arc::downgrade(&shared), stop));
        Self {
            authority,
            handle: Handle(shared),
        }
    }

    /// Answers an HTTP request for a WebSocket, and serves the WebSocket from then on. `remote` is the
    /// other end of the socket.
    ///
    /// The request must come from a hyper HTTP/1.1 connection that serves a
    /// `hyper_util::rt::TokioIo` of a [`crate::TimedStream`] or `tokio::net::TcpStream` `with_upgrades()`, and its `OnUpgrade` extension
    /// must still be there. The answer is 101, or a refusal in plain text: 400 for a broken handshake or
    /// a token in the query, 403 for a foreign `Origin`, 405, 426 for what is no WebSocket request, 503
    /// while draining.
    pub fn upgrade<B>(
        &self,
        request: &mut Request<B>,
        remote: SocketAddr,
    ) -> Response<Full<Bytes>> {
        websocket::upgrade(self, request, remote)
    }

    /// Answers an HTTP request for a stream of replies and pushes: a POST whose body holds the first
    /// commands, answered by a body that goes on until the connection ends. Protobuf where the request is
    /// `application/octet-stream`, JSON otherwise. Later commands come to [`Engine::emulation`].
    pub async fn http_stream<B>(&self, request: Request<B>, remote: SocketAddr) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        http_stream::serve(self, request, remote).await
    }

    /// Answers an HTTP request for server-sent events: a GET with the connect command in the query's
    /// `cf_connect`, or a POST with it in the body. Later commands come to [`Engine::emulation`].
    pub async fn events<B>(&self, request: Request<B>, remote: SocketAddr) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        events::serve(self, request, remote).await
    }

    /// Takes commands for a connection that goes one way only. 204, 404 when there is no such
    /// connection here, or 503 when it is busy for too long.
    pub async fn emulation<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        emulation::serve(self.handle.0.as_ref(), request).await
    }

    /// The part of the engine that ends connections and counts them.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn authority(&self) -> &A {
        &self.authority
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.0
    }
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
    pub fn publish(&self, publish: Publish<'_>) -> Published {
        let publication = Publication {
            data: publish.data,
            info: publish.info,
            tags: (!publish.tags.is_empty()).then(|| Arc::new(publish.tags)),
            ..Publication::default()
        };
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

    /// How many connections listen to a topic, of how many users, on all nodes.
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

    /// Bytes that the histories of all topics take up.
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

/// How often the two clocks are compared.
const COMPARED: Duration = Duration::from_secs(5);

/// How far the wall clock may have run ahead in between, in milliseconds.
const AHEAD: i64 = 2000;

/// Has every deadline looked at when the wall clock has jumped ahead, as after a sleep of the machine:
/// tokens are over then whose connections stand in the wheel for later.
async fn watch_the_clock(shared: Weak<Shared>, stop: CancellationToken) {
    let mut before: Option<i64> = None;
    loop {
        {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let elapsed = i64::try_from(shared.wheel.now()).unwrap_or(i64::MAX);
            let ahead = shared.clock.now().saturating_sub(elapsed);
            if before.is_some_and(|before| ahead.saturating_sub(before) > AHEAD) {
                tracing::info!("the clock has jumped ahead; deadlines are looked at again");
                shared.recheck();
            }
            before = Some(ahead);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COMPARED) => {}
        }
    }
}

impl Shared {
    /// See [`Handle::recheck`].
    fn recheck(&self) {
        for connection in self.hub.find(&Whom::Everyone) {
            connection.recheck();
        }
    }

    /// The wheel's time after `wait`.
    pub(crate) fn after(&self, wait: Duration) -> u64 {
        self.wheel.now().saturating_add(wait.as_millis() as u64)
    }

    /// Runs `task` to its end; [`Handle::drain`] waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Runs `task`, which nobody waits for.
    pub(crate) fn run_aside(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Runs `task` as far as it goes at once, and the rest of it elsewhere; what it came to, if it is done.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let _runtime = self.runtime.enter();
        let mut task = Box::pin(task);
        let mut context = Context::from_waker(Waker::noop());
        match task.as_mut().poll(&mut context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => {
                self.spawn(async move {
                    task.await;
                });
                None
            }
        }
    }

    /// Waits for an answer that nobody needs to know, but that may be an error.
    pub(crate) fn see_through(&self, answer: Answer<()>) {
        let log = |outcome: Result<(), BrokerError>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "other nodes were not told");
            }
        };
        match answer.into_known() {
            Ok(outcome) => log(outcome),
            Err(answer) => self.run_aside(async move { log(answer.await) }),
        }
    }

    /// Publishes by the broker.
    pub(crate) fn publish(&self, mut outgoing: Outgoing<'_>) -> Answer<Option<Position>> {
        outgoing.publication.time = self.clock.now();
        Stats::add(&self.stats.publications, 1);
        self.broker.publish(outgoing)
    }

    /// Publishes in a topic of this process, which is made if it is to remember.
    pub(crate) fn publish_here(
        self: &Arc<Self>,
        outgoing: Outgoing<'_>,
    ) -> Result<Option<Position>, BrokerError> {
        let TopicName { app, channel } = outgoing.topic;
        let in_memory = matches!(outgoing.history, History::Memory(_));
        let remembers = in_memory || outgoing.key.is_some() || outgoing.version.is_some();
        if remembers {
            let done = self.topics.open(app, channel, |topic, inner| {
                topic.publish(inner, self, outgoing)
            })?;
            if in_memory {
                self.keep_budget(app);
            }
            return Ok(done);
        }
        let position = outgoing.position.clone();
        self.topics
            .find(app, channel, |topic, inner| {
                topic.publish(inner, self, outgoing)
            })
            .unwrap_or(Ok(position))
    }

    /// A name for a stream that nobody else has: eight letters.
    pub(crate) fn epoch(&self) -> Arc<str> {
        let bytes: [u8; 8] = entropy::bytes(&*self.entropy);
        let letters = bytes.iter().map(|byte| char::from(b'a' + byte % 26));
        letters.collect::<String>().into()
    }

    /// A number for a connection.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}
