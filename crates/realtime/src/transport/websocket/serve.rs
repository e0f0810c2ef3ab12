//! The task of a connection: reads until the other side or the socket is done.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chatsdk_protocol::DisconnectCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::commands::{Opening, Session};
use crate::connection::{Connection, Phase, Wire};
use crate::engine::Engine;
use crate::stats::Stats;
use crate::transport::Shape;
use crate::transport::gone::Gone;
use crate::transport::timed::TimedStream;
use crate::transport::websocket::frame::{self, Opcode};
use crate::transport::websocket::message::{Assembler, Event};

/// How much is read at once.
const SCRATCH: usize = 16 * 1024;

thread_local! {
    /// The read buffer of a worker thread, shared by all connections that it serves: an idle one has
    /// none of its own.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Waits for the upgrade and serves the connection to its end.
pub(super) async fn serve<A: Authority>(
    engine: Engine<A>,
    upgrading: OnUpgrade,
    opening: Opening,
    shape: Shape,
) {
    // Boxed, so that what only the beginning needs is not carried through the idle years.
    let Some((connection, early)) = Box::pin(begin(&engine, upgrading, shape)).await else {
        return;
    };
    let _gone = Gone(Arc::clone(&connection));
    let Some(socket) = connection.socket() else {
        return;
    };
    let mut session = Session::new(engine, Arc::clone(&connection), opening);
    // Copied, and mostly empty: even an empty slice would keep the HTTP connection's whole buffer.
    let pending = early.to_vec();
    drop(early);
    let mut reader = Reader {
        pending,
        assembler: Assembler::default(),
        broken: false,
    };
    loop {
        match reader.step(&connection, socket) {
            Step::Message(message) => Box::pin(session.obey(&message)).await,
            Step::Again => {}
            Step::Wait => {
                if socket.readable().await.is_err() {
                    return;
                }
            }
            Step::Gone => return,
        }
        // A client that never stops talking must not keep the others from being heard.
        tokio::task::consume_budget().await;
    }
}

/// The connection, and what the client sent together with its request.
async fn begin<A: Authority>(
    engine: &Engine<A>,
    upgrading: OnUpgrade,
    shape: Shape,
) -> Option<(Arc<Connection>, Bytes)> {
    let upgraded = match upgrading.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a client left during its upgrade");
            return None;
        }
    };
    let (socket, read_buf) = match upgraded.downcast::<TokioIo<TimedStream>>() {
        Ok(parts) => (parts.io.into_inner().into_inner(), parts.read_buf),
        Err(upgraded) => {
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                tracing::error!("an upgrade was asked for on something that is no TCP socket");
                return None;
            };
            (parts.io.into_inner(), parts.read_buf)
        }
    };
    // The host may have accepted it in another runtime: from here on it belongs to the engine's.
    let socket = socket.into_std().and_then(|socket| {
        socket.set_nodelay(true)?;
        TcpStream::from_std(socket)
    });
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => {
            tracing::debug!(%error, "a client left during its upgrade");
            return None;
        }
    };
    let shared = engine.shared();
    let wire = Wire::Socket {
        socket,
        outbound: Mutex::default(),
    };
    let connection = Connection::new(wire, shape, shared);
    shared.stats.open.fetch_add(1, Ordering::Relaxed);
    if !shared.hub.open(&connection) {
        connection.close(&DisconnectCode::Shutdown.into());
    }
    Some((connection, read_buf))
}

/// What to do after a step.
enum Step {
    /// A message is to be obeyed.
    Message(Vec<u8>),
    /// There is more to look at.
    Again,
    /// The socket has nothing now.
    Wait,
    /// It is over.
    Gone,
}

struct Reader {
    /// The beginning of a frame whose rest has not arrived, or what follows a message that is being
    /// obeyed. Without memory of its own while idle.
    pending: Vec<u8>,
    assembler: Assembler,
    /// The client broke the framing: whatever else it sends means nothing.
    broken: bool,
}

impl Reader {
    /// Reads once, without waiting.
    fn step(&mut self, connection: &Arc<Connection>, socket: &TcpStream) -> Step {
        if !self.pending.is_empty() {
            let mut pending = std::mem::take(&mut self.pending);
            let (step, used) = self.look(connection, &mut pending);
            if used < pending.len() {
                pending.drain(..used);
                self.pending = pending;
            }
            if let Some(step) = step {
                return step;
            }
        }
        READ.with_borrow_mut(|buffer| {
            let read = match socket.try_read(buffer) {
                Ok(0) => return Step::Gone,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Step::Wait,
                Err(_) => return Step::Gone,
            };
            Stats::add(&connection.shared.stats.bytes_in, read);
            let bytes = &mut buffer[..read];
            if !self.pending.is_empty() {
                self.pending.extend_from_slice(bytes);
                return Step::Again;
            }
            let (step, used) = self.look(connection, bytes);
            if used < read {
                self.pending = bytes[used..].to_vec();
            }
            step.unwrap_or(Step::Again)
        })
    }

    /// Looks at the frames in `bytes`, up to the first that is for the session to obey; answers how
    /// many bytes are done with.
    fn look(&mut self, connection: &Arc<Connection>, bytes: &mut [u8]) -> (Option<Step>, usize) {
        let limit = connection.shared.config.max_message_bytes;
        let (text, deflate) = {
            let shape = connection.shape();
            (shape.is_json(), shape.is_deflated())
        };
        let mut used = 0;
        loop {
            if self.broken {
                return (None, bytes.len());
            }
            let (event, size) = match self
                .assembler
                .take(&mut bytes[used..], limit, text, deflate)
            {
                Ok(Some(taken)) => taken,
                Ok(None) => return (None, used),
                Err(violation) => {
                    tracing::debug!(%violation, "a client broke the WebSocket protocol");
                    let reason = violation.to_string();
                    let close = frame::close(violation.code(), &reason);
                    connection.close_with(violation.code(), close, false);
                    // So that the client hangs up, and the socket ends in order.
                    connection.end_writing();
                    self.broken = true;
                    continue;
                }
            };
            used += size;
            let closing = connection.phase() == Phase::Closing;
            match event {
                Event::Nothing => {}
                Event::Close(code) => {
                    // The answer, unless this is the answer to ours. Then the server hangs up first.
                    let answer = code.map_or_else(
                        || frame::encode(Opcode::Close, &[]),
                        |code| frame::close(code, ""),
                    );
                    connection.close_with(DisconnectCode::ConnectionClosed.code(), answer, false);
                    return (Some(Step::Gone), used);
                }
                Event::Ping(_) | Event::Message(_) if closing => {}
                Event::Ping(payload) => connection.send(frame::encode(Opcode::Pong, payload)),
                Event::Message(message) => {
                    Stats::add(&connection.shared.stats.messages_in, 1);
                    // The most frequent message by far needs no task to wait for anything.
                    if *message != *connection.shape().encoding().ping() {
                        return (Some(Step::Message(message.into_owned())), used);
                    }
                    if !connection.pong() {
                        connection.close(&DisconnectCode::BadRequest.into());
                    }
                }
            }
        }
    }
}
