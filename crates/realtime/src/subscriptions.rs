//! What one connection listens to, and how it comes to an end.

use std::sync::{Arc, Mutex};

use chatsdk_protocol::{DisconnectCode, Push, UnsubscribeCode};
use chatsdk_types::Millis;

use crate::broker::Announcement;
use crate::connection::Connection;
use crate::lock;
use crate::stats::Stats;
use crate::topics::subscription::Subscription;

/// The subscriptions of one connection: a list, because there are few.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    /// The connection is gone; nothing more is accepted.
    closed: bool,
    entries: Vec<Entry>,
    /// How many reservations there were so far.
    reservations: u32,
}

#[derive(Debug)]
enum Entry {
    /// The authority is being asked. The channel is taken, and whoever ends the subscription in the
    /// meantime takes the entry away, so that a "yes" from before comes to nothing.
    Asking(Reservation, Box<str>),
    Held(Arc<Subscription>),
}

impl Entry {
    fn channel(&self) -> &str {
        match self {
            Self::Asking(_, channel) => channel,
            Self::Held(subscription) => &subscription.topic.channel,
        }
    }
}

/// A channel that is taken while the authority is being asked. Another one of the same channel, after
/// this was taken away, is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation(u32);

/// Why a channel cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// One has it, or is asking for it.
    Already,
    /// One has as many as one may.
    Limit,
    /// The connection is gone.
    Closed,
}

/// Why a client cannot leave a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOwn {
    /// It is not in it.
    Nobodys,
    /// The server has subscribed it, or is about to.
    Servers,
}

impl Subscriptions {
    /// Takes `channel` while the authority is being asked. At most `limit` are had.
    pub(crate) fn reserve(&self, channel: &str, limit: usize) -> Result<Reservation, Taken> {
        let mut list = lock(&self.0);
        if list.closed {
            return Err(Taken::Closed);
        }
        if list.position(channel).is_some() {
            return Err(Taken::Already);
        }
        if list.entries.len() >= limit {
            return Err(Taken::Limit);
        }
        list.reservations = list.reservations.wrapping_add(1);
        let reservation = Reservation(list.reservations);
        list.entries
            .push(Entry::Asking(reservation, channel.into()));
        Ok(reservation)
    }

    /// Puts `subscription` where its channel was reserved; `false`: the reservation was taken away.
    pub(crate) fn fulfil(
        &self,
        reservation: Reservation,
        subscription: &Arc<Subscription>,
    ) -> bool {
        let mut list = lock(&self.0);
        let at = list.reserved(reservation);
        if let Some(at) = at {
            list.entries[at] = Entry::Held(Arc::clone(subscription));
        }
        at.is_some()
    }

    /// Gives a reserved channel back.
    pub(crate) fn cancel(&self, reservation: Reservation) {
        let mut list = lock(&self.0);
        if let Some(at) = list.reserved(reservation) {
            list.entries.swap_remove(at);
        }
    }

    /// The subscription to `channel`.
    pub(crate) fn get(&self, channel: &str) -> Option<Arc<Subscription>> {
        let list = lock(&self.0);
        list.entries.iter().find_map(|entry| match entry {
            Entry::Held(held) if *held.topic.channel == *channel => Some(Arc::clone(held)),
            _ => None,
        })
    }

    /// Whether there is a live subscription to `channel`.
    pub(crate) fn has(&self, channel: &str) -> bool {
        self.get(channel)
            .is_some_and(|subscription| subscription.is_live())
    }

    /// Takes the subscription to `channel` away, if the client has asked for it. Called between the client's
    /// commands: a reservation is none of its own then.
    pub(crate) fn take_own(&self, channel: &str) -> Result<Arc<Subscription>, NotOwn> {
        let mut list = lock(&self.0);
        let at = list.position(channel).ok_or(NotOwn::Nobodys)?;
        let held = match &list.entries[at] {
            Entry::Held(held) if !held.terms.server_side => Arc::clone(held),
            Entry::Held(_) | Entry::Asking(..) => return Err(NotOwn::Servers),
        };
        list.entries.swap_remove(at);
        Ok(held)
    }

