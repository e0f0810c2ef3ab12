//! The way out of a transport that is the body of an HTTP response: a bounded queue that hyper takes
//! from.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio_util::sync::CancellationToken;

use crate::lock;
use crate::outbound::Sent;

/// The end that the engine writes to.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    queue: Mutex<Queue>,
    /// The other end is gone: the response was sent to its end, or the client hung up.
    gone: CancellationToken,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Nothing more is accepted.
    sealed: bool,
    waker: Option<Waker>,
    /// Whoever has replies, but does not want to be the one who makes it overflow.
    waiter: Option<Waker>,
}

impl Outlet {
    /// Sends `frame`; at most `limit` bytes may wait.
    pub(crate) fn send(&self, frame: Bytes, limit: usize) -> Sent {
        let mut queue = lock(&self.queue);
        if queue.sealed {
            return Sent::Sealed;
        }
        if queue.bytes > 0 && queue.bytes.saturating_add(frame.len()) > limit {
            return Sent::Overflow;
        }
        queue.push(frame);
        Sent::Done
    }

    /// Sends `frame` as the last one; with `skip_queue`, in place of what waits.
    pub(crate) fn finish(&self, frame: Bytes, skip_queue: bool) -> Sent {
        let mut queue = lock(&self.queue);
        if queue.sealed {
            return Sent::Sealed;
        }
        if skip_queue {
            queue.frames.clear();
            queue.bytes = 0;
        }
        queue.push(frame);
        queue.sealed = true;
        queue.wake_waiter();
        Sent::Done
    }

    /// Ends the response where it is.
    pub(crate) fn kill(&self) {
        let mut queue = lock(&self.queue);
        queue.sealed = true;
        queue.frames = VecDeque::new();
        queue.bytes = 0;
        queue.wake();
        queue.wake_waiter();
        drop(queue);
        self.gone.cancel();
    }

    /// Ready when at most `limit` bytes wait, or nothing more is accepted.
    pub(crate) fn poll_room(&self, limit: usize, context: &Context<'_>) -> Poll<()> {
        let mut queue = lock(&self.queue);
        if queue.bytes <= limit || queue.sealed {
            return Poll::Ready(());
        }
        queue.waiter = Some(context.waker().clone());
        Poll::Pending
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.queue).bytes
    }

    /// Waits until the other end is gone.
    pub(crate) async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

impl Queue {
    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        self.wake();
    }

    fn wake_waiter(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The end that hyper reads from.
#[derive(Debug)]
pub(crate) struct Response(pub(crate) Arc<Outlet>);

impl Body for Response {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut queue = lock(&self.0.queue);
        if let Some(frame) = queue.frames.pop_front() {
            queue.bytes -= frame.len();
            queue.wake_waiter();
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        if queue.sealed {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.0.kill();
    }
}
