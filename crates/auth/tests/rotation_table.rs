//! The decision table, line by line and edge by edge.

use chatsdk_auth::rotation::{
    AHEAD, Decision, GRACE, Known, Plan, Presented, Row, SETTLING, STALE_AFTER, Successor, decide,
};
use chatsdk_types::Millis;
use proptest::prelude::*;

const NOW: Millis = 1_767_225_600_000;
const DAY: Millis = 86_400_000;

/// Minted a day ago, rotated two minutes ago, the successor seen in use.
fn row() -> Row {
    Row {
        cur: NOW - 120_000,
        prev: NOW - DAY,
        proven: NOW - 120_000,
        rotated_at: NOW - 120_000,
        rt_exp: NOW + 7 * DAY,
        abs_exp: NOW + 90 * DAY,
        idle_ttl: 7 * DAY,
        revoked: false,
    }
}

fn present(n: i64) -> Presented {
    Presented {
        n,
        exp: NOW + 7 * DAY,
        sent_at: None,
    }
}

fn known() -> Known {
    Known {
        seen: 0,
        user_banned: false,
        now: NOW,
    }
}

fn plan(decision: Decision) -> Plan {
    match decision {
        Decision::Rotate(plan) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn line_2_comes_before_the_row_is_looked_at() {
    let at = |sent_at| {
        decide(
            None,
            &Presented {
                sent_at: Some(sent_at),
                ..present(1)
            },
            &known(),
        )
    };
    for fresh in [NOW, NOW - STALE_AFTER, NOW + AHEAD] {
        assert_eq!(at(fresh), Decision::Missing, "{fresh}");
    }
    for stale in [
        NOW - STALE_AFTER - 1,
        NOW + AHEAD + 1,
        0,
        -1,
        i64::MIN,
        i64::MAX,
    ] {
        assert_eq!(at(stale), Decision::Stale, "{stale}");
    }
    let revoked = Row {
        revoked: true,
        ..row()
    };
    let late = Presented {
        sent_at: Some(NOW - 20_000),
        ..present(row().prev)
    };
    assert_eq!(
        decide(Some(&revoked), &late, &known()),
        Decision::Stale,
        "never fatal"
    );
    assert_eq!(
        decide(Some(&row()), &late, &known()),
        Decision::Stale,
        "and never evidence"
    );
}

#[test]
fn line_3_in_its_order() {
    let banned = Known {
        user_banned: true,
        ..known()
    };
    let revoked = Row {
        revoked: true,
        ..row()
    };
    assert_eq!(decide(None, &present(1), &banned), Decision::Missing);
    assert_eq!(
        decide(Some(&revoked), &present(row().cur), &banned),
        Decision::Revoked
    );
    assert_eq!(
        decide(Some(&row()), &present(row().cur), &banned),
        Decision::Banned
    );
    let expired = Row {
        revoked: true,
        abs_exp: NOW - 1,
        ..row()
    };
    assert_eq!(
        decide(Some(&expired), &present(row().cur), &known()),
        Decision::Revoked
    );
}

#[test]
fn line_4_either_expiry_keeps_it_alive() {
    let at = |rt_exp, exp, abs_exp| {
        let row = Row {
            rt_exp,
            abs_exp,
            ..row()
        };
        decide(
            Some(&row),
            &Presented {
                exp,
                ..present(row.cur)
            },
            &known(),
        )
    };
    assert_eq!(at(NOW - 1, NOW - 1, NOW + DAY), Decision::Expired);
    assert_eq!(at(NOW + DAY, NOW + DAY, NOW - 1), Decision::Expired);
    for (rt_exp, exp, abs_exp) in [
        (NOW, NOW - 1, NOW + DAY),
        (NOW - 1, NOW, NOW + DAY),
        (NOW, NOW, NOW),
    ] {
        assert!(matches!(at(rt_exp, exp, abs_exp), Decision::Rotate(_)));
    }
    // An old token that is dead is expired, not evidence.
    let dead = Row {
        rt_exp: NOW - 1,
        ..row()
    };
    assert_eq!(
        decide(
            Some(&dead),
            &Presented {
                exp: NOW - 1,
                ..present(row().prev)
            },
            &known()
        ),
        Decision::Expired
    );
}

#[test]
fn line_5_answers_the_same_successor_for_a_minute() {
    let at = |ago: Millis| {
        let row = Row {
            rotated_at: NOW - ago,
            ..row()
        };
        (decide(Some(&row), &present(row.prev), &known()), row)
    };
    for ago in [0, 1, GRACE, -5000] {
        let (decision, row) = at(ago);
        assert_eq!(
            decision,
            Decision::Repeat(Successor {
                n: row.cur,
                exp: row.rt_exp
            }),
            "{ago}"
        );
    }
    assert_eq!(
        at(GRACE + 1).0,
        Decision::Reused,
        "the successor was seen in use"
    );
    // Within the minute also where the successor was seen in use: another tab uses it.
    let row = Row {
        rotated_at: NOW - 1000,
        ..row()
    };
    let seen = Known {
        seen: row.cur,
        ..known()
    };
    assert!(matches!(
        decide(Some(&row), &present(row.prev), &seen),
        Decision::Repeat(_)
    ));
    assert_eq!(
        decide(Some(&row), &present(row.prev - 1), &seen),
        Decision::Reused,
        "the one before is not"
    );
}

#[test]
fn line_6_rotates_what_is_not_behind_what_was_seen() {
    let row = row();
    let plan = plan(decide(Some(&row), &present(row.cur), &known()));
    assert_eq!(
        plan,
        Plan {
            next: NOW,
            prev: row.cur,
            proven: row.cur,
            rotated_at: NOW,
            rt_exp: NOW + 7 * DAY,
            grace_since: NOW - GRACE,
            seen: 0
        }
    );
    // The reply was lost: the successor was never seen.
    let unseen = Row {
        proven: row.prev,
        ..row
    };
    let again = self::plan(decide(Some(&unseen), &present(row.prev), &known()));
    assert_eq!((again.prev, again.next), (row.prev, NOW));
    // A lost commit: the token is ahead of the row.
    let ahead = self::plan(decide(Some(&row), &present(NOW + 5), &known()));
    assert_eq!(
        (ahead.prev, ahead.next, ahead.proven),
        (NOW + 5, NOW + 6, NOW + 5)
    );
    // A clock that was set back: counters still grow.
    let back = Known {
        now: row.cur - DAY,
        ..known()
    };
    assert_eq!(
        self::plan(decide(
            Some(&Row { prev: 0, ..row }),
            &present(row.cur),
            &back
        ))
        .next,
        row.cur + 1
    );
}

#[test]
fn line_6_ends_with_the_session() {
    let row = Row {
        abs_exp: NOW + DAY,
        ..row()
    };
    assert_eq!(
        plan(decide(Some(&row), &present(row.cur), &known())).rt_exp,
        NOW + DAY
    );
}

#[test]
fn line_7_by_what_is_written_and_by_what_memory_knows() {
    let unseen = Row {
        proven: row().prev,
        ..row()
    };
    let seen = Known {
        seen: unseen.cur,
        ..known()
    };
    assert_eq!(
        decide(Some(&unseen), &present(unseen.prev), &seen),
        Decision::Reused
    );
    assert_eq!(
        decide(Some(&row()), &present(row().prev), &known()),
        Decision::Reused
    );
    assert_eq!(
        decide(Some(&row()), &present(1), &known()),
        Decision::Reused
    );
    assert!(matches!(
        decide(
            Some(&row()),
            &present(row().cur),
            &Known {
                seen: row().cur,
                ..known()
            }
        ),
        Decision::Rotate(_)
    ));
}

#[test]
fn line_7_waits_for_requests_that_were_sent_in_time() {
    let at = |ago: Millis, n: i64, sent_at| {
        let row = Row {
            rotated_at: NOW - ago,
            ..row()
        };
        decide(
            Some(&row),
            &Presented {
                sent_at,
                ..present(n)
            },
            &known(),
        )
    };
    let prev = row().prev;
    for ago in [GRACE + 1, GRACE + SETTLING] {
        assert_eq!(at(ago, prev, Some(NOW)), Decision::Stale, "{ago}");
        assert_eq!(
            at(ago, prev, None),
            Decision::Reused,
            "it does not say when it was sent"
        );
        assert_eq!(
            at(ago, prev - 1, Some(NOW)),
            Decision::Reused,
            "an older one is evidence"
        );
    }
    assert_eq!(at(GRACE + SETTLING + 1, prev, Some(NOW)), Decision::Reused);
    // Where the successor was not seen in use there is nothing to wait for.
    let unseen = Row {
        rotated_at: NOW - GRACE - 1,
        proven: prev,
        ..row()
    };
    let sent = Presented {
        sent_at: Some(NOW),
        ..present(prev)
    };
    assert!(matches!(
        decide(Some(&unseen), &sent, &known()),
        Decision::Rotate(_)
    ));
}

#[test]
fn a_plan_waits_for_nobody() {
    let row = row();
    let plan = plan(decide(Some(&row), &present(row.cur), &known()));
    let rotated = plan.apply(&row);
    assert!(plan.applies_to(&row));
    assert!(
        !plan.applies_to(&rotated),
        "a second time within the grace is line 5"
    );
    assert!(!plan.applies_to(&Row {
        revoked: true,
        ..row
    }));
    assert!(
        !plan.applies_to(&Row {
            proven: row.cur + 1,
            ..row
        }),
        "a later counter was seen meanwhile"
    );
    assert!(
        !Plan {
            seen: row.cur + 1,
            ..plan
        }
        .applies_to(&row)
    );
    assert_eq!(
        decide(Some(&rotated), &present(row.cur), &known()),
        Decision::Repeat(Successor {
            n: rotated.cur,
            exp: rotated.rt_exp
        })
    );
}

proptest! {
    /// Whatever stands in the row and in the token: no panic, and a rotation only ever goes forward.
    #[test]
    fn always_forward(cur in any::<i64>(), prev in any::<i64>(), proven in any::<i64>(), times in proptest::array::uniform4(any::<i64>()), n in any::<i64>(), exp in any::<i64>(), sent_at in any::<Option<i64>>(), seen in any::<i64>(), now in any::<i64>(), near in any::<bool>()) {
        let row = Row { cur, prev, proven, rotated_at: times[0], rt_exp: times[1], abs_exp: times[2], idle_ttl: times[3].saturating_abs(), revoked: false };
        let n = if near { prev } else { n };
        let known = Known { seen, user_banned: false, now };
        if let Decision::Rotate(plan) = decide(Some(&row), &Presented { n, exp, sent_at }, &known) {
            prop_assert!(plan.applies_to(&row));
            prop_assert!(n == i64::MAX || plan.next > n);
            prop_assert!(cur == i64::MAX || plan.next > cur);
            prop_assert!(plan.next >= now && plan.rt_exp <= row.abs_exp);
            prop_assert!(plan.proven >= proven && plan.proven >= n && n >= seen);
        }
    }
}
