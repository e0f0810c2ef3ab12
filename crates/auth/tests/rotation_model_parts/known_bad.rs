//! Earlier rules for the server. Each was taken for good once; the model finds what is wrong with it.

use chatsdk_auth::rotation::{self, Decision, Known, Plan, Presented, Row, Successor};

use super::rotation_model_parts::rules::Server;

/// Ours without the patience of `SETTLING`: what is behind is evidence as soon as the grace is over.
pub(crate) const IMPATIENT: Server = Server {
    decide: |row, presented, known| {
        let silent = Presented {
            sent_at: None,
            ..*presented
        };
        match rotation::decide(row, presented, known) {
            // Line 2 speaks before anything is known of the row.
            Decision::Stale if rotation::decide(None, presented, known) != Decision::Stale => {
                rotation::decide(row, &silent, known)
            }
            other => other,
        }
    },
    ..Server::OURS
};

/// Counters that go up by one: a restored database issues them again.
pub(crate) const CONTIGUOUS: Server = Server {
    decide: |row, presented, known| {
        contiguous(row, presented, rotation::decide(row, presented, known))
    },
    clock_counters: false,
    ..Server::OURS
};

/// The predecessor is answered for a minute, and after that it is a replay, whatever became of the
/// successor.
pub(crate) const GRACE_ONLY: Server = Server {
    decide: |row, presented, known| match (row, rotation::decide(row, presented, known)) {
        (Some(row), Decision::Rotate(_)) if presented.n < row.cur => Decision::Reused,
        (_, other) => other,
    },
    ..Server::OURS
};

/// The predecessor is answered with the same successor for as long as that was not seen in use.
pub(crate) const SAME_SUCCESSOR: Server = Server {
    decide: |row, presented, known| match (row, rotation::decide(row, presented, known)) {
        (Some(row), Decision::Rotate(_))
            if presented.n == row.prev && row.proven.max(known.seen) < row.cur =>
        {
            Decision::Repeat(Successor {
                n: row.cur,
                exp: row.rt_exp,
            })
        }
        (_, other) => other,
    },
    ..Server::OURS
};

/// Whether the successor was seen in use is a flag, kept in memory and written late: `proven` is 1
/// where it was. The predecessor is answered while the flag is down.
pub(crate) const FLAG: Server = Server {
    decide: |row, presented, known| {
        let Some(row) = row else {
            return Decision::Missing;
        };
        let confirmed = row.proven.max(known.seen) > 0;
        let unproven = Row { proven: 0, ..*row };
        let blank = Known { seen: 0, ..*known };
        let decision = rotation::decide(Some(&unproven), presented, &blank);
        match contiguous(Some(row), presented, decision) {
            Decision::Rotate(plan) if presented.n >= row.cur => Decision::Rotate(plan),
            Decision::Rotate(plan) if presented.n == row.prev && !confirmed => {
                Decision::Rotate(plan)
            }
            Decision::Rotate(_) => Decision::Reused,
            other => other,
        }
    },
    applies: |plan, row| !row.revoked && row.cur < plan.next,
    apply: |plan, row| Row {
        proven: 0,
        ..plan.apply(row)
    },
    see: |row, memory, rc| if rc == row.cur { 1 } else { memory },
    clock_counters: false,
};

fn contiguous(row: Option<&Row>, presented: &Presented, decision: Decision) -> Decision {
    match (row, decision) {
        (Some(row), Decision::Rotate(plan)) => Decision::Rotate(Plan {
            next: row.cur.max(presented.n) + 1,
            ..plan
        }),
        (_, other) => other,
    }
}
