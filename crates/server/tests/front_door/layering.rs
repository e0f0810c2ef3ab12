//! Who may import whom: `CONTRIBUTING.md`, checked against what Cargo says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The normal dependencies of each of our crates.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null());
            (name(package), normal.map(name).collect())
        })
        .collect()
}

#[test]
fn each_crate_imports_what_it_may() {
    let may: &[(&str, &[&str])] = &[
        ("types", &[]),
        ("protocol", &[]),
        ("store", &["types"]),
        ("auth", &["types", "store"]),
        ("realtime", &["types", "protocol"]),
        ("api", &["types", "auth"]),
        ("client", &["types", "protocol"]),
        ("server", &["types", "store", "auth", "realtime", "api"]),
    ];
    let dependencies = dependencies();
    for (name, allowed) in may {
        let ours = dependencies[&format!("chatsdk-{name}")]
            .iter()
            .filter_map(|name| name.strip_prefix("chatsdk-"));
        for dependency in ours {
            assert!(
                allowed.contains(&dependency),
                "chatsdk-{name} imports chatsdk-{dependency}"
            );
        }
    }
}

#[test]
fn drivers_and_frameworks_live_in_one_place() {
    let only: &[(&str, &[&str])] = &[
        ("rusqlite", &["store", "bench"]),
        ("tokio-postgres", &["store", "bench", "pgtest"]),
        ("axum", &["api", "server", "bench"]),
        ("redis", &["realtime"]),
    ];
    for (name, dependencies) in dependencies() {
        for (library, allowed) in only {
            let short = name.trim_start_matches("chatsdk-");
            assert!(
                !dependencies.contains(*library) || allowed.contains(&short),
                "{name} imports {library}"
            );
        }
    }
}
