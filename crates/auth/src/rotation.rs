//! What becomes of a presented refresh token: the decision table of the design, once, as a pure function.
//! The server and the model check both call it.
//!
//! Counters are clock counters: a new one is never lower than the time in milliseconds, so no restored
//! backup ever issues one twice. *Proven* is the highest counter that somebody showed us to
//! hold: by presenting its refresh token, or an access token that came with it. What is older than
//! that was superseded by something that did arrive; what is not older may be all that its owner
//! has.

use chatsdk_types::Millis;

/// How long after a rotation the token that it consumed is answered with the same successor, in
/// milliseconds: tabs and retries.
pub const GRACE: Millis = 60_000;

/// How old a request may be that says when it was sent, in milliseconds. A request that was delayed for
/// longer may speak of a counter that its owner has long left behind.
pub const STALE_AFTER: Millis = 15_000;

/// How far ahead of our clock a request may say that it was sent, in milliseconds.
pub const AHEAD: Millis = 5_000;

/// How long after the grace the consumed token of a request that says when it was sent is no evidence
/// yet, in milliseconds. Two tabs wake towards the end of the grace and send the same token: the first
/// is answered, has [`STALE_AFTER`] to save, and uses what it got; the second, which read the storage
/// before that, may be on its way for [`STALE_AFTER`] and the error of its clock. It comes after
/// the grace, behind a counter that is in use, and is honest. It is told to look again, and finds
/// what the first one saved; a thief is told the same and has gained nothing.
pub const SETTLING: Millis = 2 * STALE_AFTER + AHEAD;

/// What the rotation of a session hangs on: the row, as the table reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// The counter of the newest token.
    pub cur: i64,
    /// The counter that the newest one was exchanged for; 0 before the first rotation.
    pub prev: i64,
    /// The highest counter seen in use, as far as it is written; 0 before any was.
    pub proven: i64,
    /// When `cur` was issued.
    pub rotated_at: Millis,
    /// When the newest token expires.
    pub rt_exp: Millis,
    /// When the session ends whatever happens.
    pub abs_exp: Millis,
    /// How long a token lives unless it is exchanged, in milliseconds.
    pub idle_ttl: Millis,
    /// Whether the session was ended.
    pub revoked: bool,
}

impl Row {
    /// What the table reads of a session and its user. The sessions of a user who was deleted are ended,
    /// also one that was being minted at that moment.
    pub fn of(session: &chatsdk_store::Session, user: &chatsdk_store::User) -> Self {
        Self {
            cur: session.cur,
            prev: session.prev,
            proven: session.proven,
            rotated_at: session.rotated_at,
            rt_exp: session.rt_exp,
            abs_exp: session.abs_exp,
            idle_ttl: session.idle_ttl.as_millis(),
            revoked: session.revoked_at.is_some() || user.deleted_at.is_some(),
        }
    }
}

/// What an authentic token and its request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// The counter of the token.
    pub n: i64,
    /// The expiry in the token.
    pub exp: Millis,
    /// When the sender says that it sent the request, by its estimate of our clock.
    pub sent_at: Option<Millis>,
}

/// What else is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The highest counter of the session that memory saw in use; 0 where it saw none.
    pub seen: i64,
    /// Whether the session's user is banned.
    pub user_banned: bool,
    /// The current moment.
    pub now: Millis,
}

/// The answer. The first line of the table that fits decides, in the order of these variants; line 1,
/// the MAC, came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Line 2: sent at another time than now; or line 7 within [`SETTLING`]. Never fatal: the sender
    /// sets its clock, reads its storage and asks again.
    Stale,
    /// Line 3: there is no such session.
    Missing,
    /// Line 3: the session was ended.
    Revoked,
    /// Line 3: its user is banned.
    Banned,
    /// Line 4: neither the token nor the session's newest one is alive.
    Expired,
    /// Line 5: the token was exchanged a moment ago; the same successor again.
    Repeat(Successor),
    /// Line 6: a new pair, after this change of the row is durable.
    Rotate(Plan),
    /// Line 7: a later counter was seen in use. End the session, durably, then answer.
    Reused,
}

