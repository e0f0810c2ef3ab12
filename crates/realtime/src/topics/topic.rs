//! One topic: its subscribers, its stream, what waits to be delivered.
//!
//! Subscribers stand in slots that they keep, so that a delivery can go through them without holding
//! the lock. Whoever takes a slot after an event was numbered knows the number, and passes over the
//! events up to it.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::memory::repeats::Repeats;
use crate::broker::memory::stream::{Bounds, Range, Stream};
use chatsdk_types::Millis;

use crate::broker::publication::{ClientInfo, Position, Publication};
use crate::broker::{Announcement, BrokerError, Kept, Outgoing, TopicName};
use crate::engine::Shared;
use crate::lock;
use crate::stats::Stats;
use crate::topics::batch;
use crate::topics::event::{Backlog, Event, What};
use crate::topics::link::Link;
use crate::topics::options::{History, Keep};
use crate::topics::subscription::Subscription;
use crate::topics::sweep;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Its number within this process, never 0: what stands for its name in pushes to clients that
    /// understand it.
    pub(crate) id: u64,
    pub(crate) app: Box<str>,
    pub(crate) channel: Arc<str>,
    /// Its way to other nodes, where there are any.
    pub(super) link: Option<Box<Link>>,
    pub(crate) inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is about something of its own"
)]
pub(crate) struct Inner {
    /// It is no longer in the map; whoever wants it makes a new one.
    pub(crate) ended: bool,
    /// The number of the last event.
    number: u64,
    /// The offset of the last publication that has one.
    newest: u64,
    slots: Vec<Option<Arc<Subscription>>>,
    free: Vec<u32>,
    stream: Option<Box<Stream>>,
    repeats: Option<Box<Repeats>>,
    /// Events that no task has taken yet.
    waiting: Backlog,
    /// A task delivers.
    sweeping: bool,
    /// What the next publication may be a difference to.
    last: Option<Arc<Publication>>,
    /// It stands in its app's account.
    accounted: bool,
    /// When the janitor comes; `None`: it does not.
    tidied_at: Option<u64>,
    /// How many users listened a moment ago, where many do.
    counted: Option<Box<Counted>>,
    /// Its position is compared with its broker's, or its host's, now and then.
    pub(crate) watched: bool,
    /// Its broker was asked to bring what is said in it.
    pub(crate) linked: bool,
}

/// See [`Inner::count_present`].
#[derive(Debug)]
struct Counted {
    users: usize,
    until: u64,
}

/// From how many listeners on their users are not counted for each question.
const MANY: usize = 1000;

/// How long a count of them holds, in milliseconds.
const COUNT_HOLDS: u64 = 1000;

/// How long a key of an [`Outgoing`] holds.
const KEY_TTL: Duration = Duration::from_mins(5);

/// How long a version holds after its last use.
const VERSION_TTL: Duration = Duration::from_hours(24);

impl Topic {
    pub(super) fn new(id: u64, app: &str, channel: &str, is_shared: bool) -> Self {
        Self {
            id,
            link: is_shared.then(Box::default),
            app: app.into(),
            channel: channel.into(),
            inner: Mutex::default(),
        }
    }

