//! The online copy: consistent, whole, made beside a serving process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chatsdk_types::Millis;
use rusqlite::Connection;

use super::open;
use crate::StoreError;

/// Copies the database `from` to a new file at `to`, and notes in the copy that it is one: the fact
/// `backed_up_at` with the moment `now`, by which a process that serves it knows that it was restored.
///
/// `VACUUM INTO` reads one snapshot, however long it takes and whatever is written meanwhile; the page
/// by page copy of SQLite's backup interface would begin anew with every commit of another connection.
pub(super) fn copy(from: &Path, to: &Path, now: Millis) -> Result<(), StoreError> {
    let file = |error: io::Error| StoreError::File(format!("{}: {error}", to.display()));
    if to.exists() {
        return Err(file(io::ErrorKind::AlreadyExists.into()));
    }
    // Made under another name: what has the name that was asked for is whole.
    let partial = with_suffix(to, ".partial");
    let made = fill(from, &partial, now).and_then(|()| fs::rename(&partial, to).map_err(file));
    if made.is_err() {
        let _ = fs::remove_file(&partial);
        return made;
    }
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(file)
}

fn fill(from: &Path, partial: &Path, now: Millis) -> Result<(), StoreError> {
    let file = |error: io::Error| StoreError::File(format!("{}: {error}", partial.display()));
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
        _ => {}
    }
    // SQLite fills an empty file, and leaves it the mode that it has.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial)
        .map_err(file)?;
    let name = partial
        .to_str()
        .ok_or_else(|| StoreError::File(format!("{}: the path is not UTF-8", partial.display())))?;
    open::reader(from)?.execute("VACUUM INTO $1", [name])?;

    let copy = Connection::open(partial)?;
    copy.execute(
        "INSERT INTO meta (name, value) VALUES ('backed_up_at', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [now.to_string()],
    )?;
    copy.close().map_err(|(_, error)| StoreError::from(error))?;
    // `VACUUM INTO` does not wait for the disk.
    File::open(partial)
        .and_then(|copy| copy.sync_all())
        .map_err(file)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
