//! The way out to a socket: straight, or through a queue while the socket is full.
//!
//! Whoever has something to say writes it to the socket at once, under the connection's lock so that
//! frames never interleave. Only when the socket would block is a queue made, and a task that lives
//! until the queue is empty again. An idle or a keeping-up connection therefore owns neither.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::net::TcpStream;

/// How many queued frames go into one system call.
const VECTORED: usize = 64;

/// The state of the way out.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    queue: Option<Box<Queue>>,
    /// Nothing more is accepted: the close frame was the last one, or the socket is broken.
    sealed: bool,
}

#[derive(Debug, Default)]
struct Queue {
    /// The first one may be the rest of a frame that went out in part.
    frames: VecDeque<Bytes>,
    first_is_partial: bool,
    bytes: usize,
    /// Whoever has replies, but does not want to be the one who makes it overflow.
    waiter: Option<Waker>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.wake();
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is in the socket, or behind others in the queue.
    Done,
    /// Nothing more is sent: the last words are out, or the socket is broken.
    Sealed,
    /// It waits in a queue that was made for it: the caller starts a task that calls
    /// [`Outbound::flush`] whenever the socket is writable.
    Queued,
    /// There is no room for it; it was not taken.
    Overflow,
    /// The socket is broken.
    Broken,
}

/// What became of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// It is gone.
    Empty,
    /// The socket is full again.
    Full,
    /// The socket is broken.
    Broken,
}

