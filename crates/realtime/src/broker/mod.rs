//! What topics are kept in, and what carries their events: [`Broker`].
//!
//! - [`answer`]: what a broker answers, at once or later.
//! - [`inbox`]: how what was said elsewhere comes to this node. [`order`]: what nodes tell each other.
//! - [`publication`]: one message, and where it stands.
//! - [`memory`]: the in-process broker, [`Memory`](memory::Memory): bounded history, what was published twice.
//!
//! In one process history stands beside the subscribers of its topic, under the same lock; that is what
//! makes a publication cheap. Presence is not kept there at all: the subscriptions themselves are who is
//! present, and an entry can neither be forgotten nor outlive its connection.
//!
//! Between nodes a publication goes to the broker, which gives it its place and brings it to every node that
//! is subscribed to the topic, the publisher's own as well: the order of a topic is the broker's. What gets
//! lost on the way is found out by the next offset, or by the position check (`topics::positions`).

pub mod answer;
pub mod inbox;
pub mod memory;
pub mod order;
pub mod publication;

use std::fmt;
use std::sync::Arc;

use crate::broker::answer::Answer;
use crate::broker::inbox::Inbox;
use crate::broker::memory::stream::Range;
use crate::broker::order::Order;
use crate::broker::publication::{ClientInfo, Position, Publication};
use crate::topics::options::{History, Keep};

/// Keeps topics, and carries what is said in them. Every method takes note of what it is asked when it is
/// called: calls of one topic take effect in their order, and dropping an [`Answer`] takes nothing back.
/// Each is answered in the end, be it with an error: clients wait for it, and the others of its topic behind them.
/// None of them may wait, or call the inbox: they are called under locks.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Called once, before everything else: where what is said elsewhere comes to.
    fn attach(&self, inbox: Inbox);

    /// Whether topics are shared with other nodes. Where they are not, the engine delivers what is
    /// published itself: it subscribes to nothing, enters nobody and tells nobody.
    fn is_shared(&self) -> bool {
        true
    }

    /// Publishes, and answers the position; `None` in a topic without history. It is delivered on every node
    /// that is subscribed to the topic, this one as well.
    fn publish(&self, publication: Outgoing<'_>) -> Answer<Option<Position>>;

    /// Has every subscribed node told that a client has come or gone.
    fn announce(&self, topic: TopicName<'_>, announcement: Announcement) -> Answer<()>;

    /// The first client of this node wants to listen. Everything that is published once this is answered
    /// comes to the inbox, until [`Broker::unsubscribe`]; after a loss of the link to the broker, too.
    /// It is asked again after an error, of this or of [`Broker::unsubscribe`], whether that took effect or not.
    fn subscribe(&self, topic: TopicName<'_>) -> Answer<()>;

    /// Nobody on this node has listened for a moment.
    fn unsubscribe(&self, topic: TopicName<'_>) -> Answer<()>;

    /// Reads what a topic keeps: its position, and what is in `range`, both as they are at one moment. Where nothing
    /// was said it keeps nothing for the question, and nothing for those who listen, as names can be made up: the
    /// position is offset 0, in an epoch that this topic is never in again once what was said there is forgotten.
    fn history(&self, topic: TopicName<'_>, keep: Keep, range: Range<'_>) -> Answer<Kept>;

    /// Forgets what a topic keeps, but for its count.
    fn forget(&self, topic: TopicName<'_>) -> Answer<()>;

    /// A client of this node is there. The entry lasts until [`Broker::leave`], or until this node is gone;
    /// how that is found out, as by entries that end and are renewed, is the broker's own business.
    fn enter(&self, topic: TopicName<'_>, client: Arc<ClientInfo>) -> Answer<()>;

    /// A client of this node is there no more.
    fn leave(&self, topic: TopicName<'_>, client: &str) -> Answer<()>;

    /// Who is there, on all nodes; `None`: more than `most`.
    fn present(&self, topic: TopicName<'_>, most: usize) -> Answer<Option<Vec<Arc<ClientInfo>>>>;

    /// How many clients are there, of how many users; anybody may ask, as often as commands may be said.
    fn count_present(&self, topic: TopicName<'_>) -> Answer<(usize, usize)>;

    /// Has every other node obey `order`.
    fn send(&self, order: Order) -> Answer<()>;
}

/// Why a broker did not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be reached, or does not know. Clients are told error 100 and try again.
    #[error("the broker does not answer")]
    Unavailable,
    /// More waits to be delivered than may: a client's publication was not taken. Clients are told error 111.
    #[error("more waits to be delivered than may")]
    Backlogged,
    /// A publication is longer than a frame that clients take. Clients are told error 106.
    #[error("the publication is longer than clients take")]
    TooLong,
}

/// A channel of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicName<'a> {
    /// The tenant.
    pub app: &'a str,
    /// The channel.
    pub channel: &'a str,
}

/// A publication to be, with how it is to be published.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Where.
    pub topic: TopicName<'a>,
    /// What; it has no offset yet.
    pub publication: Publication,
    /// What the topic keeps.
    pub history: History,
    /// Fit for differences.
    pub delta: bool,
    /// The same key within five minutes is the same publication.
    pub key: Option<&'a str>,
    /// A version and its epoch: not newer than an earlier one, not published.
    pub version: Option<(u64, &'a str)>,
    /// Where the host has put it ([`History::Host`]).
    pub position: Option<Position>,
    /// A client's, which is refused rather than that others' are given up for it.
    pub refusable: bool,
}

/// What a topic keeps.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Where it stands.
    pub top: Position,
    /// What is in the range; `None`: it begins at a position that is not known (any more).
    pub publications: Option<Vec<Arc<Publication>>>,
}

/// A client has come or gone.
#[derive(Debug, Clone)]
pub enum Announcement {
    /// It listens from now on.
    Join(Arc<ClientInfo>),
    /// It does no longer.
    Leave(Arc<ClientInfo>),
}
