//! Whether something got lost on the way to this node.
//!
//! What is missing shows by the offset of the next publication, but there may be none for long. Therefore
//! the position of each topic in which somebody counts is compared with that of its broker, or of its host,
//! every few seconds. The broker is asked once for all who listen.
//!
//! A publication may be on its way just then, which is no loss. Who seems to have missed something is looked
//! at again after a moment: whoever has not come as far as the topic stood at the first look has lost
//! something. (Servers that compare once, with the newest position, make clients subscribe again for nothing
//! where much is said.) Nor is lost what has come to this node and waits for its delivery, however long that
//! takes: on a machine that is too busy already, everybody would come again. A broker that does not answer says
//! nothing about what its topics hold.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, RecoverRequest};
use crate::broker::memory::stream::Range;
use crate::broker::publication::Position;
use crate::engine::Shared;
use crate::lock;
use crate::topics::options::{History, TopicOptions};
use crate::topics::subscription::{Reached, Subscription};
use crate::topics::topic::Topic;

/// How long the second look waits.
const MOMENT: Duration = Duration::from_secs(1);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many questions are asked at a time. Those who wait for their second look ask none: after a loss of the
/// link to the broker, all topics do.
const AT_ONCE: usize = 64;

/// See the module's text. All topics wait equally long, so that the queue is in the order of their moments,
/// which are in the wheel's time.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    queue: Mutex<VecDeque<(u64, Weak<Topic>)>>,
    more: Notify,
}

impl Positions {
    /// Has `topic` compared from now on. Called with the topic locked.
    pub(crate) fn watch(&self, topic: &Arc<Topic>, shared: &Shared) {
        let interval = shared.config.position_check;
        if interval.is_zero() {
            return;
        }
        let mut queue = lock(&self.queue);
        queue.push_back((shared.after(interval), Arc::downgrade(topic)));
        if queue.len() == 1 {
            self.more.notify_one();
        }
    }

    /// Has all topics compared now.
    pub(crate) fn check_now(&self) {
        for (due, _) in &mut *lock(&self.queue) {
            *due = 0;
        }
        self.more.notify_one();
    }

    /// The next topic that is due; or when one will be, `None`: there is none.
    fn next(&self, now: u64) -> Result<Weak<Topic>, Option<u64>> {
        let mut queue = lock(&self.queue);
        match queue.front() {
            None => Err(None),
            Some((due, _)) if *due > now => Err(Some(*due - now)),
            Some(_) => queue.pop_front().map(|(_, topic)| topic).ok_or(None),
        }
    }
}

/// Compares until `stop`.
pub(crate) async fn work<A: Authority>(
    authority: Arc<A>,
    shared: Weak<Shared>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Some(engine) = shared.upgrade() else {
            return;
        };
        let positions = Arc::clone(&engine.positions);
        let wait = match positions.next(engine.wheel.now()) {
            Ok(topic) => {
                let Some(topic) = topic.upgrade() else {
                    continue;
                };
                let places = Arc::clone(&places);
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let (authority, stop) = (Arc::clone(&authority), stop.clone());
                tokio::spawn(async move {
                    let watched = Watched { topic, engine };
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = check(&*authority, &watched.engine, &watched.topic, place, &places) => {}
                    }
                });
                continue;
            }
            Err(wait) => wait,
        };
        drop(engine);
        let wait = async {
            match wait {
                Some(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = positions.more.notified() => {}
            () = wait => {}
        }
    }
}

/// A topic that is being compared. It is watched again when this is dropped, be it because the authority has
/// panicked.
struct Watched {
    topic: Arc<Topic>,
    engine: Arc<Shared>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.topic.stays_watched() {
            self.engine.positions.watch(&self.topic, &self.engine);
        }
    }
}

/// A subscription, and how far it was before the question.
type Looked = (Arc<Subscription>, Reached);

/// Compares `topic`. `place` is for its first question, one of `places` for the second.
async fn check<A: Authority>(
    authority: &A,
    shared: &Shared,
    topic: &Arc<Topic>,
    place: OwnedSemaphorePermit,
    places: &Semaphore,
) {
    let all = look(topic.counting());
    let Some((first, _)) = all.first() else {
        return;
    };
    let options = Arc::clone(&first.options);
    let Some(top) = top(authority, shared, topic, &options).await else {
        return;
    };
    drop(place);
    let suspects = lost(topic, all, &top, &top);
    if suspects.is_empty() {
        return;
    }
    tokio::time::sleep(MOMENT).await;
    let Ok(_place) = places.acquire().await else {
        return;
    };
    let suspects = look(suspects);
    let Some(now) = self::top(authority, shared, topic, &options).await else {
        return;
    };
    for subscription in lost(topic, suspects, &top, &now) {
        subscription.connection.lost_track(&subscription);
    }
}

/// Those who seem to have lost something, when the topic stood `first` and stands `now`.
fn lost(
    topic: &Topic,
    looked: Vec<Looked>,
    first: &Position,
    now: &Position,
) -> Vec<Arc<Subscription>> {
    // Before it is seen how far they are: a delivery that ends in between shows there.
    let is_here = topic.delivers_up_to(first.offset);
    looked
        .into_iter()
        .filter(|(subscription, before)| is_lost(subscription, before, first, now, is_here))
        .map(|(subscription, _)| subscription)
        .collect()
}

fn look(subscriptions: Vec<Arc<Subscription>>) -> Vec<Looked> {
    subscriptions
        .into_iter()
        .filter_map(|subscription| {
            let reached = subscription.reached()?;
            Some((subscription, reached))
        })
        .collect()
}

/// Whether `subscription`, which was at `before`, has not come to where the topic stood `first`, or was further
/// than it is `now`, or counts in another epoch. `is_here`: it is brought to where the topic stood, or to a gap
/// that shows by itself.
fn is_lost(
    subscription: &Subscription,
    before: &Reached,
    first: &Position,
    now: &Position,
    is_here: bool,
) -> bool {
    let Some(reached) = subscription.reached() else {
        return false;
    };
    let same_epoch = |epoch: &Arc<str>| *epoch == now.epoch;
    // Who has just begun to count in another one is looked at next time.
    let other = |at: &Reached| at.epoch.as_ref().is_some_and(|epoch| !same_epoch(epoch));
    if first.epoch != now.epoch {
        return other(before) && other(&reached);
    }
    let behind = reached.offset < first.offset && !is_here;
    other(&reached) || behind || before.offset > now.offset
}

/// Where `topic` stands; `None`: it cannot be told now.
async fn top<A: Authority>(
    authority: &A,
    shared: &Shared,
    topic: &Topic,
    options: &TopicOptions,
) -> Option<Position> {
    let name = topic.name();
    let question = async {
        match options.history {
            History::None => None,
            History::Memory(keep) => {
                let nothing = Range {
                    limit: Some(0),
                    ..Range::default()
                };
                let kept = shared.broker.history(name, keep, nothing).await;
                kept.ok().map(|kept| kept.top)
            }
            History::Host => {
                let question = RecoverRequest {
                    app: name.app,
                    channel: name.channel,
                    since: None,
                    limit: 0,
                    reverse: false,
                };
                let recovered = authority.recover(question).await;
                recovered.ok().map(|recovered| recovered.top)
            }
        }
    };
    tokio::time::timeout(PATIENCE, question).await.ok()?
}