    /// Publishes. Answers the position; `None` in a topic without history.
    ///
    /// A client above the bound is refused rather than made to wait: its commands are done in order, and
    /// one flooded topic shall not hold up what it has to say elsewhere.
    pub(crate) fn publish(
        self: &Arc<Self>,
        inner: &mut Inner,
        shared: &Arc<Shared>,
        draft: Outgoing<'_>,
    ) -> Result<Option<Position>, BrokerError> {
        let now = shared.wheel.now();
        let size = draft.publication.data.bytes().len();
        if draft.refusable && inner.waiting.is_full(size, &shared.config) {
            return Err(BrokerError::Backlogged);
        }
        if let Some(key) = draft.key
            && let Some(known) = inner.repeats().seen(key, now)
        {
            return Ok(known.position);
        }
        if let Some((version, epoch)) = draft.version
            && !inner
                .repeats()
                .advance(version, epoch, now + VERSION_TTL.as_millis() as u64)
        {
            return Ok(inner.stream.as_ref().map(|stream| stream.top()));
        }
        let (publication, position) = match draft.history {
            History::None => (Arc::new(draft.publication), None),
            History::Host => {
                let mut publication = draft.publication;
                publication.offset = draft.position.as_ref().map_or(0, |it| it.offset);
                (Arc::new(publication), draft.position)
            }
            History::Memory(keep) => {
                let stream = inner.stream(self.name(), shared, now);
                let publication = stream.append(draft.publication, keep.into(), now);
                let top = stream.top();
                inner.account_for(self);
                (publication, Some(top))
            }
        };
        if let Some(key) = draft.key {
            let until = now + KEY_TTL.as_millis() as u64;
            inner.repeats().remember(key, position.clone(), until);
        }
        let epoch = position.as_ref().map(|it| Arc::clone(&it.epoch));
        Stats::add(&shared.stats.publications, 1);
        self.arrive(inner, shared, publication, epoch, draft.delta);
        self.see_janitor(inner, shared);
        Ok(position)
    }

