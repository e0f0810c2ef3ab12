//! A small population, which nobody may be signed out of by accident and no thief may get away in; and what
//! is done wrong on purpose, which has to show. The large one: `cargo run --release -p chatsdk-simulator`.

use chatsdk_simulator::counts::Counts;
use chatsdk_simulator::population::{Sabotage, Scheme};

/// Enough for every kind of thing to happen.
const CLIENTS: u64 = 50;
const DAYS: i64 = 12;
/// Any seed will do. One that is the same each time makes a failure one's own.
const SEED: u64 = 20_240_110;

fn sabotaged(sabotage: Sabotage) -> Counts {
    let counts = Scheme::new(SEED, CLIENTS / 4, DAYS / 3)
        .sabotaged(sabotage)
        .run(2);
    println!("{sabotage:?}, seed {SEED}\n{counts}");
    counts
}

#[test]
fn nobody_is_signed_out_by_accident_and_thieves_are_caught() {
    let counts = Scheme::new(SEED, CLIENTS, DAYS).run(2);
    println!("seed {SEED}\n{counts}");
    assert!(counts.is_clean(), "seed {SEED}\n{counts}");
    // A simulation in which nothing happens shows nothing.
    for (what, count) in [
        ("refreshes", counts.refreshes),
        ("repeated", counts.repeated),
        ("stale", counts.stale),
        ("lost requests", counts.lost_requests),
        ("lost replies", counts.lost_replies),
        ("doubled", counts.doubled),
        ("sleeps", counts.sleeps),
        ("jumps", counts.jumps),
        ("freezes", counts.freezes),
        ("storage faults", counts.storage_faults),
        ("crashes", counts.crashes),
        ("restores", counts.restores),
        ("logouts", counts.logouts),
        ("thefts", counts.thefts),
        ("caught", counts.caught),
    ] {
        assert!(count > 0, "no {what}");
    }
    assert_eq!(
        counts.killed_at.len(),
        10,
        "killed everywhere: {:?}",
        counts.killed_at
    );
}

#[test]
fn the_same_seed_is_the_same_story() {
    let scheme = Scheme::new(SEED, 4, 4);
    let (once, again) = (scheme.run(1), scheme.run(1));
    assert_eq!(once, again);
    assert_ne!(once, Scheme::new(SEED + 1, 4, 4).run(1));
}

#[test]
fn clients_that_do_not_say_when_are_noticed() {
    // Somebody has to freeze between reading and asking, which takes some company to happen.
    let scheme = Scheme::new(SEED, CLIENTS, DAYS);
    let counts = scheme.sabotaged(Sabotage::DoesNotSayWhen).run(2);
    assert!(counts.accidental_logouts > 0, "{counts}");
}

#[test]
fn clients_that_use_what_is_not_saved_are_noticed() {
    assert!(sabotaged(Sabotage::DoesNotSave).accidental_logouts > 0);
}

#[test]
fn clients_that_do_not_read_the_storage_are_noticed() {
    // They ask again and again, so that a few of them are enough.
    let counts = Scheme::new(SEED, 12, 4)
        .sabotaged(Sabotage::DoesNotRead)
        .run(2);
    assert!(counts.accidental_logouts > 0, "{counts}");
}

#[test]
fn a_server_that_never_catches_is_noticed() {
    let scheme = Scheme::new(SEED, CLIENTS, DAYS / 3);
    let counts = scheme.sabotaged(Sabotage::NeverCatches).run(2);
    assert!(counts.missed > 0, "{counts}");
}
