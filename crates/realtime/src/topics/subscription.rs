//! One client in one topic.
//!
//! ```text
//! Joining ── reply is out ──► Live ──► Gone
//!                               └──► Lost ──► Gone
//! ```
//! While it joins, events are kept for it: nothing may reach the client before the reply to its
//! subscribe command does. It is lost when a publication is missing, until whoever noticed has ended it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use chatsdk_protocol::filter::Filter;
use chatsdk_protocol::object::Tags;
use chatsdk_protocol::{Publication, UnsubscribeCode};
use chatsdk_types::Millis;

use crate::broker::publication::{ClientInfo, Position};
use crate::connection::Connection;
use crate::lock;
use crate::topics::batch::{self, Batch, Plan};
use crate::topics::event::{Event, What};
use crate::topics::options::TopicOptions;
use crate::topics::topic::Topic;

/// How many events are kept for a subscription whose reply is not out yet. One that would need more
/// is told to come again.
const MAX_KEPT: usize = 1024;

/// See the module's text. What a delivery looks at comes first, so that it lies in as few cache lines as it
/// can: ten thousand of them do not fit into a cache.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Subscription {
    state: Mutex<State>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) terms: Terms,
    /// Where it stands in the topic.
    pub(crate) slot: AtomicU32,
    pub(crate) topic: Arc<Topic>,
    /// What others learn of the client.
    pub(crate) info: Arc<ClientInfo>,
    pub(crate) options: Arc<TopicOptions>,
}

/// What was agreed on.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the wire has them as independent members"
)]
pub(crate) struct Terms {
    /// Offsets are counted and a gap is told.
    pub(crate) positioned: bool,
    /// The client may come back and go on.
    pub(crate) recoverable: bool,
    /// Joins and leaves are sent.
    pub(crate) join_leave: bool,
    /// Publications are sent as differences, where they can be.
    pub(crate) delta: bool,
    /// The topic's number stands for its name.
    pub(crate) compact: bool,
    /// The server made it; the client did not ask.
    pub(crate) server_side: bool,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The number of the last event that was looked at.
    seen: u64,
    /// The offset of the last publication, if offsets are counted.
    offset: u64,
    epoch: Option<Arc<str>>,
    /// The offset of the publication that the client can apply a difference to; 0: none.
    base: u64,
    /// The others were told that the client is there.
    announced: bool,
    /// Why it has ended, if its reply was not out then.
    ended: Option<UnsubscribeCode>,
    /// What few subscriptions have.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    kept: Vec<Event>,
    kept_bytes: usize,
    too_many: bool,
    filter: Option<Filter>,
    expires_at: Option<Millis>,
}

impl Rare {
    fn is_needed(&self) -> bool {
        self.filter.is_some() || self.expires_at.is_some() || !self.kept.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Joining,
    Live,
    Lost,
    Gone,
}

/// How far a subscription is.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    /// The offset of its last publication.
    pub(crate) offset: u64,
    /// The epoch, once it is known.
    pub(crate) epoch: Option<Arc<str>>,
}

/// A publication is missing, or counts in another epoch.
#[derive(Debug)]
pub(crate) struct Gap;

impl Subscription {
    pub(crate) fn new(
        topic: Arc<Topic>,
        connection: Arc<Connection>,
        info: Arc<ClientInfo>,
        options: Arc<TopicOptions>,
        terms: Terms,
        filter: Option<Filter>,
        expires_at: Option<Millis>,
    ) -> Arc<Self> {
        let rare = Rare {
            filter,
            expires_at,
            ..Rare::default()
        };
        Arc::new(Self {
            topic,
            connection,
            info,
            options,
            terms,
            slot: AtomicU32::new(u32::MAX),
            state: Mutex::new(State {
                phase: Phase::Joining,
                seen: 0,
                offset: 0,
                epoch: None,
                base: 0,
                announced: false,
                ended: None,
                rare: rare.is_needed().then(|| Box::new(rare)),
            }),
        })
    }

