//! The decision table, model-checked: every state that a session can get into within the bounds of each
//! check is visited. That the model can tell good rules from bad ones is shown by earlier rules, and
//! by clients that break a rule: for each of them it finds what goes wrong.
//!
//! A larger bound: `cargo run --release -p chatsdk-auth --example rotation_model`.

#[path = "rotation_model_parts/known_bad.rs"]
mod known_bad;
mod rotation_model_parts;

use chatsdk_auth::rotation::{AHEAD, STALE_AFTER};
use rotation_model_parts::rules::{Client, Server};
use rotation_model_parts::*;

fn holds(session: Session) {
    let verdict = check(session, 2);
    assert!(verdict.broken.is_empty(), "{:#?}", verdict.broken);
    println!("{} states", verdict.states);
}

/// Asserts that the model finds the way to break `property` and nothing else.
fn breaks(session: Session, property: &str) {
    let verdict = check(session, 2);
    let broken: Vec<_> = verdict.broken.iter().map(|(name, _)| *name).collect();
    assert_eq!(broken, [property], "after {} states", verdict.states);
    println!(
        "{} states: {}",
        verdict.states,
        verdict.broken[0].1.join(", ")
    );
}

/// Lost replies, killed tabs, late and doubled requests, crashes that lose what was only in memory.
#[test]
fn three_tabs_and_crashes() {
    holds(Session {
        crashes: true,
        ..Session::new(3)
    });
}

/// A backup is taken at any moment and restored at any other; a revocation at any moment outlives it.
#[test]
fn a_restore_and_a_revocation() {
    holds(Session {
        crashes: true,
        restores: 1,
        revocation: true,
        strays: 0,
        step: 16_000,
        ..Session::new(2)
    });
}

/// Several nodes: between reading the row and writing it, anything may happen, for any time.
#[test]
fn reading_and_writing_apart() {
    holds(Session {
        two_steps: true,
        strays: 0,
        step: 16_000,
        ..Session::new(2)
    });
}

#[test]
fn a_thief() {
    holds(Session {
        thief: true,
        strays: 0,
        ..Session::new(1)
    });
}

/// Earlier rules for the server.
mod known_bad_servers {
    use super::*;

    fn with(server: Server) -> Session {
        Session {
            server,
            highest: if server.clock_counters { i64::MAX } else { 6 },
            ..Session::new(2)
        }
    }

    #[test]
    fn contiguous_counters() {
        let server = with(known_bad::CONTIGUOUS);
        breaks(
            Session {
                restores: 1,
                ..server
            },
            ONCE,
        );
    }

    #[test]
    fn grace_and_nothing_else() {
        breaks(with(known_bad::GRACE_ONLY), HONEST);
    }

    #[test]
    fn the_same_successor_while_it_is_unseen() {
        let server = with(known_bad::SAME_SUCCESSOR);
        breaks(
            Session {
                thief: true,
                tabs: 1,
                ..server
            },
            CAUGHT,
        );
    }

    #[test]
    fn a_flag_that_says_seen() {
        breaks(with(known_bad::FLAG), HONEST);
    }

    #[test]
    fn no_patience_after_the_grace() {
        breaks(with(known_bad::IMPATIENT), HONEST);
    }

    #[test]
    fn revocations_that_a_restore_undoes() {
        breaks(
            Session {
                revocation: true,
                restores: 1,
                journal: false,
                ..Session::new(1)
            },
            REVOKED,
        );
    }

    /// A rotation that was answered is lost and the server is back while requests are still on their way:
    /// this is why every rotation is durable before it is answered.
    #[test]
    fn an_answered_commit_lost_within_seconds() {
        breaks(
            Session {
                restores: 1,
                downtime: 1,
                ..Session::new(2)
            },
            HONEST,
        );
    }
}

/// Clients that break one of the rules that the table relies on.
mod known_bad_clients {
    use super::*;

    fn with(client: Client) -> Session {
        Session {
            client,
            ..Session::new(2)
        }
    }

    #[test]
    fn requests_that_do_not_say_when() {
        let client = Client {
            says_when: false,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    #[test]
    fn reading_before_taking_the_time() {
        let client = Client {
            stamp_first: false,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    #[test]
    fn no_floor() {
        let client = Client {
            floor: -1,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    #[test]
    fn a_floor_that_is_looked_at_too_early() {
        let client = Client {
            floor_at_read: false,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    #[test]
    fn a_floor_from_the_moment_of_receipt() {
        let client = Client {
            floor_from_save: false,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    #[test]
    fn the_age_of_a_reply_looked_at_too_early() {
        let client = Client {
            age_at_save: false,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    #[test]
    fn saving_without_comparing() {
        let client = Client {
            compare: false,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    /// What the design allows after five seconds of a storage that hangs: with a kill before the save, the
    /// session is lost.
    #[test]
    fn using_before_saving() {
        let client = Client {
            save_first: false,
            ..Client::OURS
        };
        breaks(with(client), HONEST);
    }

    /// An estimate of the server's clock that is ahead lets requests live longer than the floor.
    #[test]
    fn a_clock_ahead_without_a_longer_floor() {
        let client = Client {
            ahead: AHEAD,
            ..Client::OURS
        };
        let ahead = Session {
            step: 10_000,
            ..with(client)
        };
        breaks(ahead.clone(), HONEST);
        let client = Client {
            floor: STALE_AFTER + AHEAD,
            ..client
        };
        holds(Session { client, ..ahead });
    }
}
