//! Many clients, and what may go wrong with the server that they share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chatsdk_auth::rotation::{self, Decision, Known, Presented, Row};
use chatsdk_types::Millis;

use crate::counts::Counts;
use crate::course::live;
use crate::device::Fault;
use crate::life::{DAY, MINUTE, SECOND};
use crate::lock;
use crate::rng::Rng;
use crate::server::Decide;

/// What is done wrong on purpose, to see whether a simulation notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Clients do not say when they sent a request.
    DoesNotSayWhen,
    /// Clients use pairs that were never saved.
    DoesNotSave,
    /// Clients present what they read when they began, not what stands in the storage.
    DoesNotRead,
    /// The server answers a token with the successor that it has for ever, so that thieves stay ahead.
    NeverCatches,
}

impl Sabotage {
    /// The table of a server that does it.
    pub(crate) fn table(self) -> Option<Decide> {
        match self {
            Self::NeverCatches => Some(never_catches),
            _ => None,
        }
    }

    /// The storage of a client that does it.
    pub(crate) fn storage(self) -> Option<Fault> {
        match self {
            Self::DoesNotSave => Some(Fault::Lies),
            Self::DoesNotRead => Some(Fault::Stale),
            _ => None,
        }
    }
}

fn never_catches(row: Option<&Row>, presented: &Presented, known: &Known) -> Decision {
    match (rotation::decide(row, presented, known), row) {
        (Decision::Reused, Some(row)) => Decision::Repeat(rotation::Successor {
            n: row.cur,
            exp: row.rt_exp,
        }),
        (other, _) => other,
    }
}

/// What may go wrong with the server.
#[derive(Debug, Clone, Copy)]
pub enum Incident {
    /// It dies, and is back after a while.
    Crash {
        /// After so many ms.
        down: Millis,
    },
    /// A backup is taken.
    Backup,
    /// The newest backup is restored.
    Restore {
        /// How long that takes, in ms.
        down: Millis,
    },
}

/// A run: the same again for the same values.
#[derive(Debug, Clone)]
pub struct Scheme {
    /// What all chance follows from.
    pub seed: u64,
    /// How many clients.
    pub clients: u64,
    /// For how many days.
    pub days: i64,
    /// What is done wrong.
    pub sabotage: Option<Sabotage>,
    /// What happens to the server, in ms from the start.
    pub incidents: Vec<(Millis, Incident)>,
}

impl Scheme {
    /// A run of so many clients for so many days.
    pub fn new(seed: u64, clients: u64, days: i64) -> Self {
        let mut rng = Rng::new(seed, 0);
        let mut incidents = Vec::new();
        let end = days * DAY;
        let mut every = |mean: Millis, incident: fn(&mut Rng) -> Incident| {
            let mut at = rng.wait(mean);
            while at < end {
                let what = incident(&mut rng);
                incidents.push((at, what));
                at += rng.wait(mean);
            }
        };
        every(2 * DAY, |rng| Incident::Crash {
            down: rng.between(SECOND, 5 * MINUTE),
        });
        every(DAY, |_| Incident::Backup);
        every(6 * DAY, |rng| Incident::Restore {
            down: rng.between(MINUTE, 30 * MINUTE),
        });
        Self {
            seed,
            clients,
            days,
            sabotage: None,
            incidents,
        }
    }

    /// The same with something done wrong.
    #[must_use]
    pub fn sabotaged(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = Some(sabotage);
        self
    }

    /// Lives all clients, on so many threads.
    pub fn run(&self, threads: usize) -> Counts {
        let next = AtomicU64::new(0);
        let total = Mutex::new(Counts::default());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let client = next.fetch_add(1, Ordering::Relaxed);
                        if client >= self.clients {
                            return;
                        }
                        let counts = live(self, client, false);
                        lock(&total).add(&counts);
                    }
                });
            }
        });
        lock(&total).clone()
    }
}