/// A refresh token that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    /// Its counter.
    pub n: i64,
    /// Its expiry.
    pub exp: Millis,
}

/// One rotation: what the row becomes where [`Plan::applies_to`] it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The counter of the successor: becomes `cur`.
    pub next: i64,
    /// The presented counter: becomes `prev`.
    pub prev: i64,
    /// The highest counter seen in use, the presented one included: becomes `proven`.
    pub proven: i64,
    /// The moment of the rotation: becomes `rotated_at`.
    pub rotated_at: Millis,
    /// When the successor expires: becomes `rt_exp`.
    pub rt_exp: Millis,
    /// `prev` presented again is answered with the successor that exists where that was issued at
    /// this moment or later.
    pub grace_since: Millis,
    /// What memory saw in use when this was decided.
    pub seen: i64,
}

impl Plan {
    /// Whether the row may still be changed: the condition of the UPDATE, because somebody else may
    /// have changed the row since it was read. Where it may not, read again and decide again.
    pub fn applies_to(&self, row: &Row) -> bool {
        let presented = self.prev;
        !row.revoked
            && row.cur < self.next
            && row.proven.max(self.seen) <= presented
            && !(row.prev == presented && row.rotated_at >= self.grace_since)
    }

    /// The row after the rotation.
    #[must_use]
    pub fn apply(&self, row: &Row) -> Row {
        Row {
            cur: self.next,
            prev: self.prev,
            proven: row.proven.max(self.prev),
            rotated_at: self.rotated_at,
            rt_exp: self.rt_exp,
            ..*row
        }
    }
}

/// What to answer to a token whose MAC is right, given the session's row, if there is one.
pub fn decide(row: Option<&Row>, presented: &Presented, known: &Known) -> Decision {
    let now = known.now;
    if let Some(sent_at) = presented.sent_at
        && !is_fresh(sent_at, now)
    {
        return Decision::Stale;
    }
    let Some(row) = row else {
        return Decision::Missing;
    };
    if row.revoked {
        return Decision::Revoked;
    }
    if known.user_banned {
        return Decision::Banned;
    }
    if now > row.abs_exp || now > row.rt_exp.max(presented.exp) {
        return Decision::Expired;
    }
    let grace_since = now.saturating_sub(GRACE);
    if presented.n == row.prev && row.rotated_at >= grace_since {
        return Decision::Repeat(Successor {
            n: row.cur,
            exp: row.rt_exp,
        });
    }
    if presented.n < row.proven.max(known.seen) {
        let settling = presented.sent_at.is_some()
            && presented.n == row.prev
            && row.rotated_at >= grace_since.saturating_sub(SETTLING);
        return if settling {
            Decision::Stale
        } else {
            Decision::Reused
        };
    }
    Decision::Rotate(Plan {
        next: row
            .cur
            .saturating_add(1)
            .max(presented.n.saturating_add(1))
            .max(now),
        prev: presented.n,
        proven: row.proven.max(presented.n),
        rotated_at: now,
        rt_exp: now.saturating_add(row.idle_ttl).min(row.abs_exp),
        grace_since,
        seen: known.seen,
    })
}

/// What the table gives for the row of an exchange, where its line 6 decides. Line 2 was looked at before,
/// because it needs no row.
pub fn line_6(
    exchange: &chatsdk_store::Exchange,
    session: &chatsdk_store::Session,
    user: &chatsdk_store::User,
) -> Option<chatsdk_store::Successor> {
    let presented = Presented {
        n: exchange.presented,
        exp: exchange.exp,
        sent_at: None,
    };
    let known = Known {
        seen: exchange.seen,
        user_banned: user.banned_at.is_some(),
        now: exchange.now,
    };
    match decide(Some(&Row::of(session, user)), &presented, &known) {
        Decision::Rotate(plan) => Some(chatsdk_store::Successor {
            next: plan.next,
            rt_exp: plan.rt_exp,
        }),
        _ => None,
    }
}

/// Line 2: whether a request that was sent at `sent_at` may be answered at `now`.
pub fn is_fresh(sent_at: Millis, now: Millis) -> bool {
    (-STALE_AFTER..=AHEAD).contains(&sent_at.saturating_sub(now))
}