    /// The subscription to `channel`. Otherwise takes the reservation for it away, and answers whether there
    /// was one.
    fn get_or_cancel(&self, channel: &str) -> Result<Arc<Subscription>, bool> {
        let mut list = lock(&self.0);
        let at = list.position(channel).ok_or(false)?;
        if let Entry::Held(held) = &list.entries[at] {
            return Ok(Arc::clone(held));
        }
        list.entries.swap_remove(at);
        Err(true)
    }

    /// Takes this very subscription away, and does `tell` before anybody can have its channel; `false`: it was
    /// taken away.
    fn take_this(&self, subscription: &Arc<Subscription>, tell: impl FnOnce()) -> bool {
        let mut list = lock(&self.0);
        let at = list.entries.iter().position(
            |entry| matches!(entry, Entry::Held(held) if Arc::ptr_eq(held, subscription)),
        );
        if let Some(at) = at {
            list.entries.swap_remove(at);
            tell();
        }
        at.is_some()
    }

    /// Has whoever ends `subscription` tell the client, now that its reply is out, if that is still to take it away;
    /// `false`: it has done so, in silence.
    fn leave_to_ender(&self, subscription: &Arc<Subscription>) -> bool {
        let list = lock(&self.0);
        let listed = list.held().any(|held| Arc::ptr_eq(held, subscription));
        if listed {
            subscription.forget_early_end();
        }
        listed
    }

    /// Everything that is held.
    pub(crate) fn all(&self) -> Vec<Arc<Subscription>> {
        let list = lock(&self.0);
        list.held().map(Arc::clone).collect()
    }

    /// How many are held.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).held().count()
    }

    /// The first moment at which a token of one of them ends.
    pub(crate) fn first_expiry(&self) -> Option<Millis> {
        let list = lock(&self.0);
        list.held().filter_map(|held| held.expires_at()).min()
    }

    /// Takes everything away and accepts nothing more.
    fn close(&self) -> Vec<Arc<Subscription>> {
        let mut list = lock(&self.0);
        list.closed = true;
        let entries = std::mem::take(&mut list.entries);
        entries
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Asking(..) => None,
                Entry::Held(held) => Some(held),
            })
            .collect()
    }
}

impl List {
    fn position(&self, channel: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.channel() == channel)
    }

    fn reserved(&self, reservation: Reservation) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| matches!(entry, Entry::Asking(it, _) if *it == reservation))
    }

    fn held(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Asking(..) => None,
            Entry::Held(held) => Some(held),
        })
    }
}

impl Connection {
    /// Has `subscription` begin: its reply, or the push that announces it, is out. `base` as in
    /// [`Subscription::go_live`]. Whatever became of it in the meantime is told.
    pub(crate) fn begin(self: &Arc<Self>, subscription: &Arc<Subscription>, base: u64) {
        if subscription.go_live(base).is_err() {
            self.lost_track(subscription);
        } else if let Some(why) = subscription.ended_early() {
            if !self.subscriptions.leave_to_ender(subscription) {
                self.tell_end(subscription, why);
            }
        } else if subscription.options.join_leave {
            let topic = &subscription.topic;
            let mut inner = lock(&topic.inner);
            if subscription.announce() {
                let join = Announcement::Join(Arc::clone(&subscription.info));
                topic.announce(&mut inner, &self.shared, join);
            }
        }
    }

    /// Leaves all topics; the connection is gone.
    pub(crate) fn leave_all(&self) {
        for subscription in self.subscriptions.close() {
            self.leave(&subscription);
        }
    }

    /// Leaves the topic of a subscription, unless that has happened.
    pub(crate) fn leave(&self, subscription: &Arc<Subscription>) {
        self.leave_because(subscription, None);
    }

