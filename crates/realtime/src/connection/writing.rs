//! The way of frames to the client: held back until the connect reply is out, then straight to the wire; and how
//! it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chatsdk_protocol::{Disconnect, DisconnectCode, Push};
use tokio::net::TcpStream;

use crate::connection::{Connection, Phase, Wire};
use crate::lock;
use crate::outbound::{Flushed, Sent};
use crate::stats::Stats;

impl Connection {
    /// Sends what was held back.
    pub(super) fn stop_holding(self: &Arc<Self>) {
        loop {
            let held = {
                let mut state = lock(&self.state);
                if state.held.is_empty() {
                    // What comes from here on goes straight out, behind what was held.
                    self.holding.store(false, Ordering::Release);
                    return;
                }
                state.held_bytes = 0;
                std::mem::take(&mut state.held)
            };
            for (frame, count) in held {
                self.send_now(frame, count);
            }
        }
    }

    /// Sends `frame`, a whole frame of the transport. It is dropped when the connection is closing.
    pub(crate) fn send(self: &Arc<Self>, frame: Bytes) {
        self.send_many(frame, 1);
    }

    /// Sends `frame`, in which there are `count` messages.
    pub(crate) fn send_many(self: &Arc<Self>, frame: Bytes, count: usize) {
        if self.holding.load(Ordering::Acquire) {
            let mut state = lock(&self.state);
            if self.holding.load(Ordering::Acquire) {
                let bytes = state.held_bytes.saturating_add(frame.len());
                if bytes <= self.shared.config.max_queue_bytes {
                    state.held_bytes = bytes;
                    state.held.push((frame, count));
                    return;
                }
                drop(state);
                Stats::add(&self.shared.stats.overflowed, count);
                self.close(&DisconnectCode::Slow.into());
                return;
            }
        }
        self.send_now(frame, count);
    }

    /// Sends `frame`, also before what is held back: the replies to the client's own commands.
    pub(crate) fn send_now(self: &Arc<Self>, frame: Bytes, count: usize) {
        let stats = &self.shared.stats;
        let limit = self.shared.config.max_queue_bytes;
        let size = frame.len();
        let (sent, written) = match &self.wire {
            Wire::Socket { socket, outbound } => {
                let mut written = 0;
                let sent = lock(outbound).send(socket, frame, limit, &mut written);
                (sent, written)
            }
            Wire::Response(outlet) => match outlet.send(frame, limit) {
                Sent::Done => (Sent::Done, size),
                other => (other, 0),
            },
        };
        Stats::add(&stats.bytes_out, written);
        if matches!(sent, Sent::Done | Sent::Queued) {
            Stats::add(&stats.messages_out, count);
        }
        match sent {
            Sent::Done | Sent::Sealed => {}
            Sent::Queued => self.start_flushing(),
            Sent::Overflow => {
                Stats::add(&stats.overflowed, count);
                self.close(&DisconnectCode::Slow.into());
            }
            Sent::Broken => self.kill(Some(DisconnectCode::WriteError)),
        }
    }

    /// Sends `push`; a payload that cannot be said in the client's encoding ends the connection.
    pub(crate) fn push(self: &Arc<Self>, push: &Push) {
        match self.shape.encoding().push(push) {
            Ok(message) => self.send(self.shape.frame(&message)),
            Err(_) => {
                self.close(&DisconnectCode::InappropriateProtocol.into());
            }
        }
    }

    /// Ends the connection with `why`. `false` when it was ending already.
    pub(crate) fn close(self: &Arc<Self>, why: &Disconnect) -> bool {
        let skip_queue = why.code() == DisconnectCode::Slow.code();
        self.close_with(why.code(), self.shape.goodbye(why), skip_queue)
    }