    /// Has all subscribers told of a publication that has its place; `delta`: it may go out as the
    /// difference to the one before.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        inner: &mut Inner,
        shared: &Arc<Shared>,
        publication: Arc<Publication>,
        epoch: Option<Arc<str>>,
        delta: bool,
    ) {
        if publication.offset > 0 {
            inner.newest = publication.offset;
        }
        // Without offsets nobody could tell what it is a difference to.
        let before = if delta && publication.offset > 0 {
            inner.last.replace(Arc::clone(&publication))
        } else {
            inner.last = None;
            None
        };
        self.tell(
            inner,
            shared,
            What::Publication {
                publication,
                before,
                epoch,
            },
        );
    }

    /// Has all subscribers told that a client has come or gone, on whatever node they are.
    pub(crate) fn announce(
        self: &Arc<Self>,
        inner: &mut Inner,
        shared: &Arc<Shared>,
        announcement: Announcement,
    ) {
        if shared.broker.is_shared() {
            // Called with the topic locked, so that a leave does not overtake its join.
            shared.see_through(shared.broker.announce(self.name(), announcement));
            return;
        }
        self.tell(
            inner,
            shared,
            match announcement {
                Announcement::Join(info) => What::Join(info),
                Announcement::Leave(info) => What::Leave(info),
            },
        );
    }

    /// Its name.
    pub(crate) fn name(&self) -> TopicName<'_> {
        TopicName {
            app: &self.app,
            channel: &self.channel,
        }
    }

    /// Has all subscribers told of `what`.
    pub(crate) fn tell(self: &Arc<Self>, inner: &mut Inner, shared: &Arc<Shared>, what: What) {
        inner.number += 1;
        if inner.listeners() == 0 {
            return;
        }
        let stats = &shared.stats;
        let publication = matches!(what, What::Publication { .. });
        if !publication && inner.waiting.is_full(0, &shared.config) {
            Stats::add(&stats.dropped, 1);
            return;
        }
        let event = Event {
            number: inner.number,
            since: Instant::now(),
            what,
        };
        let before = inner.waiting.bytes();
        let given_up = inner.waiting.push(event, &shared.config);
        Stats::add(&stats.dropped, given_up);
        Stats::add(&stats.backlog_bytes, inner.waiting.bytes());
        Stats::subtract(&stats.backlog_bytes, before);
        if !inner.sweeping {
            inner.sweeping = true;
            // A task rather than at once: what the same publisher says next goes out together with it.
            shared.spawn(sweep::sweep(Arc::clone(shared), Arc::clone(self)));
        }
    }

    /// Gives `subscription` a slot. Events from here on reach it: they are kept for it until it has learned
    /// where the topic stands.
    pub(crate) fn join(
        self: &Arc<Self>,
        inner: &mut Inner,
        shared: &Arc<Shared>,
        subscription: &Arc<Subscription>,
    ) {
        let slot = if let Some(slot) = inner.free.pop() {
            inner.slots[slot as usize] = Some(Arc::clone(subscription));
            slot
        } else {
            inner.slots.push(Some(Arc::clone(subscription)));
            (inner.slots.len() - 1) as u32
        };
        subscription.slot.store(slot, Ordering::Relaxed);
        subscription.begin(inner.number);
        inner.account_for(self);
        // In this process alone nothing gets lost on the way.
        let elsewhere = match subscription.options.history {
            History::Host => true,
            History::Memory(_) => shared.broker.is_shared(),
            History::None => false,
        };
        if elsewhere && subscription.terms.positioned && !inner.watched {
            inner.watched = true;
            shared.positions.watch(self, shared);
        }
    }

    /// Those of its subscribers who count offsets.
    pub(crate) fn counting(&self) -> Vec<Arc<Subscription>> {
        let inner = lock(&self.inner);
        inner.counting().map(Arc::clone).collect()
    }

    /// Whether it goes on to be watched, because somebody counts. Asked by whoever has watched it, once: from a
    /// "no" on the next one who counts has it watched.
    pub(crate) fn stays_watched(&self) -> bool {
        let mut inner = lock(&self.inner);
        let counts = inner.counting().next().is_some();
        inner.watched = counts;
        counts
    }

    /// Whether a task is delivering publications up to this offset, or later ones.
    pub(crate) fn delivers_up_to(&self, offset: u64) -> bool {
        let inner = lock(&self.inner);
        inner.sweeping && inner.newest >= offset
    }

    /// The events that the sweeping task delivers next; `None`: there are none, and the task has ended.
    pub(crate) fn take(&self, stats: &Stats) -> Option<Vec<Event>> {
        let mut inner = lock(&self.inner);
        let before = inner.waiting.bytes();
        let mut events = Vec::new();
        while let Some(event) = inner.waiting.pop_if(|it| batch::has_room_for(it, &events)) {
            events.push(event);
        }
        Stats::subtract(&stats.backlog_bytes, before - inner.waiting.bytes());
        if events.is_empty() {
            inner.sweeping = false;
            inner.waiting.shrink();
            inner.compact();
            inner.let_room_go();
            return None;
        }
        Some(events)
    }

    /// Appends the subscribers in the slots from `at` on to `chunk`, at most its capacity; `false`:
    /// there are no more.
    pub(crate) fn chunk(&self, at: usize, size: usize, chunk: &mut Vec<Arc<Subscription>>) -> bool {
        let inner = lock(&self.inner);
        let end = inner.slots.len().min(at + size);
        if let Some(slots) = inner.slots.get(at..end) {
            // By itself, because these reads overlap, and cloning waits for one after the other.
            for subscription in slots.iter().flatten() {
                subscription.prefetch();
            }
            chunk.extend(slots.iter().flatten().map(Arc::clone));
        }
        end < inner.slots.len()
    }

    /// Lets the oldest publication go, if it is of `since`; if there is none and nobody listens, the topic. Answers
    /// how old the rest is; `None`: there is none, or it cannot go.
    pub(crate) fn evict(self: &Arc<Self>, shared: &Shared, since: Millis) -> Option<Millis> {
        let left = lock(&self.inner).evict(since, shared.clock.now());
        if left.is_none() {
            shared.topics.release_if_idle(self);
        }
        left
    }

    /// How many bytes it takes up itself: about.
    fn weight(&self) -> usize {
        /// Counts of owners, its places in the map and in the heaps of the janitor and of its account.
        const AROUND: usize = 200;
        let own = size_of::<Self>() + size_of::<Stream>() + AROUND;
        own + self.app.len() + self.channel.len()
    }

    /// Forgets what is too old, and ends the topic if nothing is left.
    pub(crate) fn tidy(self: &Arc<Self>, shared: &Arc<Shared>, now: u64) {
        {
            let mut inner = lock(&self.inner);
            inner.tidied_at = None;
            inner.tidy(now);
            self.see_janitor(&mut inner, shared);
        }
        shared.topics.release_if_idle(self);
    }

    /// Makes sure that the janitor comes in time.
    pub(crate) fn see_janitor(self: &Arc<Self>, inner: &mut Inner, shared: &Arc<Shared>) {
        let due = inner.next_tidy();
        if due != u64::MAX && inner.tidied_at.is_none_or(|at| due < at) {
            inner.tidied_at = Some(due);
            shared.janitor.schedule(self, due);
        }
    }
}

