//! Virtual time, and the processes that live in it: a small executor, on one thread, that is never early
//! and never waits.
//!
//! Two clocks move: true time, which the server and the network go by, and the device's monotonic clock,
//! which stands still while the device sleeps. Timers of processes hang on the second.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use chatsdk_types::Millis;

use crate::lock;

/// The name of a process.
pub type ProcId = usize;

type Life = Pin<Box<dyn Future<Output = ()> + Send>>;
type Happening = Box<dyn FnOnce() + Send>;

/// Time, processes, and what is to happen.
pub struct World {
    inner: Mutex<Inner>,
    ready: Arc<Mutex<VecDeque<ProcId>>>,
}

struct Inner {
    now: Millis,
    mono: Millis,
    seq: u64,
    timers: BinaryHeap<Reverse<At<Timer>>>,
    happenings: BinaryHeap<Reverse<At<Happening>>>,
    processes: Vec<Process>,
}

struct Timer {
    waker: Waker,
    alive: Arc<AtomicBool>,
}

#[derive(Default)]
struct Process {
    life: Option<Life>,
    frozen: bool,
    /// Woken while it was frozen.
    missed: bool,
    /// To be dropped when its turn is over.
    killed: bool,
}

/// Something at a moment; of equal moments, what was asked for first comes first.
struct At<T> {
    moment: Millis,
    seq: u64,
    what: T,
}

impl<T> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.moment, self.seq) == (other.moment, other.seq)
    }
}
impl<T> Eq for At<T> {}
impl<T> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for At<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.moment, self.seq).cmp(&(other.moment, other.seq))
    }
}

struct ProcessWaker {
    process: ProcId,
    ready: Arc<Mutex<VecDeque<ProcId>>>,
}

impl Wake for ProcessWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).push_back(self.process);
    }
}

