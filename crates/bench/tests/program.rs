//! The program itself, as `make bench` starts it, with loads that take seconds: every measurement has to come to its end,
//! against the server as it is now.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chatsdk-bench");

/// The server's binary, which is of another package: cargo builds what a test needs of its own package only.
fn server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "-p",
            "chatsdk-server",
            "--bin",
            "chatsdk",
        ]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(
            build.status().unwrap().success(),
            "the server was not built"
        );
        Path::new(PROGRAM).with_file_name("chatsdk")
    })
}

/// What `verb` prints.
fn measure(verb: &[&str]) -> String {
    let work =
        std::env::temp_dir().join(format!("chatsdk-bench-{}-{}", verb[0], std::process::id()));
    let output = Command::new(PROGRAM)
        .args(verb)
        .arg("--server")
        .arg(server())
        .arg("--work-dir")
        .arg(&work)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&work).unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{verb:?} printed {told}\n{said}");
    told
}

#[test]
fn clients_come_back_and_sockets_are_revoked() {
    let told = measure(&["clients", "--rounds", "1", "--clients", "40"]);
    assert!(told.contains("40"), "{told}");
}

#[test]
fn requests_are_driven_at_every_store() {
    let told = measure(&[
        "http",
        "--rounds",
        "1",
        "--seconds",
        "0.1",
        "--connections",
        "1,8",
    ]);
    assert!(
        told.contains("SQLite") && told.contains("PostgreSQL"),
        "{told}"
    );
}

#[test]
fn a_process_at_rest_is_looked_at() {
    let told = measure(&["footprint"]);
    assert!(told.contains("MiB"), "{told}");
}