impl Inner {
    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Those who listen.
    pub(crate) fn subscribers(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.slots.iter().flatten()
    }

    fn counting(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.subscribers()
            .filter(|subscription| subscription.terms.positioned)
    }

    /// Takes `subscription` out of its slot; `false`: it had none. Whoever does so calls
    /// [`super::Topics::release_if_idle`] later.
    pub(crate) fn leave(&mut self, subscription: &Arc<Subscription>, now: u64) -> bool {
        let topic = &subscription.topic;
        let slot = subscription.slot.load(Ordering::Relaxed);
        let Some(entry) = self.slots.get_mut(slot as usize) else {
            return false;
        };
        let mine = entry
            .as_ref()
            .is_some_and(|entry| Arc::ptr_eq(entry, subscription));
        if mine {
            *entry = None;
            self.free.push(slot);
            // Whoever comes back in a moment shall be able to go on.
            if let (Some(stream), History::Memory(keep)) =
                (&mut self.stream, subscription.options.history)
            {
                stream.keep(keep.into(), now);
            }
            if self.listeners() == 0 {
                self.let_nothing_go();
                self.let_room_go();
                self.account_for(topic);
            }
        }
        mine
    }

    /// Lets a stream go in which nothing was said.
    fn let_nothing_go(&mut self) {
        self.stream = self.stream.take().filter(|stream| !stream.is_new());
    }

    /// Lets go what those took up who have listened: nothing of it is accounted for. Only while no task goes through
    /// the slots.
    fn let_room_go(&mut self) {
        if self.listeners() == 0 && !self.sweeping {
            self.slots = Vec::new();
            self.free = Vec::new();
            self.waiting = Backlog::default();
            self.counted = None;
        }
    }

    /// Whether it is there for its stream alone.
    pub(crate) fn only_remembers(&self) -> bool {
        self.listeners() == 0 && self.stream.is_some()
    }

    /// Has the account know what the topic takes up, and of what can go for others.
    fn account_for(&mut self, topic: &Arc<Topic>) {
        let alone = self.only_remembers();
        let Some(stream) = &mut self.stream else {
            return;
        };
        stream.account_for(if alone { topic.weight() } else { 0 });
        if !self.accounted && (alone || !stream.is_bare()) {
            stream.account().enter(topic, stream.since());
            self.accounted = true;
        }
    }

    /// See [`Topic::evict`].
    fn evict(&mut self, since: Millis, now: Millis) -> Option<Millis> {
        self.accounted = false;
        let alone = self.only_remembers();
        let stream = self.stream.as_mut()?;
        if stream.since() == since {
            if alone && stream.is_bare() {
                self.stream = None;
                return None;
            }
            stream.give_up(now);
        }
        if stream.is_bare() {
            // It would outlive all others.
            self.last = None;
        }
        self.accounted = alone || !stream.is_bare();
        self.accounted.then(|| stream.since())
    }

    /// Who is there, for topics that tell.
    pub(crate) fn present(&self) -> Vec<Arc<ClientInfo>> {
        self.subscribers()
            .map(|subscription| Arc::clone(&subscription.info))
            .collect()
    }

    /// How many connections are there, of how many users. Where there are many, users are those of the last second:
    /// to count them takes milliseconds, and anybody may ask.
    pub(crate) fn count_present(&mut self, now: u64) -> (usize, usize) {
        let listeners = self.listeners();
        if let Some(counted) = &self.counted
            && listeners >= MANY
            && now < counted.until
        {
            return (listeners, counted.users.min(listeners));
        }
        let users: HashSet<&str> = self
            .subscribers()
            .map(|subscription| &*subscription.info.user)
            .collect();
        let users = users.len();
        let until = now + COUNT_HOLDS;
        self.counted = (listeners >= MANY).then(|| Box::new(Counted { users, until }));
        (listeners, users)
    }

