//! What the two sides go by.

use chatsdk_auth::rotation::{self, Decision, GRACE, Known, Plan, Presented, Row, SETTLING};

/// How the server decides and what it remembers.
#[derive(Clone, Copy)]
pub struct Server {
    /// The decision table.
    pub decide: fn(Option<&Row>, &Presented, &Known) -> Decision,
    /// Whether the change of a decided rotation may still be made.
    pub applies: fn(&Plan, &Row) -> bool,
    /// The row after it.
    pub apply: fn(&Plan, &Row) -> Row,
    /// What memory knows after counter `rc` was seen in use.
    pub see: fn(&Row, memory: i64, rc: i64) -> i64,
    /// Whether counters are moments, and so are shifted as time passes.
    pub clock_counters: bool,
}

impl Server {
    /// The product's own.
    pub const OURS: Self = Self {
        decide: rotation::decide,
        applies: Plan::applies_to,
        apply: Plan::apply,
        see: |_, memory, rc| memory.max(rc),
        clock_counters: true,
    };
}

/// What the clients do. Each of these is a rule that the table relies on.
#[derive(Clone, Copy)]
pub struct Client {
    /// Requests say when they were sent.
    pub says_when: bool,
    /// The moment is taken before the storage is read, not after.
    pub stamp_first: bool,
    /// No refresh until longer than this after the stored pair was saved, in milliseconds.
    pub floor: i64,
    /// The floor is looked at in the same reading of the storage that the token is taken from, not when
    /// the tab decides to refresh.
    pub floor_at_read: bool,
    /// The age of a reply is looked at when it is saved, under the lock, not when it arrives.
    pub age_at_save: bool,
    /// An access token is not used before its pair is saved.
    pub save_first: bool,
    /// A stored pair that is newer is not overwritten.
    pub compare: bool,
    /// How far ahead of the server's clock a client's estimate of it may be, in milliseconds.
    pub ahead: i64,
    /// The floor counts from the moment of saving, not from the moment when the reply arrived.
    pub floor_from_save: bool,
}

impl Client {
    /// The rules of the design.
    pub const OURS: Self = Self {
        says_when: true,
        stamp_first: true,
        floor: rotation::STALE_AFTER,
        floor_at_read: true,
        age_at_save: true,
        save_first: true,
        compare: true,
        ahead: 0,
        floor_from_save: true,
    };
}

/// How long ago is long ago, in milliseconds: past every bound that anything is compared with.
pub const LONG: i64 = GRACE + SETTLING + 1_000;