    /// Notes where it begins. Called with the topic locked.
    pub(crate) fn begin(&self, number: u64) {
        lock(&self.state).seen = number;
    }

    /// Notes where it begins, when that was found out while events were being kept.
    pub(crate) fn resume(&self, top: &Position) {
        let mut state = lock(&self.state);
        state.offset = top.offset;
        state.epoch = Some(Arc::clone(&top.epoch));
    }

    /// From Joining to Live: the reply is out. Sends what was kept. `base` is the offset of the last
    /// publication in the reply, 0 for none.
    pub(crate) fn go_live(&self, base: u64) -> Result<(), Gap> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Joining {
            return Ok(());
        }
        state.phase = Phase::Live;
        state.base = base;
        let Some(rare) = &mut state.rare else {
            return Ok(());
        };
        let (kept, too_many) = (std::mem::take(&mut rare.kept), rare.too_many);
        if !rare.is_needed() {
            state.rare = None;
        }
        if too_many {
            state.phase = Phase::Lost;
            return Err(Gap);
        }
        let mut kept = kept.into_iter().peekable();
        while kept.peek().is_some() {
            let mut events = Vec::new();
            while let Some(event) = kept.next_if(|it| batch::has_room_for(it, &events)) {
                events.push(event);
            }
            self.pass_on(&mut state, &mut Batch::new(events, Arc::clone(&self.topic)))?;
        }
        Ok(())
    }

    /// Has what a delivery looks at fetched from memory, without waiting for it: nothing hangs on what is
    /// read here. Deliveries themselves wait, at their locks.
    pub(crate) fn prefetch(&self) {
        std::hint::black_box(self.slot.load(Ordering::Relaxed));
        self.connection.prefetch();
    }

    /// Passes a batch on to the client.
    pub(crate) fn deliver(&self, batch: &mut Batch) -> Result<(), Gap> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Lost | Phase::Gone => Ok(()),
            Phase::Live => self.pass_on(&mut state, batch),
            Phase::Joining => {
                let seen = state.seen;
                // It goes out at once when the reply does, before the client can have read any of it. In a
                // string, as with differences, it may be twice as long.
                let share = if self.terms.delta { 4 } else { 2 };
                let most = self.connection.shared.config.max_queue_bytes / share;
                let rare = state.rare.get_or_insert_default();
                for event in batch.events().iter().filter(|event| event.number > seen) {
                    let bytes = rare.kept_bytes + event.size();
                    if rare.kept.len() < MAX_KEPT && bytes <= most {
                        rare.kept_bytes = bytes;
                        rare.kept.push(event.clone());
                    } else {
                        rare.too_many = true;
                    }
                }
                // `seen` stays: what was kept is looked at when it is passed on.
                Ok(())
            }
        }
    }

    /// To Gone. The reason of one that was still Joining is told by whoever sends its reply, if there is one.
    pub(crate) fn end(&self, why: Option<UnsubscribeCode>) {
        let mut state = lock(&self.state);
        let was = std::mem::replace(&mut state.phase, Phase::Gone);
        state.rare = None;
        if was == Phase::Joining {
            state.ended = why;
        }
    }

    /// Notes that others are told of it; `false`: it is over, and they must not be. Called with the topic
    /// locked, as [`Subscription::was_announced`] is, so that a leave always follows its join.
    pub(crate) fn announce(&self) -> bool {
        let mut state = lock(&self.state);
        state.announced |= state.phase == Phase::Live;
        state.announced
    }

    /// Whether others were told of it.
    pub(crate) fn was_announced(&self) -> bool {
        lock(&self.state).announced
    }

    /// Why it has ended before its reply was out.
    pub(crate) fn ended_early(&self) -> Option<UnsubscribeCode> {
        lock(&self.state).ended
    }

    /// Its reply is out, and whoever has ended it tells why.
    pub(crate) fn forget_early_end(&self) {
        lock(&self.state).ended = None;
    }

    /// Takes away what the client does not want.
    pub(crate) fn filter(&self, publications: &mut Vec<Publication>) {
        let state = lock(&self.state);
        if let Some(filter) = state.rare.as_ref().and_then(|rare| rare.filter.as_ref()) {
            publications.retain(|publication| passes(filter, publication));
        }
    }

    /// How far it is, while it is live.
    pub(crate) fn reached(&self) -> Option<Reached> {
        let state = lock(&self.state);
        (state.phase == Phase::Live).then(|| Reached {
            offset: state.offset,
            epoch: state.epoch.clone(),
        })
    }

    /// Whether the client may speak of it.
    pub(crate) fn is_live(&self) -> bool {
        lock(&self.state).phase == Phase::Live
    }

    /// When its token ends.
    pub(crate) fn expires_at(&self) -> Option<Millis> {
        let state = lock(&self.state);
        state.rare.as_ref().and_then(|rare| rare.expires_at)
    }

    /// Has a newer token in force.
    pub(crate) fn renew(&self, expires_at: Option<Millis>) {
        let mut state = lock(&self.state);
        state.rare.get_or_insert_default().expires_at = expires_at;
    }

    fn pass_on(&self, state: &mut State, batch: &mut Batch) -> Result<(), Gap> {
        let plan = self.plan(state, batch.events());
        let plan = match plan {
            Ok(plan) => plan,
            Err(gap) => {
                state.phase = Phase::Lost;
                return Err(gap);
            }
        };
        if plan.events == 0 {
            return Ok(());
        }
        let shape = self.connection.shape();
        let frame = batch.frame(shape, self.terms.compact, self.terms.delta, plan);
        let Some(frame) = frame else {
            return Ok(());
        };
        // Under the lock, so that two tasks do not overtake each other.
        self.connection
            .send_many(frame, plan.events.count_ones() as usize);
        Ok(())
    }

    /// Which of `events` the client is sent, and how.
    fn plan(&self, state: &mut State, events: &[Event]) -> Result<Plan, Gap> {
        let mut plan = Plan::default();
        let json = self.connection.shape().is_json();
        for (at, event) in events.iter().enumerate() {
            if event.number <= state.seen {
                continue;
            }
            state.seen = event.number;
            let bit = 1 << at;
            match &event.what {
                What::Join(_) | What::Leave(_) => {
                    if self.terms.join_leave {
                        plan.events |= bit;
                    }
                }
                What::Publication {
                    publication,
                    before,
                    epoch,
                } => {
                    if self.terms.positioned && publication.offset > 0 {
                        let same = match (&state.epoch, epoch) {
                            (Some(mine), Some(its)) => Arc::ptr_eq(mine, its) || mine == its,
                            _ => true,
                        };
                        if !same {
                            return Err(Gap);
                        }
                        if publication.offset <= state.offset {
                            continue;
                        }
                        if publication.offset != state.offset + 1 {
                            return Err(Gap);
                        }
                        state.offset = publication.offset;
                        if state.epoch.is_none() {
                            state.epoch.clone_from(epoch);
                        }
                    }
                    let filtered = state
                        .rare
                        .as_ref()
                        .and_then(|rare| rare.filter.as_ref())
                        .is_some_and(|filter| !passes(filter, publication));
                    // What is not JSON cannot be said in JSON; its publisher must not be able to
                    // disconnect others by it.
                    if filtered || (json && !publication.data.is_json()) {
                        continue;
                    }
                    plan.events |= bit;
                    if self.terms.delta {
                        let fits = before
                            .as_ref()
                            .is_some_and(|it| state.base != 0 && it.offset == state.base);
                        if fits {
                            plan.differences |= bit;
                        }
                        state.base = publication.offset;
                    }
                }
            }
        }
        Ok(plan)
    }
}

fn passes(filter: &Filter, publication: &Publication) -> bool {
    match &publication.tags {
        Some(tags) => filter.matches(tags),
        None => filter.matches(&Tags::new()),
    }
}