impl World {
    /// A world at the moment `now`, in ms since the Unix epoch.
    pub fn at(now: Millis) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                now,
                mono: 1_000,
                seq: 0,
                timers: BinaryHeap::new(),
                happenings: BinaryHeap::new(),
                processes: Vec::new(),
            }),
            ready: Arc::default(),
        })
    }

    /// True time, in ms since the Unix epoch.
    pub fn now(&self) -> Millis {
        lock(&self.inner).now
    }

    /// The device's monotonic clock, in ms.
    pub fn mono(&self) -> Millis {
        lock(&self.inner).mono
    }

    /// A name for a process that is about to begin.
    pub fn reserve(&self) -> ProcId {
        let mut inner = lock(&self.inner);
        inner.processes.push(Process::default());
        inner.processes.len() - 1
    }

    /// Begins a process.
    pub fn begin(&self, process: ProcId, life: impl Future<Output = ()> + Send + 'static) {
        lock(&self.inner).processes[process].life = Some(Box::pin(life));
        lock(&self.ready).push_back(process);
    }

    /// Ends a process where it stands, at whatever it awaits. One that is at work goes on to its next
    /// await.
    pub fn kill(&self, process: ProcId) {
        let life = {
            let mut inner = lock(&self.inner);
            let slot = &mut inner.processes[process];
            slot.killed = true;
            slot.life.take()
        };
        drop(life);
    }

    /// Whether a process lives.
    pub fn lives(&self, process: ProcId) -> bool {
        let inner = lock(&self.inner);
        inner.processes[process].life.is_some()
    }

    /// A frozen process gets no time.
    pub fn freeze(&self, process: ProcId, frozen: bool) {
        let mut inner = lock(&self.inner);
        let slot = &mut inner.processes[process];
        slot.frozen = frozen;
        if !frozen && std::mem::take(&mut slot.missed) {
            lock(&self.ready).push_back(process);
        }
    }

    /// Waits for `ms` of the monotonic clock.
    pub fn sleep(self: &Arc<Self>, ms: Millis) -> Sleep {
        Sleep {
            world: self.clone(),
            until: self.mono() + ms.max(0),
            alive: None,
        }
    }

    /// Does `what` after `ms` of true time, asleep or awake.
    pub fn after(&self, ms: Millis, what: impl FnOnce() + Send + 'static) {
        let mut inner = lock(&self.inner);
        inner.seq += 1;
        let event = At {
            moment: inner.now + ms.max(0),
            seq: inner.seq,
            what: Box::new(what) as Happening,
        };
        inner.happenings.push(Reverse(event));
    }

    /// Lets everything that needs no time happen.
    pub fn settle(&self) {
        loop {
            let Some(process) = lock(&self.ready).pop_front() else {
                return;
            };
            self.poll(process);
        }
    }

    /// Time passes, and what is due happens at its moment.
    pub fn advance(&self, ms: Millis) {
        self.pass(ms, false);
    }

    /// The device sleeps: its monotonic clock and its timers stand still.
    pub fn sleep_device(&self, ms: Millis) {
        self.pass(ms, true);
    }

    fn pass(&self, ms: Millis, asleep: bool) {
        if !asleep {
            self.settle();
        }
        let end = self.now() + ms;
        loop {
            let due = {
                let mut inner = lock(&self.inner);
                let timer = inner
                    .timers
                    .peek()
                    .filter(|_| !asleep)
                    .map(|Reverse(timer)| inner.now + (timer.moment - inner.mono).max(0));
                let event = inner.happenings.peek().map(|Reverse(event)| event.moment);
                let next = [timer, event].into_iter().flatten().min();
                let Some(next) = next.filter(|next| *next <= end) else {
                    inner.pass_to(end, asleep);
                    break;
                };
                let next = next.max(inner.now);
                inner.pass_to(next, asleep);
                if event.is_some_and(|event| event <= next) {
                    inner
                        .happenings
                        .pop()
                        .map(|Reverse(event)| Due::Event(event.what))
                } else {
                    inner
                        .timers
                        .pop()
                        .map(|Reverse(timer)| Due::Timer(timer.what))
                }
            };
            match due {
                Some(Due::Event(event)) => event(),
                Some(Due::Timer(timer)) if timer.alive.load(Ordering::Relaxed) => {
                    timer.waker.wake();
                }
                _ => {}
            }
            if !asleep {
                self.settle();
            }
        }
        if !asleep {
            self.settle();
        }
    }

    fn poll(&self, process: ProcId) {
        let life = {
            let mut inner = lock(&self.inner);
            let slot = &mut inner.processes[process];
            if slot.frozen {
                slot.missed = true;
                return;
            }
            slot.life.take()
        };
        let Some(mut life) = life else { return };
        let waker = Waker::from(Arc::new(ProcessWaker {
            process,
            ready: self.ready.clone(),
        }));
        let done = life
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let mut inner = lock(&self.inner);
        let slot = &mut inner.processes[process];
        if !done && !slot.killed {
            slot.life = Some(life);
            return;
        }
        drop(inner);
        drop(life);
    }
}

enum Due {
    Event(Happening),
    Timer(Timer),
}

impl Inner {
    fn pass_to(&mut self, now: Millis, asleep: bool) {
        if !asleep {
            self.mono += now - self.now;
        }
        self.now = now;
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// A wait for the monotonic clock.
#[derive(Debug)]
pub struct Sleep {
    world: Arc<World>,
    until: Millis,
    alive: Option<Arc<AtomicBool>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.world.inner);
        if inner.mono >= self.until {
            return Poll::Ready(());
        }
        let alive = Arc::new(AtomicBool::new(true));
        inner.seq += 1;
        let timer = At {
            moment: self.until,
            seq: inner.seq,
            what: Timer {
                waker: context.waker().clone(),
                alive: alive.clone(),
            },
        };
        inner.timers.push(Reverse(timer));
        drop(inner);
        if let Some(before) = self.alive.replace(alive) {
            before.store(false, Ordering::Relaxed);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(alive) = &self.alive {
            alive.store(false, Ordering::Relaxed);
        }
    }
}
