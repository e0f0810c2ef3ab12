//! A storage in a file, shared by the processes that name the same one.
//!
//! Everything is done by one thread, in order: what a caller that was dropped had asked for is done before
//! what is asked for later, and a lock that it held is let go of behind its last write.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::NativeStorage;
use crate::platform::{Storage, StorageFault};

/// How long to wait before a lock that somebody else has is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How often the file is looked at for what others wrote.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Done<T> = oneshot::Sender<io::Result<T>>;
type Stamp = Option<(SystemTime, u64)>;

enum Job {
    Get(Done<Option<String>>),
    Set(String, Done<()>),
    Remove(Done<()>),
    Stamp(Done<Stamp>),
    TryLock(PathBuf, Done<Option<File>>),
    Unlock(File),
}

/// Keeps the pair in a file that its owner alone may read.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
}

impl FileStorage {
    /// The storage in the file `path`, whose folder exists. Beside it stand two files for locks.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let (jobs, queue) = mpsc::channel();
        let file = path.clone();
        std::thread::Builder::new()
            .name("chatsdk-storage".to_owned())
            .spawn(move || {
                for job in queue {
                    work(&file, job);
                }
            })?;
        Ok(Self { path, jobs })
    }

    async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> io::Result<T> {
        let (done, answer) = oneshot::channel();
        let gone = || io::Error::other("the storage's thread has ended");
        self.jobs.send(job(done)).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn work(path: &Path, job: Job) {
    // Who asked may be gone; the work is done all the same.
    match job {
        Job::Get(done) => drop(done.send(read(path))),
        Job::Set(text, done) => drop(done.send(replace(path, &text))),
        Job::Remove(done) => drop(done.send(remove(path))),
        Job::Stamp(done) => drop(done.send(stamp(path))),
        Job::TryLock(path, done) => {
            if let Err(Ok(Some(unwanted))) = done.send(try_lock(&path)) {
                drop(unwanted);
            }
        }
        Job::Unlock(file) => drop(file),
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read(path) {
        // What is no text is as good as nothing, and the next save repairs it.
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Old or new, never a mixture, whatever is cut off when: a second file takes the place of the first.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let next = beside(path, &format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&next, path)?;
    sync_folder(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_folder(path),
    }
}

/// What stands in the folder of `path` outlives the machine.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    match std::fs::metadata(path) {
        Ok(data) => Ok(Some((data.modified()?, data.len()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn fault(error: &io::Error) -> StorageFault {
    StorageFault(error.to_string())
}

impl Storage for FileStorage {
    async fn get(&self) -> Result<Option<String>, StorageFault> {
        self.ask(Job::Get).await.map_err(|error| fault(&error))
    }

    async fn set(&self, text: String) -> Result<(), StorageFault> {
        let done = self.ask(|done| Job::Set(text, done)).await;
        done.map_err(|error| fault(&error))
    }

    async fn remove(&self) -> Result<(), StorageFault> {
        self.ask(Job::Remove).await.map_err(|error| fault(&error))
    }
}

/// A lock on a file; `None` where there can be none, for lack of a right to write.
#[derive(Debug)]
pub struct FileLock(Option<(File, mpsc::Sender<Job>)>);

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Some((file, jobs)) = self.0.take() {
            // Where the thread has ended, what comes back is dropped here.
            let _ended = jobs.send(Job::Unlock(file));
        }
    }
}

/// What somebody has seen of a file.
#[derive(Debug, Default)]
pub struct FileSeen(Option<Stamp>);

impl NativeStorage for FileStorage {
    type Guard = FileLock;
    type Seen = FileSeen;

    async fn lock(&self, name: &str) -> FileLock {
        let kind = name.rsplit(':').next().unwrap_or_default();
        let path = beside(&self.path, &format!("{kind}.lock"));
        loop {
            match self.ask(|done| Job::TryLock(path.clone(), done)).await {
                Ok(Some(file)) => return FileLock(Some((file, self.jobs.clone()))),
                Ok(None) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(_) => return FileLock(None),
            }
        }
    }

    async fn changed(&self, seen: &mut FileSeen) {
        loop {
            // Where it cannot be known now, it may be later.
            if let Ok(now) = self.ask(Job::Stamp).await {
                let before = seen.0.replace(now);
                if before.is_some_and(|before| before != now) {
                    return;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
