//! `node.json` in the data directory: where the serving process is reached, for commands beside it.
//!
//! The process holds a lock on the file while it lives, and the kernel lets go of it however it ends. So a
//! command never calls, and never shows the operator token to, whatever took the port of a dead server.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const FILE: &str = "node.json";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    /// The process.
    pub(crate) pid: u32,
    /// The API listener, as it is reached from this machine.
    pub(crate) api: String,
    /// The realtime listener, likewise.
    pub(crate) realtime: String,
    /// The version of the server.
    pub(crate) version: String,
}

/// The file of this process. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct NodeFile {
    path: PathBuf,
    /// Holds the lock.
    _locked: File,
}

impl NodeFile {
    /// Says in `data_dir` where this process listens. `None` where another process serves there.
    pub(crate) fn write(
        data_dir: &Path,
        api: SocketAddr,
        realtime: SocketAddr,
    ) -> io::Result<Option<Self>> {
        let path = data_dir.join(FILE);
        if is_held(&path)? {
            return Ok(None);
        }
        let whereabouts = Whereabouts {
            pid: std::process::id(),
            api: format!("http://{}", from_here(api)),
            realtime: format!("ws://{}/connection/websocket", from_here(realtime)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // Written and locked before it gets its name: who finds it finds it whole.
        let fresh = path.with_extension(format!("json.{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        serde_json::to_writer(&file, &whereabouts)?;
        file.write_all(b"\n")?;
        file.lock()?;
        std::fs::rename(&fresh, &path)?;
        Ok(Some(Self {
            path,
            _locked: file,
        }))
    }
}

impl Drop for NodeFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "{} was gone already", self.path.display());
        }
    }
}

/// Where the live server of `data_dir` is reached; `None` where none serves there.
pub(crate) fn find(data_dir: &Path) -> io::Result<Option<Whereabouts>> {
    let path = data_dir.join(FILE);
    if !is_held(&path)? {
        return Ok(None);
    }
    let mut text = String::new();
    File::open(&path)?.take(4096).read_to_string(&mut text)?;
    Ok(Some(serde_json::from_str(&text)?))
}

/// Whether a process holds the file.
fn is_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A listener's address as it is reached from this machine.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_while_its_process_serves() {
        let dir = tempfile::tempdir().unwrap();
        let (api, realtime) = ("0.0.0.0:1".parse().unwrap(), "[::]:2".parse().unwrap());
        assert_eq!(find(dir.path()).unwrap(), None);
        let file = NodeFile::write(dir.path(), api, realtime).unwrap().unwrap();
        let found = find(dir.path()).unwrap().unwrap();
        assert_eq!(found.api, "http://127.0.0.1:1");
        assert_eq!(found.realtime, "ws://[::1]:2/connection/websocket");
        let second = NodeFile::write(dir.path(), api, realtime).unwrap();
        assert!(second.is_none(), "one process serves");
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let left = r#"{"pid":1,"api":"http://127.0.0.1:9","realtime":"","version":""}"#;
        std::fs::write(dir.path().join(FILE), left).unwrap();
        assert_eq!(find(dir.path()).unwrap(), None);
        let file = NodeFile::write(dir.path(), address, address).unwrap();
        assert!(file.is_some(), "and is replaced");
    }
}