    /// The same, for a reason that the client must be told.
    fn leave_because(&self, subscription: &Arc<Subscription>, why: Option<UnsubscribeCode>) {
        subscription.end(why);
        let topic = &subscription.topic;
        let remembers = {
            let mut inner = lock(&topic.inner);
            if !inner.leave(subscription, self.shared.wheel.now()) {
                return;
            }
            let broker = &self.shared.broker;
            if broker.is_shared() {
                if subscription.options.presence {
                    let client = &subscription.info.client;
                    self.shared.see_through(broker.leave(topic.name(), client));
                }
                self.shared.unlink_when_idle(topic, &inner);
            }
            if subscription.was_announced() {
                let leave = Announcement::Leave(Arc::clone(&subscription.info));
                topic.announce(&mut inner, &self.shared, leave);
            }
            inner.only_remembers()
        };
        if remembers {
            self.shared.keep_budget(&topic.app);
        }
        self.shared.topics.release_if_idle(topic);
        Stats::subtract(&self.shared.stats.subscriptions, 1);
    }

    /// Ends the subscription to `channel`, or what is becoming one, and tells the client; `false`:
    /// there was none.
    pub(crate) fn unsubscribe(self: &Arc<Self>, channel: &str, why: UnsubscribeCode) -> bool {
        match self.subscriptions.get_or_cancel(channel) {
            Ok(subscription) => self.end(&subscription, why),
            Err(was_reserved) => was_reserved,
        }
    }

    /// A publication is missing in `subscription`: the client has to begin it again.
    pub(crate) fn lost_track(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        if subscription.terms.server_side {
            self.close(&DisconnectCode::InsufficientState.into());
        } else {
            self.end(subscription, UnsubscribeCode::InsufficientState);
        }
    }

    /// Ends what has outlived its token by too long. `now` is the wall clock's time.
    pub(crate) fn end_expired(self: &Arc<Self>, now: Millis) {
        let delay = self.shared.config.expired_sub_close_delay.as_millis() as Millis;
        for subscription in self.subscriptions.all() {
            let over = subscription
                .expires_at()
                .is_some_and(|at| at.saturating_add(delay) <= now);
            if !over {
                continue;
            }
            if subscription.terms.server_side {
                self.close(&DisconnectCode::SubscriptionExpired.into());
                return;
            }
            self.end(&subscription, UnsubscribeCode::Expired);
        }
    }

    /// Ends `subscription` and tells the client; `false`: somebody else has taken it away. One whose reply is
    /// not out by the time it is taken away is told of by whoever sends the reply.
    ///
    /// The client may begin another one of the same channel at any time. It does not before this one has left
    /// its topic, so that no one is taken for gone who has come back; nor before the push is out, which would be
    /// taken for the other one's.
    fn end(self: &Arc<Self>, subscription: &Arc<Subscription>, why: UnsubscribeCode) -> bool {
        self.leave_because(subscription, Some(why));
        self.subscriptions.take_this(subscription, || {
            if subscription.ended_early().is_none() {
                self.tell_end(subscription, why);
            }
        })
    }

    /// Tells the client that a subscription has ended.
    pub(crate) fn tell_end(self: &Arc<Self>, subscription: &Subscription, why: UnsubscribeCode) {
        self.push(&Push::new(Arc::clone(&subscription.topic.channel), why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_that_was_taken_away_is_not_the_next_one() {
        let subscriptions = Subscriptions::default();
        let first = subscriptions.reserve("t", 9);
        assert_eq!(subscriptions.reserve("t", 9), Err(Taken::Already));
        assert!(
            matches!(subscriptions.get_or_cancel("t"), Err(true)),
            "somebody ends it"
        );
        let second = subscriptions.reserve("t", 9);
        assert_ne!(first, second);
        let (Ok(first), Ok(second)) = (first, second) else {
            panic!("there was room");
        };
        subscriptions.cancel(first);
        assert_eq!(subscriptions.reserve("t", 9), Err(Taken::Already));
        subscriptions.cancel(second);
        assert!(subscriptions.reserve("t", 9).is_ok());
    }
}
