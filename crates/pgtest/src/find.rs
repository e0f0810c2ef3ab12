//! Where the machine has PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of `initdb` and `pg_ctl`: `CHATSDK_TEST_POSTGRES_BIN` where it is set, else the newest of
/// Debian's, else the one that `PATH` names.
///
/// # Panics
/// Where there is none; the message says how to install it.
pub fn binaries() -> PathBuf {
    if let Some(named) = std::env::var_os("CHATSDK_TEST_POSTGRES_BIN") {
        return PathBuf::from(named);
    }
    debian()
        .or_else(on_path)
        .unwrap_or_else(|| {
            panic!(
                "these tests need PostgreSQL and found none: install it with `apt-get install postgresql`, \
                 or set CHATSDK_TEST_POSTGRES_BIN to the directory of its `initdb` and `pg_ctl`"
            )
        })
}

/// Debian keeps each major version apart, and off the `PATH`.
fn debian() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let bin = entry.ok()?;
            let version: u32 = bin.file_name().to_str()?.parse().ok()?;
            Some((version, bin.path().join("bin")))
        })
        .filter(|(_, bin)| has_server(bin))
        .max()
        .map(|(_, bin)| bin)
}

fn on_path() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).find(|bin| has_server(bin))
}

fn has_server(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("pg_ctl").is_file()
}
