//! Events that are delivered together, encoded once for all subscribers that are alike.

use std::sync::Arc;

use bytes::Bytes;
use chatsdk_protocol::push::{Join, Leave};
use chatsdk_protocol::{Frame, Publication, Push, PushBody};

use crate::topics::delta;
use crate::topics::event::{Event, What};
use crate::topics::topic::Topic;
use crate::transport::Shape;

/// How many events share a frame.
pub(crate) const MAX_EVENTS: usize = 16;

/// How many different frames are remembered; subscribers with filters of their own could need any
/// number.
const MAX_FRAMES: usize = 64;

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
    frames: Vec<(Key, Bytes)>,
    /// The difference of each event to the one before it, once somebody has asked; `None` in it: the
    /// whole is shorter.
    differences: Vec<Option<Option<Bytes>>>,
}

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
        let differences = vec![None; events.len()];
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
    /// `delta` payloads are as a client expects that was promised differences.
    pub(crate) fn frame(&mut self, shape: Shape, compact: bool, delta: bool, plan: Plan) -> Bytes {
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

    fn encode(&mut self, key: Key) -> Bytes {
        let mut lines = Frame::new(key.shape.encoding());
        for at in 0..self.events.len() {
            let bit = 1 << at;
            if key.plan.events & bit == 0 {
                continue;
            }
            let body = match &self.events[at].what {
                What::Join(info) => PushBody::from(Join {
                    info: Some(Arc::clone(info)),
                }),
                What::Leave(info) => PushBody::from(Leave {
                    info: Some(Arc::clone(info)),
                }),
                What::Publication { publication, .. } => {
                    let publication = Publication::clone(publication);
                    PushBody::from(if !key.delta {
                        publication
                    } else if key.plan.differences & bit == 0 {
                        delta::whole(publication, key.shape.encoding())
                    } else {
                        self.difference(at).map_or_else(
                            || delta::whole(publication.clone(), key.shape.encoding()),
                            |difference| {
                                delta::changed(&publication, difference, key.shape.encoding())
                            },
                        )
                    })
                }
            };
            let mut push = Push::new(Arc::clone(&self.topic.channel), body);
            if key.compact {
                push.id = self.topic.id as i64;
            }
            if lines.push(&push).is_err() {
                // A payload was looked at before; what is left is what the authority says of clients.
                tracing::warn!("what the authority says of a client is not JSON");
            }
        }
        key.shape.frame(&lines.take().unwrap_or_default())
    }

    fn difference(&mut self, at: usize) -> Option<Bytes> {
        if let Some(known) = &self.differences[at] {
            return known.clone();
        }
        let difference = match &self.events[at].what {
            What::Publication {
                publication,
                before: Some(before),
                ..
            } => delta::difference(before.data.bytes(), publication.data.bytes()),
            _ => None,
        };
        self.differences[at] = Some(difference.clone());
        difference
    }
}
