//! The scenarios of the token lifecycle (`tests/scenarios` of the repository), with the real client and the
//! server's own decision table. The TypeScript core runs the same ones.

#![expect(
    clippy::unwrap_used,
    reason = "a scenario that cannot be read ends the test"
)]

mod client;
mod expectations;
mod format;
mod link;
mod names;
mod world;

/// Takes every scenario of a folder, and says which do not go as they say.
fn run(folder: &str) {
    let mut failures = Vec::new();
    let mut count = 0;
    for scenario in format::scenarios(folder) {
        count += 1;
        if let Err(why) = world::run(&scenario) {
            failures.push(format!("{}\n{why}", scenario.name));
        }
    }
    assert!(count > 0, "no scenarios in {folder}");
    assert!(
        failures.is_empty(),
        "{} of {count} scenarios:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    println!("{count} scenarios of {folder}");
}

#[test]
fn clients() {
    run("client");
}

#[test]
fn servers() {
    run("server");
}
