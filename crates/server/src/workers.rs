//! The threads that serve connections: one a core, each with a reactor of its own.
//!
//! A connection stays on the thread that it was given, until it becomes a WebSocket: those live in the
//! runtime of the engine, whose threads wait for no disk. Where threads share one reactor, as in the runtime
//! that everything else runs in, each request of a quiet server wakes two of them, one to answer and one
//! to watch in its place, and the next request finds the first on the wrong core.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How many threads with database connections of their own there are at most.
const MOST_WITH_CONNECTIONS: usize = 8;

/// Threads that serve connections. Clones share them; they end when the last is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Workers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    threads: Vec<Handle>,
    next: AtomicUsize,
    _stop: DropGuard,
}

impl Workers {
    /// Starts a thread for each one of the runtime that this is called in. Where that has only the
    /// caller's, as in tests, connections are served by it.
    pub(crate) fn start() -> io::Result<Self> {
        let here = Handle::current();
        if here.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Ok(Self::shared());
        }
        // Also ends those that were started, where one cannot be.
        let stop = CancellationToken::new().drop_guard();
        let threads = (0..here.metrics().num_workers())
            .map(|_| thread(stop.token().clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self::of(threads, stop))
    }

    /// The threads for a server whose database is on a server too: as [`Workers::start`], and on a machine
    /// with many cores those of the runtime that this is called in. Each thread of one's own has database
    /// connections of its own, because it would wait for another's at each query, and the database
    /// server has only so many to give.
    pub(crate) fn for_database_server() -> io::Result<Self> {
        if Handle::current().metrics().num_workers() > MOST_WITH_CONNECTIONS {
            return Ok(Self::shared());
        }
        Self::start()
    }

    fn shared() -> Self {
        Self::of(
            vec![Handle::current()],
            CancellationToken::new().drop_guard(),
        )
    }

    fn of(threads: Vec<Handle>, stop: DropGuard) -> Self {
        Self(Arc::new(Inner {
            threads,
            next: AtomicUsize::new(0),
            _stop: stop,
        }))
    }

    /// Hands `stream` to the next thread, where `serve` makes it a task that `tasks` tracks.
    pub(crate) fn spawn<F>(
        &self,
        stream: TcpStream,
        tasks: &TaskTracker,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed);
        let thread = &self.0.threads[turn % self.0.threads.len()];
        // The reactor that it was accepted in lets go of it, and that of the thread takes it.
        let stream = stream.into_std()?;
        tasks.spawn_on(
            async move {
                match TcpStream::from_std(stream) {
                    Ok(stream) => serve(stream).await,
                    Err(error) => tracing::warn!(%error, "a connection could not be served"),
                }
            },
            thread,
        );
        Ok(())
    }
}

fn thread(stop: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("connections".to_owned())
        .spawn(move || runtime.block_on(stop.cancelled()))?;
    Ok(handle)
}