    /// What is kept, and in `range`.
    pub(crate) fn history(
        &mut self,
        topic: TopicName<'_>,
        keep: Keep,
        shared: &Shared,
        range: Range<'_>,
    ) -> Kept {
        let now = shared.wheel.now();
        let stream = self.stream(topic, shared, now);
        // Whoever asks may count along.
        stream.keep(keep.into(), now);
        let kept = stream.kept(range, now);
        if self.listeners() == 0 {
            self.let_nothing_go();
        }
        kept
    }

    /// Forgets all publications; their count stays, so that subscribers learn of the gap.
    pub(crate) fn forget(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.clear();
        }
        self.last = None;
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.listeners() == 0
            && !self.sweeping
            && !self.linked
            && self.stream.is_none()
            && self.repeats.as_ref().is_none_or(|it| it.is_empty())
    }

    fn stream(&mut self, topic: TopicName<'_>, shared: &Shared, now: u64) -> &mut Stream {
        let listened_to = self.listeners() > 0;
        // One that has counted goes before the next one begins, in another epoch.
        let kept = self
            .stream
            .take()
            .and_then(|mut stream| (stream.tidy(now) || listened_to).then_some(stream));
        self.stream
            .insert(kept.unwrap_or_else(|| Box::new(shared.stream(topic))))
    }

    fn repeats(&mut self) -> &mut Repeats {
        self.repeats.get_or_insert_default()
    }

    fn tidy(&mut self, now: u64) {
        let listened_to = self.listeners() > 0;
        if let Some(stream) = &mut self.stream
            && !stream.tidy(now)
        {
            if listened_to {
                // Somebody counts along.
                stream.keep_on(now);
            } else {
                self.stream = None;
            }
        }
        if let Some(repeats) = &mut self.repeats {
            repeats.tidy(now);
            if repeats.is_empty() {
                self.repeats = None;
            }
        }
        let has_gone = self.stream.as_ref().map_or(!listened_to, |it| it.is_bare());
        if has_gone {
            // It is accounted for no longer, and would outlive all others.
            self.last = None;
        }
    }

    fn next_tidy(&self) -> u64 {
        let stream = self.stream.as_ref().map_or(u64::MAX, |it| it.next_tidy());
        let repeats = self.repeats.as_ref().map_or(u64::MAX, |it| it.next_tidy());
        stream.min(repeats)
    }

    /// Closes the gaps between slots, if most of them are empty. Only while no task goes through them.
    fn compact(&mut self) {
        if self.slots.len() < 64 || self.free.len() * 2 < self.slots.len() {
            return;
        }
        let slots: Vec<_> = self.slots.drain(..).flatten().collect();
        self.slots = slots
            .into_iter()
            .enumerate()
            .map(|(slot, subscription)| {
                subscription.slot.store(slot as u32, Ordering::Relaxed);
                Some(subscription)
            })
            .collect();
        self.free = Vec::new();
    }
}

impl From<Keep> for Bounds {
    fn from(keep: Keep) -> Self {
        Self {
            size: keep.size.max(1),
            bytes: keep.bytes,
            ttl: keep.ttl.as_millis() as u64,
            count_ttl: keep.count_ttl.max(keep.ttl).as_millis() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_nobody_listens_to_keeps_no_room_for_listeners() {
        let topic = Topic::new(1, "app", "t", false);
        {
            let mut inner = lock(&topic.inner);
            inner.slots = vec![None; 50];
            inner.free = (0..50).collect();
            inner.sweeping = true;
            inner.let_room_go();
            assert_eq!(inner.slots.len(), 50, "somebody goes through them");
        }
        assert!(topic.take(&Stats::default()).is_none());
        let inner = lock(&topic.inner);
        assert_eq!((inner.slots.capacity(), inner.free.capacity()), (0, 0));
    }
}
