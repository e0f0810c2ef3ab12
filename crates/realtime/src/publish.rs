//! A publication of the host's own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chatsdk_protocol::object::Tags;
use chatsdk_protocol::{ClientInfo, Payload};

use crate::broker::BrokerError;
use crate::broker::answer::Answer;
use crate::broker::publication::Position;
use crate::topics::options::TopicOptions;

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
pub struct Published(pub(crate) Answer<Option<Position>>);

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
