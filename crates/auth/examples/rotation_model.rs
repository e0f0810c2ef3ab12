//! The model check of `tests/rotation_model.rs` with finer steps of time and more of everything.
//!
//! `cargo run --release -p chatsdk-auth --example rotation_model` visits every state of each check and
//! stops with an error at the first that breaks. Takes minutes, and a few gigabytes of memory.

#[path = "../tests/rotation_model_parts/mod.rs"]
mod rotation_model_parts;

use std::process::ExitCode;
use std::time::Instant;

use chatsdk_auth::rotation::{AHEAD, STALE_AFTER};
use rotation_model_parts::rules::Client;
use rotation_model_parts::{Session, check};

fn checks() -> Vec<(&'static str, Session)> {
    let three = Session::new(3);
    let two = Session::new(2);
    let one = Session::new(1);
    let ahead = Client {
        ahead: AHEAD,
        floor: STALE_AFTER + AHEAD,
        ..Client::OURS
    };
    vec![
        (
            "three tabs, crashes, one request astray",
            Session {
                crashes: true,
                step: 5_000,
                ..three.clone()
            },
        ),
        (
            "three tabs, crashes, two requests astray",
            Session {
                crashes: true,
                strays: 2,
                ..three.clone()
            },
        ),
        (
            "three tabs whose clocks are ahead",
            Session {
                client: ahead,
                step: 5_000,
                ..three
            },
        ),
        (
            "two tabs, crashes, two restores, revocation",
            Session {
                crashes: true,
                restores: 2,
                revocation: true,
                strays: 0,
                step: 16_000,
                ..two.clone()
            },
        ),
        (
            "two tabs, a restore, one request astray",
            Session {
                restores: 1,
                ..two.clone()
            },
        ),
        (
            "two tabs, reading and writing apart",
            Session {
                two_steps: true,
                ..two.clone()
            },
        ),
        (
            "one tab and a thief",
            Session {
                thief: true,
                step: 5_000,
                ..one
            },
        ),
        ("two tabs and a thief", Session { thief: true, ..two }),
    ]
}

fn main() -> ExitCode {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut states = 0;
    for (name, session) in checks() {
        let begun = Instant::now();
        let verdict = check(session, threads);
        states += verdict.states;
        println!(
            "{:>12} states in {:>6.1?}: {name}",
            verdict.states,
            begun.elapsed()
        );
        for (property, steps) in &verdict.broken {
            println!("broken: {property}: {}", steps.join(", "));
        }
        if !verdict.broken.is_empty() {
            return ExitCode::FAILURE;
        }
    }
    println!("{states:>12} states; every property holds in each of them");
    ExitCode::SUCCESS
}
