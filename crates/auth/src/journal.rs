//! Revocations that outlive a restore.
//!
//! A database that is restored from a backup has forgotten what was ended since. So each process
//! keeps a journal beside it that no backup copies: one JSON line an entry, flushed to the disk
//! before anyone is told. At the start the journal is compared with the database; where the
//! database is older, the entries are carried into it again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chatsdk_store::{ControlEntry, ControlKind};
use chatsdk_types::Millis;
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// Its place in the control log of the database that it was made in; 0 once that database was
    /// replaced by an older one.
    seq: i64,
    kind: String,
    app: String,
    subject: String,
    at: Millis,
}

impl From<&ControlEntry> for Line {
    fn from(entry: &ControlEntry) -> Self {
        Self {
            seq: entry.seq,
            kind: entry.kind.as_str().into(),
            app: entry.app.clone(),
            subject: entry.subject.clone(),
            at: entry.at,
        }
    }
}

impl Line {
    fn entry(self) -> Option<ControlEntry> {
        let kind = ControlKind::from_str(&self.kind).ok()?;
        Some(ControlEntry {
            seq: self.seq,
            kind,
            app: self.app,
            subject: self.subject,
            at: self.at,
        })
    }
}

/// The journal of one data directory. Several processes may write to it at once.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    lock: PathBuf,
}

impl Journal {
    /// The journal in `data_dir`, and what it says; `None` where there is none yet.
    pub(crate) fn open(data_dir: &Path) -> io::Result<(Self, Option<Vec<ControlEntry>>)> {
        let journal = Self {
            path: data_dir.join("revocations.jsonl"),
            lock: data_dir.join("revocations.lock"),
        };
        let _held = journal.hold()?;
        let entries = match File::open(&journal.path) {
            Ok(file) => Some(read(file)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok((journal, entries))
    }

    /// What the journal says now. Blocks.
    pub(crate) fn entries(&self) -> io::Result<Vec<ControlEntry>> {
        let _held = self.hold()?;
        match File::open(&self.path) {
            Ok(file) => read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Whether an entry of this kind has to outlive a restore.
    pub(crate) fn keeps(kind: ControlKind) -> bool {
        match kind {
            ControlKind::SessionRevoked
            | ControlKind::UserBanned
            | ControlKind::UserUnbanned
            | ControlKind::UserDeleted
            | ControlKind::AppDisabled
            | ControlKind::AppEnabled
            | ControlKind::KeyRevoked
            | ControlKind::KeyExpires
            | ControlKind::SigningKeyWithdrawn => true,
            ControlKind::AppChanged
            | ControlKind::KeyChanged
            | ControlKind::SigningKeysChanged
            | ControlKind::SecretChanged
            | ControlKind::Unknown => false,
        }
    }

    /// Appends those of `entries` that nobody has appended yet; they are on the disk when it returns. Blocks.
    ///
    /// Every process appends what it reads of one log, in its order: what is not behind the last line is
    /// there already.
    pub(crate) fn append(&self, entries: &[ControlEntry]) -> io::Result<()> {
        let _held = self.hold()?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        let known = last_seq(&mut file)?;
        let mut text = Vec::new();
        // A line that a crash cut short stays alone on its line, and is skipped when read.
        if ends_mid_line(&mut file)? {
            text.push(b'\n');
        }
        for entry in entries.iter().filter(|entry| entry.seq > known) {
            serde_json::to_writer(&mut text, &Line::from(entry))?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        file.sync_data()
    }

    /// Replaces what the journal says by what `change` makes of it, all of it or nothing. Nobody else
    /// writes in between, so nothing that is appended meanwhile is lost. Blocks.
    pub(crate) fn rewrite(
        &self,
        change: impl FnOnce(Vec<ControlEntry>) -> Vec<ControlEntry>,
    ) -> io::Result<()> {
        let _held = self.hold()?;
        let entries = match File::open(&self.path) {
            Ok(file) => read(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let fresh = self.path.with_extension("new");
        let mut text = Vec::new();
        for entry in &change(entries) {
            serde_json::to_writer(&mut text, &Line::from(entry))?;
            text.push(b'\n');
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Keeps other processes out until it is dropped.
    fn hold(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.lock)?;
        file.lock()?;
        Ok(file)
    }
}

fn ends_mid_line(file: &mut File) -> io::Result<bool> {
    use std::io::Read;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

/// The place of the last whole line; 0 where there is none. Lines are short: the end of the file has it.
fn last_seq(file: &mut File) -> io::Result<i64> {
    use std::io::Read;
    let tail = file.metadata()?.len().min(16 * 1024);
    file.seek(SeekFrom::End(-tail.cast_signed()))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut lines = text.split(|byte| *byte == b'\n').rev();
    let last = lines.find_map(|line| serde_json::from_slice::<Line>(line).ok());
    Ok(last.map_or(0, |line| line.seq))
}

fn read(file: File) -> io::Result<Vec<ControlEntry>> {
    let mut entries = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        if let Some(entry) = serde_json::from_slice::<Line>(&line)
            .ok()
            .and_then(Line::entry)
        {
            entries.push(entry);
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: i64) -> ControlEntry {
        ControlEntry {
            seq,
            kind: ControlKind::UserBanned,
            app: "app_1".into(),
            subject: "ann".into(),
            at: 5,
        }
    }

    #[test]
    fn what_is_appended_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, before) = Journal::open(dir.path()).unwrap();
        assert_eq!(before, None);
        journal.append(&[entry(1)]).unwrap();
        journal.append(&[entry(2)]).unwrap();
        // Another process read the same row of the log.
        journal.append(&[entry(2), entry(3)]).unwrap();
        assert_eq!(
            Journal::open(dir.path()).unwrap().1.unwrap(),
            [entry(1), entry(2), entry(3)]
        );
        journal.rewrite(|entries| entries[2..].to_vec()).unwrap();
        assert_eq!(Journal::open(dir.path()).unwrap().1.unwrap(), [entry(3)]);
    }

    #[test]
    fn a_line_cut_short_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&[entry(1)]).unwrap();
        let mut file = OpenOptions::new()
            .append(true)
            .open(dir.path().join("revocations.jsonl"))
            .unwrap();
        file.write_all(br#"{"seq":2,"kind":"us"#).unwrap();
        journal.append(&[entry(3)]).unwrap();
        assert_eq!(
            Journal::open(dir.path()).unwrap().1.unwrap(),
            [entry(1), entry(3)]
        );
    }
}
