//! The state of the model.
//!
//! The present is always [`NOW`]; when time passes, everything else moves into the past. Moments longer ago
//! than any rule looks back are brought nearer, in their order, and so are counters.

use chatsdk_auth::rotation::{GRACE, Plan, Row, SETTLING, STALE_AFTER};

use super::Session;
use super::rules::LONG;

/// The present, in milliseconds.
pub const NOW: i64 = 1_000_000_000_000;

/// An expiry that is never reached: expiry has no part in this model.
pub const FAR: i64 = 2 * NOW;

/// One tab of the browser, or one process of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tab {
    /// Closed, or open and content: its memory holds nothing that the storage does not.
    Rests,
    /// It has decided to refresh and taken the time. With the rules the other way round it has read the
    /// storage instead.
    Begun { stamp: i64, read: Option<i64> },
    /// Its request is on its way.
    Waits { stamp: i64, n: i64 },
    /// The server has read the row for it and decided to rotate; the write is still to come.
    Decided { stamp: i64, n: i64, plan: usize },
    /// The server has answered with this counter; the reply is on its way, or was received and is not
    /// saved yet.
    Answered { stamp: i64, n: i64 },
    /// Received at that moment and not saved yet; told apart only where a rule looks at the moment.
    Received { stamp: i64, n: i64, at: i64 },
}

/// A request whose sender no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stray {
    pub stamp: i64,
    pub n: i64,
}

/// The one who copied a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thief {
    /// The newest counter that it holds.
    pub n: i64,
    /// The counter that it copied.
    pub stolen: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    Victim,
    Thief,
}

/// What the property about thieves has to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watch {
    /// Who presented last since the theft.
    pub last: Option<Party>,
    /// How often that changed, up to two.
    pub changes: u8,
    /// When each last presented.
    pub victim_at: i64,
    pub thief_at: i64,
    /// The counter that the victim was given and has not used yet; 0 for none.
    pub unused: i64,
    /// One of the conditions under which a thief may go unnoticed has held.
    pub excused: bool,
}

impl Watch {
    /// Whether there is nothing left to be found out about a thief.
    pub fn excused_for(&self, model: &Session) -> bool {
        model.thief && self.excused
    }

    /// Both were active by turns, none of the excuses holds, and the session lives.
    pub fn got_away(&self, world: &World) -> bool {
        self.changes >= 2 && !self.excused && !world.row.revoked
    }
}

/// A rotation that was decided on and is not written yet. Only what differs between plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pending {
    pub next: i64,
    pub rotated_at: i64,
    pub grace_since: i64,
    pub seen: i64,
}

impl Pending {
    pub fn of(plan: &Plan) -> Self {
        Self {
            next: plan.next,
            rotated_at: plan.rotated_at,
            grace_since: plan.grace_since,
            seen: plan.seen,
        }
    }

    pub fn plan(&self, n: i64) -> Plan {
        Plan {
            next: self.next,
            prev: n,
            // What it says of `proven` the row decides when it is applied.
            proven: n,
            rotated_at: self.rotated_at,
            rt_exp: FAR,
            grace_since: self.grace_since,
            seen: self.seen,
        }
    }
}

/// Everything, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The session's row, durable.
    pub row: Row,
    /// The highest counter seen in use that is not written; 0 for none.
    pub memory: i64,
    /// A backup of the row.
    pub backup: Option<Row>,
    /// How often one was restored.
    pub restored: u8,
    /// A revocation was answered.
    pub revoked: bool,
    /// The newest pair in the browser's storage, and when it was saved.
    pub stored: (i64, i64),
    /// The tabs, in order: they are all alike.
    pub tabs: Vec<Tab>,
    /// Decided rotations, by tab. Not yet written.
    pub pending: Vec<Pending>,
    pub strays: Vec<Stray>,
    pub thief: Option<Thief>,
    pub watch: Watch,
    /// The highest counter ever issued.
    pub issued: i64,
    pub told_reused: bool,
    pub worked_after_revoke: bool,
    pub issued_twice: bool,
}

impl World {
    /// A session that was minted a while ago and not yet refreshed.
    pub fn minted(model: &Session) -> Self {
        let at = NOW - LONG;
        let cur = if model.server.clock_counters { at } else { 1 };
        let row = Row {
            cur,
            prev: 0,
            proven: 0,
            rotated_at: at,
            rt_exp: FAR,
            abs_exp: FAR,
            idle_ttl: FAR,
            revoked: false,
        };
        Self {
            row,
            memory: 0,
            backup: None,
            restored: 0,
            revoked: false,
            stored: (cur, at),
            tabs: vec![Tab::Rests; model.tabs],
            pending: Vec::new(),
            strays: Vec::new(),
            thief: None,
            watch: Watch {
                last: None,
                changes: 0,
                victim_at: at,
                thief_at: at,
                unused: 0,
                excused: false,
            },
            issued: cur,
            told_reused: false,
            worked_after_revoke: false,
            issued_twice: false,
        }
        .settled(model)
    }

    /// The same world that much later.
    pub fn later(mut self, model: &Session, by: i64) -> Self {
        self.each_moment(|moment| *moment -= by);
        if model.server.clock_counters {
            self.each_counter(|counter| {
                if *counter != 0 {
                    *counter -= by;
                }
            });
        }
        self
    }

