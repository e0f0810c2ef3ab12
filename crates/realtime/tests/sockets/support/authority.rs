//! An authority that a test drives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chatsdk_realtime::{
    Admission, Authority, Caller, ConnectRequest, Denial, ErrorCode, Grant, Identity,
    InspectRequest, Payload, PublishRequest, Publishing, RecoverRequest, Recovered, Refreshed,
    Refusal, SubRefreshRequest, SubscribeRequest, TopicOptions,
};
use chatsdk_types::ManualClock;
use tokio::sync::{Notify, Semaphore};

/// An authority whose tokens say what to answer:
/// `app/user/session/seconds` admits until then (`never`: without end); `expired`, `invalid`,
/// `revoked`, `unavailable`, and nothing at all are refused so.
#[derive(Debug)]
pub(crate) struct Scripted {
    clock: ManualClock,
    /// Answers wait here while it is closed.
    gate: Semaphore,
    /// Told at each question.
    pub(crate) asked: Notify,
    /// What connect was asked with.
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// The topics there are, by the beginnings of their channels.
    topics: Mutex<Vec<(&'static str, Grant)>>,
    /// The past of the topics whose history the host keeps.
    pub(crate) past: Mutex<Option<Recovered>>,
    /// Answers about the past wait here while it is closed.
    pub(crate) past_gate: Semaphore,
    /// Told at each question about the past.
    pub(crate) recovering: Notify,
    /// Every question about the past is a panic.
    pub(crate) panics: AtomicBool,
    /// Only who listens to a topic may publish there, and ask about it.
    only_subscribers: AtomicBool,
    /// Where nobody may stay who refreshes.
    pub(crate) barred: Mutex<Vec<&'static str>>,
    /// What every connection is subscribed to.
    pub(crate) server_side: Mutex<Vec<&'static str>>,
    /// What others learn of the connections from now on.
    pub(crate) info: Mutex<Payload>,
}

/// What a connect question said.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) data: Option<String>,
    pub(crate) name: String,
    pub(crate) agent: Option<String>,
    pub(crate) emulated: Option<String>,
    pub(crate) remote: SocketAddr,
}

impl Scripted {
    pub(super) fn new(clock: ManualClock) -> Self {
        Self {
            clock,
            gate: Semaphore::new(1),
            asked: Notify::new(),
            seen: Mutex::default(),
            topics: Mutex::default(),
            past: Mutex::default(),
            past_gate: Semaphore::new(1),
            recovering: Notify::new(),
            panics: AtomicBool::new(false),
            only_subscribers: AtomicBool::new(false),
            barred: Mutex::default(),
            server_side: Mutex::default(),
            info: Mutex::default(),
        }
    }

    fn answer(&self, token: &str) -> Result<(Identity, Option<i64>), Refusal> {
        match token {
            "" => Err(Refusal::Missing),
            "expired" => Err(Refusal::Expired),
            "revoked" => Err(Refusal::Revoked("session_revoked".into())),
            "unavailable" => Err(Refusal::Unavailable),
            _ => {
                let parts: Vec<&str> = token.split('/').collect();
                let [app, user, session, until] = parts[..] else {
                    return Err(Refusal::Invalid);
                };
                let now = chatsdk_types::Clock::now(&self.clock);
                let expires_at = until
                    .parse::<i64>()
                    .ok()
                    .map(|seconds| now + seconds * 1000);
                Ok((Identity::new(app, user, session), expires_at))
            }
        }
    }

    /// Has topics whose channels begin with `prefix` granted like this.
    pub(crate) fn topics(&self, prefix: &'static str, grant: Grant) {
        self.topics.lock().expect("no panic").push((prefix, grant));
    }

    /// From now on only who listens to a topic may publish there, and ask about it.
    pub(crate) fn only_subscribers(&self) {
        self.only_subscribers.store(true, Ordering::Relaxed);
    }

    fn grant_to(&self, subscribed: bool, channel: &str) -> Result<Grant, Denial> {
        if self.only_subscribers.load(Ordering::Relaxed) && !subscribed {
            return Err(ErrorCode::PermissionDenied.into());
        }
        self.grant(channel)
    }

    fn grant(&self, channel: &str) -> Result<Grant, Denial> {
        let topics = self.topics.lock().expect("no panic");
        if topics.is_empty() {
            return Err(ErrorCode::NotAvailable.into());
        }
        let found = topics
            .iter()
            .find(|(prefix, _)| channel.starts_with(prefix))
            .map(|(_, grant)| grant.clone());
        found.ok_or(ErrorCode::UnknownChannel.into())
    }

    async fn pass(&self) {
        self.asked.notify_one();
        drop(self.gate.acquire().await.expect("the gate stands"));
    }

    /// Holds answers back from now on.
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets them go.
    pub(crate) fn release(&self) {
        self.gate.add_permits(1);
    }
}

impl Authority for Scripted {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        self.seen.lock().expect("no panic").push(Seen {
            data: request.data.raw_value().map(|data| data.get().to_owned()),
            name: request.name.to_owned(),
            agent: request
                .headers
                .get("user-agent")
                .map(|agent| agent.to_str().expect("text").to_owned()),
            emulated: request.emulated_headers.get("x-a").cloned(),
            remote: request.remote_addr,
        });
        // The answer is made before the wait: what happens meanwhile is a race.
        let answer = self.answer(request.token);
        self.pass().await;
        let (identity, expires_at) = answer?;
        let channels = self.server_side.lock().expect("no panic").clone();
        let subscriptions = channels
            .into_iter()
            .filter_map(|channel| Some((channel.into(), self.grant(channel).ok()?)))
            .collect();
        Ok(Admission {
            expires_at,
            data: request.data.to_payload(),
            info: self.info.lock().expect("no panic").clone(),
            subscriptions,
            ..Admission::new(identity)
        })
    }

    async fn subscribe(&self, request: SubscribeRequest<'_>) -> Result<Grant, Denial> {
        let answer = self.grant(request.channel);
        self.pass().await;
        answer
    }

    async fn may_stay(&self, _: Caller<'_>, channel: &str) -> bool {
        !self.barred.lock().expect("no panic").contains(&channel)
    }

    async fn sub_refresh(&self, request: SubRefreshRequest<'_>) -> Result<Option<i64>, Denial> {
        let now = chatsdk_types::Clock::now(&self.clock);
        match request.token.parse::<i64>() {
            Ok(seconds) => Ok(Some(now + seconds * 1000)),
            Err(_) => Err(ErrorCode::PermissionDenied.into()),
        }
    }

    async fn publish(&self, request: PublishRequest<'_>) -> Result<Publishing, Denial> {
        Ok(Publishing::Topic(
            self.grant_to(request.subscribed, request.channel)?.options,
        ))
    }

    async fn inspect(&self, request: InspectRequest<'_>) -> Result<Arc<TopicOptions>, Denial> {
        Ok(self.grant_to(request.subscribed, request.channel)?.options)
    }

    async fn recover(&self, _: RecoverRequest<'_>) -> Result<Recovered, Denial> {
        let past = self.past.lock().expect("no panic").clone();
        self.recovering.notify_one();
        assert!(!self.panics.load(Ordering::Relaxed), "as the test wants it");
        drop(self.past_gate.acquire().await.expect("the gate stands"));
        past.ok_or(ErrorCode::Internal.into())
    }

    async fn refresh(&self, _connection: &Identity, token: &str) -> Result<Refreshed, Refusal> {
        let answer = self.answer(token);
        self.pass().await;
        let (identity, expires_at) = answer?;
        Ok(Refreshed {
            identity,
            expires_at,
        })
    }
}
