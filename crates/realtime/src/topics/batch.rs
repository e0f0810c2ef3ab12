//! Events that are delivered together, encoded once for all subscribers that are alike.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;
use chatsdk_protocol::fossil::{self, Delta};
use chatsdk_protocol::push::{Join, Leave};
use chatsdk_protocol::{
    ClientInfo, Encoding, Frame, NotJson, Payload, Publication, Push, PushBody,
};

use crate::sayable;
use crate::topics::event::{Event, What};
use crate::topics::topic::Topic;
use crate::transport::Shape;

/// How many events share a frame.
pub(crate) const MAX_EVENTS: usize = 16;

/// How many bytes of payload do: clients refuse frames of more than a MiB, and in a string a payload may be twice
/// as long.
const MAX_BYTES: usize = 256 * 1024;

/// How many different frames are remembered; subscribers with filters of their own could need any
/// number.
const MAX_FRAMES: usize = 64;

/// Whether `event` goes into the frame of `events`.
pub(crate) fn has_room_for(event: &Event, events: &[Event]) -> bool {
    let bytes: usize = events.iter().map(Event::size).sum();
    events.is_empty() || (events.len() < MAX_EVENTS && bytes + event.size() <= MAX_BYTES)
}

/// Which events of a batch a subscriber is sent: bit 0 is the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) events: u16,
    /// Those of them that go out as differences.
    pub(crate) differences: u16,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Batch {
    events: Vec<Event>,
    topic: Arc<Topic>,
    frames: Vec<(Key, Option<Bytes>)>,
    /// Each event as the difference to the one before it, in JSON and Protobuf, once somebody has asked.
    differences: Vec<(Difference, Difference)>,
}

type Difference = OnceCell<Result<Publication, NotJson>>;

/// What makes two frames of a batch the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    shape: Shape,
    compact: bool,
    delta: bool,
    plan: Plan,
}

impl Batch {
    pub(crate) fn new(events: Vec<Event>, topic: Arc<Topic>) -> Self {
        let differences = events.iter().map(|_| Default::default()).collect();
        Self {
            events,
            topic,
            frames: Vec::new(),
            differences,
        }
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// The frame of the events in `plan`. With `compact` the topic's number stands for its name; with
    /// `delta` payloads are as a client expects that was promised differences. `None`: there is nothing that could
    /// be said.
    pub(crate) fn frame(
        &mut self,
        shape: Shape,
        compact: bool,
        delta: bool,
        plan: Plan,
    ) -> Option<Bytes> {
        let key = Key {
            shape,
            compact,
            delta,
            plan,
        };
        if let Some((_, frame)) = self.frames.iter().find(|(known, _)| *known == key) {
            return frame.clone();
        }
        let frame = self.encode(key);
        if self.frames.len() < MAX_FRAMES {
            self.frames.push((key, frame.clone()));
        }
        frame
    }

    fn encode(&self, key: Key) -> Option<Bytes> {
        let encoding = key.shape.encoding();
        let known = |info: &Arc<ClientInfo>| {
            Some(match encoding {
                Encoding::Json => sayable::info(info),
                Encoding::Protobuf => Arc::clone(info),
            })
        };
        let mut lines = Frame::new(encoding);
        for at in 0..self.events.len() {
            let bit = 1 << at;
            if key.plan.events & bit == 0 {
                continue;
            }
            let body = match &self.events[at].what {
                What::Join(info) => PushBody::from(Join { info: known(info) }),
                What::Leave(info) => PushBody::from(Leave { info: known(info) }),
                What::Publication {
                    publication,
                    before,
                    ..
                } => {
                    let before = before
                        .as_ref()
                        .filter(|_| key.plan.differences & bit != 0)
                        .map(|before| &before.data);
                    let said = if key.delta {
                        self.difference(at, encoding, before, publication)
                    } else {
                        Ok(Publication::clone(publication))
                    };
                    match said {
                        Ok(mut publication) => {
                            if encoding == Encoding::Json {
                                sayable::tidy(&mut publication);
                            }
                            publication.into()
                        }
                        Err(NotJson) => continue,
                    }
                }
            };
            let mut push = Push::new(Arc::clone(&self.topic.channel), body);
            if key.compact {
                push.id = self.topic.id as i64;
            }
            if lines.push(&push).is_err() {
                // All that could be no JSON was looked at.
                tracing::warn!("an event cannot be said in JSON");
            }
        }
        Some(key.shape.frame(&lines.take()?))
    }

    /// `publication`, which stands at `at`, as the difference to the one `before`, or in full. The
    /// difference is made once for each encoding.
    fn difference(
        &self,
        at: usize,
        encoding: Encoding,
        before: Option<&Payload>,
        publication: &Publication,
    ) -> Result<Publication, NotJson> {
        if before.is_none() {
            return fossil::full(encoding, publication);
        }
        let known = match encoding {
            Encoding::Json => &self.differences[at].0,
            Encoding::Protobuf => &self.differences[at].1,
        };
        known
            .get_or_init(|| Delta::new(before, publication).publication(encoding))
            .clone()
    }
}
