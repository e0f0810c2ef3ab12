//! What is measured and where: the server's binary, and a directory that is gone afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Failure, seconds};
use crate::http::{Options, Store};

#[derive(Debug, Args)]
pub(super) struct Product {
    /// The binary to measure, built with `cargo build --release -p chatsdk-server`
    #[arg(long, value_name = "FILE", default_value = "target/release/chatsdk")]
    server: PathBuf,
    /// Where databases are made, on a real disk; PostgreSQL makes its own under TMPDIR
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    work_dir: PathBuf,
    /// How often each run is repeated; medians are told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How long each run counts
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The numbers of connections
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1,16,64,256"
    )]
    connections: Vec<usize>,
    /// What keeps the data
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    stores: Vec<Store>,
}

pub(super) fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    std::fs::canonicalize(path).map_err(|source| Failure::File {
        path: path.to_owned(),
        source,
    })
}

impl Product {
    pub(super) fn options(&self) -> Result<(Options, Scratch), Failure> {
        let binary = canonical(&self.server)?;
        let scratch = Scratch::under(&self.work_dir)?;
        let options = Options {
            binary,
            work: scratch.0.clone(),
            rounds: self.rounds as usize,
            window: self.seconds,
            connections: self.connections.clone(),
            stores: self.stores.clone(),
        };
        Ok((options, scratch))
    }
}

/// A directory of one run, gone when this is dropped: what a run leaves is worth nothing afterwards.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// A fresh directory under `parent`.
    pub(super) fn under(parent: &Path) -> Result<Self, Failure> {
        let path = parent.join(format!("run-{}", std::process::id()));
        let failed = |source| Failure::File {
            path: path.clone(),
            source,
        };
        // An earlier run may have had the same process id and been killed.
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        std::fs::create_dir_all(&path).map_err(failed)?;
        std::fs::canonicalize(&path).map(Self).map_err(failed)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