    /// Ends the connection with the close frame `last`; `code` is what is counted.
    pub(crate) fn close_with(self: &Arc<Self>, code: u16, last: Bytes, skip_queue: bool) -> bool {
        {
            let mut state = lock(&self.state);
            if state.phase == Phase::Closing {
                return false;
            }
            state.phase = Phase::Closing;
            state.deadline = self.shared.after(self.shared.config.close_wait);
            self.stand_in_line(&mut state);
        }
        self.shared.stats.closed(code);
        let (sent, written) = match &self.wire {
            Wire::Socket { socket, outbound } => {
                let mut written = 0;
                let sent = lock(outbound).finish(socket, last, skip_queue, &mut written);
                (sent, written)
            }
            Wire::Response(outlet) => {
                let size = last.len();
                match outlet.finish(last, skip_queue) {
                    Sent::Done => (Sent::Done, size),
                    other => (other, 0),
                }
            }
        };
        Stats::add(&self.shared.stats.bytes_out, written);
        if matches!(sent, Sent::Done | Sent::Queued) {
            Stats::add(&self.shared.stats.messages_out, 1);
        }
        match sent {
            Sent::Queued => self.start_flushing(),
            Sent::Broken => self.kill(None),
            Sent::Done | Sent::Sealed | Sent::Overflow => {}
        }
        true
    }

    /// Breaks the socket off, which wakes its reader and its flusher; `code` is counted unless the
    /// connection was closing.
    pub(crate) fn kill(&self, code: Option<DisconnectCode>) {
        let was = std::mem::replace(&mut lock(&self.state).phase, Phase::Closing);
        if let Some(code) = code
            && was != Phase::Closing
        {
            self.shared.stats.closed(code.code());
        }
        match &self.wire {
            Wire::Socket { socket, outbound } => {
                lock(outbound).seal();
                shut(socket, std::net::Shutdown::Both);
            }
            Wire::Response(outlet) => outlet.kill(),
        }
    }

    /// Tells the other side that nothing more will come, if everything is out.
    pub(crate) fn end_writing(&self) {
        if let Wire::Socket { socket, outbound } = &self.wire
            && lock(outbound).is_flushed()
        {
            shut(socket, std::net::Shutdown::Write);
        }
    }

    /// Waits until no more than `limit` bytes wait for the client, or it is closed.
    pub(crate) async fn room(&self, limit: usize) {
        std::future::poll_fn(|context| match &self.wire {
            Wire::Socket { outbound, .. } => lock(outbound).poll_room(limit, context),
            Wire::Response(outlet) => outlet.poll_room(limit, context),
        })
        .await;
    }

    /// Bytes that wait for the client.
    pub(crate) fn waiting(&self) -> usize {
        match &self.wire {
            Wire::Socket { outbound, .. } => lock(outbound).waiting(),
            Wire::Response(outlet) => outlet.waiting(),
        }
    }

    /// Starts the task that empties the queue. There is at most one: a queue is made once and goes
    /// with its task.
    fn start_flushing(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        self.shared.spawn(async move {
            let Wire::Socket { socket, outbound } = &connection.wire else {
                return;
            };
            loop {
                let writable =
                    tokio::time::timeout(connection.shared.config.write_timeout, socket.writable());
                match writable.await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => {
                        return connection.kill(Some(DisconnectCode::WriteError));
                    }
                }
                let mut written = 0;
                let flushed = lock(outbound).flush(socket, &mut written);
                Stats::add(&connection.shared.stats.bytes_out, written);
                match flushed {
                    Flushed::Empty => return,
                    Flushed::Full => {}
                    Flushed::Broken => {
                        return connection.kill(Some(DisconnectCode::WriteError));
                    }
                }
                tokio::task::consume_budget().await;
            }
        });
    }
}

fn shut(socket: &TcpStream, how: std::net::Shutdown) {
    // An error means that the other side was faster.
    if let Err(error) = socket2::SockRef::from(socket).shutdown(how) {
        tracing::trace!(%error, "a socket was already shut");
    }
}