    /// The one way to write this world down: what can have no effect any more is forgotten, what is
    /// alike is sorted, what is long ago is brought near.
    pub fn settled(mut self, model: &Session) -> Self {
        let too_old = |stamp: i64| NOW - stamp > STALE_AFTER;
        // The client looks at its own clock, which is as wrong as it was.
        let too_late = |stamp: i64| NOW + model.client.ahead - stamp > STALE_AFTER;
        if model.client.says_when {
            // Such a request is answered 408 and changes nothing.
            self.strays.retain(|stray| !too_old(stray.stamp));
        }
        for tab in &mut self.tabs {
            match *tab {
                // Where the moment is taken last there is nothing yet that can grow old.
                Tab::Begun { stamp, read: None } if model.client.says_when && too_old(stamp) => {
                    *tab = Tab::Rests;
                }
                Tab::Waits { stamp, .. } if model.client.says_when && too_old(stamp) => {
                    *tab = Tab::Rests;
                }
                Tab::Answered { stamp, .. } if too_late(stamp) => *tab = Tab::Rests,
                Tab::Received { stamp, .. } if too_late(stamp) && model.client.age_at_save => {
                    *tab = Tab::Rests;
                }
                _ => {}
            }
        }
        if !model.thief {
            self.watch.victim_at = NOW - LONG;
            self.watch.unused = 0;
        }
        self.bring_near(model);
        // Plans are numbered, so the tabs that have one are renumbered after sorting.
        let pending = std::mem::take(&mut self.pending);
        self.tabs.sort_by_key(|tab| match *tab {
            Tab::Decided { stamp, n, plan } => (3, stamp, n, Some(pending[plan])),
            Tab::Rests => (0, 0, 0, None),
            Tab::Begun { stamp, read } => (1, stamp, read.unwrap_or(0), None),
            Tab::Waits { stamp, n } => (2, stamp, n, None),
            Tab::Answered { stamp, n } => (4, stamp, n, None),
            Tab::Received { stamp, n, at } => (5, stamp, n + at, None),
        });
        for tab in &mut self.tabs {
            if let Tab::Decided { plan, .. } = tab {
                self.pending.push(pending[*plan]);
                *plan = self.pending.len() - 1;
            }
        }
        self.strays.sort_unstable();
        self
    }

    fn bring_near(&mut self, model: &Session) {
        // Moments: what is more than any rule looks back is told apart by its order only.
        let mut old = Vec::new();
        self.each_moment(|moment| {
            if NOW - *moment > GRACE + SETTLING {
                old.push(*moment);
            }
        });
        old.sort_unstable();
        old.dedup();
        self.each_moment(|moment| {
            if let Ok(rank) = old.binary_search(moment) {
                *moment = NOW - LONG - (old.len() - 1 - rank) as i64;
            }
        });
        if !model.server.clock_counters {
            return;
        }
        // Counters: those of the past by their order, those of this very moment likewise, with room
        // between them for what is issued at this moment.
        let (mut past, mut present) = (Vec::new(), Vec::new());
        self.each_counter(|counter| match *counter {
            0 => {}
            past_one if past_one < NOW => past.push(past_one),
            present_one => present.push(present_one),
        });
        for counters in [&mut past, &mut present] {
            counters.sort_unstable();
            counters.dedup();
        }
        self.each_counter(|counter| {
            if let Ok(rank) = past.binary_search(counter) {
                *counter = NOW - 1_000_000 + 1000 * rank as i64;
            } else if let Ok(rank) = present.binary_search(counter) {
                *counter = NOW + 1000 * rank as i64;
            }
        });
    }

    fn each_moment(&mut self, mut change: impl FnMut(&mut i64)) {
        change(&mut self.row.rotated_at);
        if let Some(backup) = &mut self.backup {
            change(&mut backup.rotated_at);
        }
        change(&mut self.stored.1);
        for tab in &mut self.tabs {
            match tab {
                Tab::Rests => {}
                Tab::Begun { stamp, .. }
                | Tab::Waits { stamp, .. }
                | Tab::Decided { stamp, .. }
                | Tab::Answered { stamp, .. } => change(stamp),
                Tab::Received { stamp, at, .. } => {
                    change(stamp);
                    change(at);
                }
            }
        }
        for pending in &mut self.pending {
            change(&mut pending.rotated_at);
            change(&mut pending.grace_since);
        }
        for stray in &mut self.strays {
            change(&mut stray.stamp);
        }
        change(&mut self.watch.victim_at);
        change(&mut self.watch.thief_at);
    }

    fn each_counter(&mut self, mut change: impl FnMut(&mut i64)) {
        for row in std::iter::once(&mut self.row).chain(&mut self.backup) {
            change(&mut row.cur);
            change(&mut row.prev);
            change(&mut row.proven);
        }
        change(&mut self.memory);
        change(&mut self.stored.0);
        for tab in &mut self.tabs {
            match tab {
                Tab::Rests | Tab::Begun { read: None, .. } => {}
                Tab::Begun { read: Some(n), .. }
                | Tab::Waits { n, .. }
                | Tab::Decided { n, .. }
                | Tab::Answered { n, .. }
                | Tab::Received { n, .. } => change(n),
            }
        }
        for pending in &mut self.pending {
            change(&mut pending.next);
            change(&mut pending.seen);
        }
        for stray in &mut self.strays {
            change(&mut stray.n);
        }
        if let Some(thief) = &mut self.thief {
            change(&mut thief.n);
            change(&mut thief.stolen);
        }
        change(&mut self.watch.unused);
        change(&mut self.issued);
    }
}
