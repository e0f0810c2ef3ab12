//! `tests/scenarios/decisions.json` is what [`decide`] answers: the truth that doubles of the server are held to.
//! Where it is out of date: `CHATSDK_WRITE_DECISIONS=1 cargo test -p chatsdk-auth --test decisions`.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write as _;
use std::path::Path;

use chatsdk_auth::rotation::{
    AHEAD, Decision, GRACE, Known, Presented, Row, SETTLING, STALE_AFTER, decide,
};
use chatsdk_types::Millis;
use serde_json::{Value, json};

const NOW: Millis = 1_000_000_000;
const CUR: i64 = NOW - 10;
const PREV: i64 = NOW - 200_000;
const IDLE: Millis = 3_600_000;

struct Case {
    row: Option<Row>,
    presented: Presented,
    known: Known,
}

/// The token just consumed comes again, a moment after; nobody was seen to use its successor.
fn case() -> Case {
    Case {
        row: Some(Row {
            cur: CUR,
            prev: PREV,
            proven: PREV,
            rotated_at: NOW - 10,
            rt_exp: NOW + IDLE,
            abs_exp: NOW + 10 * IDLE,
            idle_ttl: IDLE,
            revoked: false,
        }),
        presented: Presented {
            n: PREV,
            exp: NOW + IDLE,
            sent_at: None,
        },
        known: Known {
            seen: 0,
            user_banned: false,
            now: NOW,
        },
    }
}

fn with(change: impl FnOnce(&mut Case)) -> Case {
    let mut made = case();
    change(&mut made);
    made
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    // Line 2, alone and before every other.
    for sent_at in [-STALE_AFTER - 1, -STALE_AFTER, 0, AHEAD, AHEAD + 1, -NOW] {
        let sent_at = Some(NOW + sent_at);
        all.push(with(|case| case.presented.sent_at = sent_at));
        all.push(with(|case| {
            case.presented.sent_at = sent_at;
            case.row = None;
        }));
        all.push(with(|case| {
            case.presented.sent_at = sent_at;
            case.row.as_mut().unwrap().revoked = true;
            case.known.user_banned = true;
        }));
    }
    // Line 3, in its order, and before line 4.
    for (revoked, banned, ended) in [
        (true, false, false),
        (false, true, false),
        (true, true, true),
        (false, true, true),
    ] {
        all.push(with(|case| {
            let row = case.row.as_mut().unwrap();
            row.revoked = revoked;
            row.abs_exp = if ended { NOW - 1 } else { row.abs_exp };
            case.known.user_banned = banned;
        }));
    }
    all.push(with(|case| {
        case.row = None;
        case.known.user_banned = true;
    }));
    // Line 4: the token's end, the newest one's, the session's.
    for (token, newest, session) in [
        (-1, -1, 1),
        (0, -1, 1),
        (-1, 0, 1),
        (1, -1, 1),
        (-1, 1, 1),
        (1, 1, 0),
        (1, 1, -1),
    ] {
        for n in [PREV, CUR] {
            all.push(with(|case| {
                let row = case.row.as_mut().unwrap();
                row.rt_exp = NOW + newest;
                row.abs_exp = NOW + session;
                case.presented.exp = NOW + token;
                case.presented.n = n;
            }));
        }
    }
    // Lines 5 to 7: whose token, how long after the rotation, what was seen in use.
    for n in [PREV - 1, PREV, PREV + 1, CUR, CUR + 1, NOW + 5] {
        for ago in [GRACE, GRACE + 1, GRACE + SETTLING, GRACE + SETTLING + 1] {
            for (proven, seen) in [(0, 0), (PREV, 0), (PREV, CUR), (CUR, 0)] {
                for sent_at in [None, Some(NOW)] {
                    all.push(with(|case| {
                        let row = case.row.as_mut().unwrap();
                        row.rotated_at = NOW - ago;
                        row.proven = proven;
                        case.presented.n = n;
                        case.presented.sent_at = sent_at;
                        case.known.seen = seen;
                    }));
                }
            }
        }
    }
    // Never rotated; and a clock that went back, behind the counters.
    for n in [CUR, CUR - 1] {
        all.push(with(|case| {
            let row = case.row.as_mut().unwrap();
            row.prev = 0;
            row.proven = 0;
            case.presented.n = n;
        }));
        all.push(with(|case| {
            case.known.now = NOW - 100_000;
            case.presented.n = n;
        }));
    }
    all
}

fn row(row: &Row) -> Value {
    json!({
        "cur": row.cur, "prev": row.prev, "proven": row.proven, "rotatedAt": row.rotated_at,
        "rtExp": row.rt_exp, "absExp": row.abs_exp, "idleTtl": row.idle_ttl, "revoked": row.revoked,
    })
}

/// A code of the server, or the row whose newest token is the answer.
fn answer(case: &Case) -> Value {
    let before = case.row.as_ref();
    match decide(before, &case.presented, &case.known) {
        Decision::Stale => json!("request_stale"),
        Decision::Missing => json!("refresh_token_invalid"),
        Decision::Revoked => json!("session_revoked"),
        Decision::Banned => json!("user_banned"),
        Decision::Expired => json!("refresh_token_expired"),
        Decision::Reused => json!("refresh_token_reused"),
        Decision::Repeat(successor) => {
            let before = before.unwrap();
            assert_eq!((successor.n, successor.exp), (before.cur, before.rt_exp));
            row(before)
        }
        Decision::Rotate(plan) => row(&plan.apply(before.unwrap())),
    }
}

fn written() -> String {
    let mut text = String::from("[\n");
    let cases = cases();
    for (index, case) in cases.iter().enumerate() {
        let line = json!({
            "row": case.row.as_ref().map(row),
            "presented": {"n": case.presented.n, "exp": case.presented.exp, "sentAt": case.presented.sent_at},
            "known": {"seen": case.known.seen, "userBanned": case.known.user_banned, "now": case.known.now},
            "answer": answer(case),
        });
        let comma = if index + 1 < cases.len() { "," } else { "" };
        writeln!(text, "{line}{comma}").unwrap();
    }
    text.push_str("]\n");
    text
}

#[test]
fn the_file_is_what_the_table_decides() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios/decisions.json");
    let truth = written();
    if std::env::var_os("CHATSDK_WRITE_DECISIONS").is_some() {
        std::fs::write(&path, &truth).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == truth,
        "tests/scenarios/decisions.json is out of date: see the head of this file"
    );
}

/// A table of which a double could leave out a line would hold it to nothing.
#[test]
fn every_line_of_the_table_is_in_the_file() {
    let answers: Vec<Value> = cases().iter().map(answer).collect();
    for code in [
        "request_stale",
        "refresh_token_invalid",
        "session_revoked",
        "user_banned",
        "refresh_token_expired",
        "refresh_token_reused",
    ] {
        assert!(answers.iter().any(|answer| answer == code), "{code}");
    }
    let repeated = |case: &Case| Some(answer(case)) == case.row.as_ref().map(row);
    assert!(cases().iter().any(repeated));
    let rotated = |answer: &&Value| answer["rotatedAt"] == json!(NOW);
    assert!(answers.iter().filter(rotated).count() > 10);
}