/// The direct part of a socket: writing without waiting. A trait so that tests can fill one up.
pub(crate) trait Direct {
    fn write(&self, frame: &[u8]) -> io::Result<usize>;
    fn write_many(&self, frames: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Direct for TcpStream {
    /// Past the runtime's note of whether the socket is writable: where many connections are served, that
    /// is one more cache line from memory for each of them, and the kernel says the same. What it says is
    /// noted when the queue is flushed.
    fn write(&self, frame: &[u8]) -> io::Result<usize> {
        SockRef::from(self).send(frame)
    }

    fn write_many(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(frames)
    }
}

impl Outbound {
    /// Sends `frame`; at most `limit` bytes may wait. `written` counts what goes into the socket.
    pub(crate) fn send(
        &mut self,
        socket: &impl Direct,
        frame: Bytes,
        limit: usize,
        written: &mut usize,
    ) -> Sent {
        if self.sealed {
            return Sent::Sealed;
        }
        self.push(socket, frame, limit, written)
    }

    /// Sends `frame` as the last one, behind what waits; with `skip_queue`, in its place.
    pub(crate) fn finish(
        &mut self,
        socket: &impl Direct,
        frame: Bytes,
        skip_queue: bool,
        written: &mut usize,
    ) -> Sent {
        if self.sealed {
            return Sent::Sealed;
        }
        if skip_queue && let Some(queue) = &mut self.queue {
            // A frame that went out in part must be completed, or the close frame would be taken for
            // its payload.
            queue.frames.truncate(usize::from(queue.first_is_partial));
            queue.bytes = queue.frames.iter().map(Bytes::len).sum();
        }
        let sent = self.push(socket, frame, usize::MAX, written);
        self.sealed = true;
        if let Some(queue) = &mut self.queue {
            queue.wake();
        }
        sent
    }

    /// Accepts nothing more and forgets what waits.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
        self.queue = None;
    }

    /// Whether nothing waits.
    pub(crate) fn is_flushed(&self) -> bool {
        self.queue.is_none()
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Ready when at most `limit` bytes wait, or nothing more is accepted.
    pub(crate) fn poll_room(&mut self, limit: usize, context: &Context<'_>) -> Poll<()> {
        match &mut self.queue {
            Some(queue) if queue.bytes > limit && !self.sealed => {
                queue.waiter = Some(context.waker().clone());
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(()),
        }
    }

    fn push(
        &mut self,
        socket: &impl Direct,
        mut frame: Bytes,
        limit: usize,
        written: &mut usize,
    ) -> Sent {
        if let Some(queue) = &mut self.queue {
            if queue.bytes.saturating_add(frame.len()) > limit {
                return Sent::Overflow;
            }
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
            return Sent::Done;
        }
        let taken = match socket.write(&frame) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.seal();
                return Sent::Broken;
            }
        };
        *written += taken;
        if taken == frame.len() {
            return Sent::Done;
        }
        frame.advance(taken);
        self.queue = Some(Box::new(Queue {
            bytes: frame.len(),
            first_is_partial: taken > 0,
            frames: VecDeque::from([frame]),
            waiter: None,
        }));
        Sent::Queued
    }

    /// Writes what waits until the socket is full or nothing waits.
    pub(crate) fn flush(&mut self, socket: &impl Direct, written: &mut usize) -> Flushed {
        let Some(queue) = &mut self.queue else {
            return Flushed::Empty;
        };
        while !queue.frames.is_empty() {
            let slices: Vec<IoSlice<'_>> = queue
                .frames
                .iter()
                .take(VECTORED)
                .map(|frame| IoSlice::new(frame))
                .collect();
            let taken = match socket.write_many(&slices) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Flushed::Full;
                }
                Err(_) => {
                    self.seal();
                    return Flushed::Broken;
                }
            };
            *written += taken;
            queue.drop_front(taken);
            queue.wake();
        }
        self.queue = None;
        Flushed::Empty
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    fn drop_front(&mut self, mut bytes: usize) {
        self.bytes -= bytes;
        while let Some(first) = self.frames.front_mut() {
            if first.len() > bytes {
                if bytes > 0 {
                    first.advance(bytes);
                    self.first_is_partial = true;
                }
                return;
            }
            bytes -= first.len();
            self.frames.pop_front();
            self.first_is_partial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A socket with room for so many bytes.
    #[derive(Default)]
    struct Room {
        left: Cell<usize>,
        got: RefCell<Vec<u8>>,
        broken: Cell<bool>,
    }

    impl Direct for Room {
        fn write(&self, frame: &[u8]) -> io::Result<usize> {
            if self.broken.get() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let taken = frame.len().min(self.left.get());
            if taken == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.left.set(self.left.get() - taken);
            self.got.borrow_mut().extend(&frame[..taken]);
            Ok(taken)
        }

        fn write_many(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = frames.iter().flat_map(|frame| frame.to_vec()).collect();
            self.write(&all)
        }
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn frames_go_straight_out_while_there_is_room() {
        let (mut out, room, mut written) = (Outbound::default(), Room::default(), 0);
        room.left.set(100);
        assert_eq!(out.send(&room, bytes("one"), 10, &mut written), Sent::Done);
        assert!(out.is_flushed(), "no queue was made");
        assert_eq!((written, room.got.borrow().as_slice()), (3, &b"one"[..]));
    }

    #[test]
    fn what_does_not_fit_waits_in_order_and_within_bounds() {
        let (mut out, room, mut written) = (Outbound::default(), Room::default(), 0);
        room.left.set(2);
        assert_eq!(
            out.send(&room, bytes("one"), 10, &mut written),
            Sent::Queued
        );
        assert_eq!(out.send(&room, bytes("two"), 10, &mut written), Sent::Done);
        assert_eq!(
            out.send(&room, bytes("three"), 10, &mut written),
            Sent::Done
        );
        assert_eq!(
            out.send(&room, bytes("four"), 10, &mut written),
            Sent::Overflow
        );
        assert_eq!(out.flush(&room, &mut written), Flushed::Full);
        room.left.set(4);
        assert_eq!(out.flush(&room, &mut written), Flushed::Full);
        room.left.set(100);
        assert_eq!(out.flush(&room, &mut written), Flushed::Empty);
        assert_eq!(room.got.borrow().as_slice(), b"onetwothree");
        assert_eq!(written, 11);
    }

    #[test]
    fn a_slow_connection_hears_why_it_is_closed_but_not_the_rest() {
        let (mut out, room, mut written) = (Outbound::default(), Room::default(), 0);
        room.left.set(1);
        assert_eq!(
            out.send(&room, bytes("one"), 10, &mut written),
            Sent::Queued
        );
        assert_eq!(out.send(&room, bytes("two"), 10, &mut written), Sent::Done);
        assert_eq!(
            out.finish(&room, bytes("close"), true, &mut written),
            Sent::Done
        );
        assert_eq!(
            out.send(&room, bytes("late"), 10, &mut written),
            Sent::Sealed,
            "nobody wants it"
        );
        room.left.set(100);
        assert_eq!(out.flush(&room, &mut written), Flushed::Empty);
        assert_eq!(room.got.borrow().as_slice(), b"oneclose");
    }

    #[test]
    fn a_whole_frame_in_the_queue_is_skipped_too() {
        let (mut out, room, mut written) = (Outbound::default(), Room::default(), 0);
        assert_eq!(
            out.send(&room, bytes("one"), 10, &mut written),
            Sent::Queued
        );
        out.finish(&room, bytes("close"), true, &mut written);
        room.left.set(100);
        assert_eq!(out.flush(&room, &mut written), Flushed::Empty);
        assert_eq!(room.got.borrow().as_slice(), b"close");
    }

    #[test]
    fn a_broken_socket_is_written_to_once() {
        let (mut out, room, mut written) = (Outbound::default(), Room::default(), 0);
        room.broken.set(true);
        assert_eq!(
            out.send(&room, bytes("one"), 10, &mut written),
            Sent::Broken
        );
        assert_eq!(
            out.send(&room, bytes("two"), 10, &mut written),
            Sent::Sealed
        );
        assert_eq!(
            out.finish(&room, bytes("close"), false, &mut written),
            Sent::Sealed
        );
    }
}
