//! The [`Engine`], which the host hands requests to, and what all its connections share.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chatsdk_types::{Clock, Entropy};
use http::{Request, Response};
use http_body_util::Full;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::arrivals::Arrivals;
use crate::authority::Authority;
use crate::broker::answer::Answer;
use crate::broker::inbox::Inbox;
use crate::broker::memory::Memory;
use crate::broker::memory::budget::Budget;
use crate::broker::memory::epochs::Epochs;
use crate::broker::memory::stream::Stream;
use crate::broker::publication::Position;
use crate::broker::{Broker, BrokerError, Outgoing, TopicName};
use crate::config::Config;
use crate::handle::{Handle, Whom};
use crate::hub::Hub;
use crate::stats::Stats;
use crate::topics::Topics;
use crate::topics::janitor::Janitor;
use crate::topics::options::History;
use crate::topics::positions::{self, Positions};
use crate::transport::body::Body;
use crate::transport::emulation::{self, Sessions};
use crate::transport::{events, http_stream, websocket};
use crate::wheel::Wheel;

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
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) wheel: Arc<Wheel>,
    pub(crate) sessions: Sessions,
    pub(crate) arrivals: Arrivals,
    pub(crate) tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
    next_id: AtomicU64,
    /// Ends the wheel with the engine.
    _stop: DropGuard,
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
            epochs: Arc::new(Epochs::random(&*entropy)),
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
            handle: Handle::of(shared),
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
        emulation::serve(self.shared(), request).await
    }

    /// The part of the engine that ends connections and counts them.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn authority(&self) -> &A {
        &self.authority
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.handle.shared()
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

/// A publication that a broker has. It counts unless the broker refuses it, whether anybody waits for the answer
/// or not.
struct HandedOver {
    shared: Arc<Shared>,
    refused: bool,
}

impl HandedOver {
    fn answered<T>(mut self, outcome: Result<T, BrokerError>) -> Result<T, BrokerError> {
        self.refused = outcome.is_err();
        outcome
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        if !self.refused {
            Stats::add(&self.shared.stats.publications, 1);
        }
    }
}

impl Shared {
    /// See [`Handle::recheck`].
    pub(crate) fn recheck(&self) {
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
    pub(crate) fn publish(
        self: &Arc<Self>,
        mut outgoing: Outgoing<'_>,
    ) -> Answer<Option<Position>> {
        outgoing.publication.time = self.clock.now();
        if !self.broker.is_shared() {
            // It is counted where it is made, which tells repeats apart.
            return self.broker.publish(outgoing);
        }
        let handed_over = HandedOver {
            shared: Arc::clone(self),
            refused: false,
        };
        match self.broker.publish(outgoing).into_known() {
            Ok(outcome) => Answer::known(handed_over.answered(outcome)),
            Err(answer) => Answer::awaited(async move { handed_over.answered(answer.await) }),
        }
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
        let published = self.topics.find(app, channel, |topic, inner| {
            topic.publish(inner, self, outgoing)
        });
        published.unwrap_or_else(|| {
            // Nobody listened; it was published all the same.
            Stats::add(&self.stats.publications, 1);
            Ok(position)
        })
    }

    /// A stream for `topic`, in which nothing was said yet.
    pub(crate) fn stream(&self, topic: TopicName<'_>) -> Stream {
        Stream::new(self.epochs.place(topic), self.budget.account(topic.app))
    }

    /// A number for a connection.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}
