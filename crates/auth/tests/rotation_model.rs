//! The decision table, model-checked: every state that a session can get into within the bounds of each
//! check is visited. That the model can tell good rules from bad ones is shown by earlier rules, and
//! by clients that break a rule: for each of them it finds what goes wrong.
//!
//! A larger bound: `cargo run --release -p chatsdk-auth --example rotation_model`.

mod rotation_model_parts;

use rotation_model_parts::rules::{Client, Server};
use rotation_model_parts::*;

fn holds(session: Session) {
    let verdict = check(session, 2);
    assert!(verdict.broken.is_empty(), "{:#?}", verdict.broken);
    println!("{} states", verdict.states);
}

fn breaks(session: Session, property: &str) {
    let verdict = check(session, 2);
    let names: Vec<_> = verdict.broken.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [property], "after {} states", verdict.states);
    println!("{} states; {:?}", verdict.states, verdict.broken[0].1);
}

#[test]
fn honest_tabs() {
    holds(Session::new(3));
}
#[test]
fn honest_crash() {
    holds(Session {
        crashes: true,
        ..Session::new(2)
    });
}
#[test]
fn honest_restore() {
    holds(Session {
        crashes: true,
        restores: true,
        revocation: true,
        ..Session::new(2)
    });
}
#[test]
fn honest_two_steps() {
    holds(Session {
        two_steps: true,
        ..Session::new(2)
    });
}
#[test]
fn thief() {
    holds(Session {
        thief: true,
        ..Session::new(1)
    });
}
#[test]
fn thief2() {
    holds(Session {
        thief: true,
        ..Session::new(2)
    });
}
