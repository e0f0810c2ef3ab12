//! Start-up time, idle memory and the size of the binary.

use std::path::{Path, PathBuf};

use crate::process;
use crate::product::{ProductError, Setup};
use crate::stats::median;

/// How often the server is started afresh.
const STARTS: usize = 5;

/// What was measured: medians over several starts.
#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    /// From starting the process to its `ready` line in an empty directory, in milliseconds.
    pub first_start: f64,
    /// The same where everything has been made.
    pub second_start: f64,
    /// Resident memory once ready and asked for its health, in MiB.
    pub idle: f64,
    /// The size of the binary, in MiB.
    pub binary: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum FootprintError {
    /// The server failed.
    #[error(transparent)]
    Product(#[from] ProductError),
    /// The server could not be looked at.
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    /// A file or directory could not be used.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Starts `binary` several times in fresh directories under `work`.
pub async fn measure(binary: &Path, work: &Path) -> Result<Footprint, FootprintError> {
    let mut first = Vec::new();
    let mut second = Vec::new();
    let mut idle = Vec::new();
    for round in 0..STARTS {
        let data = work.join(format!("footprint-{round}"));
        let setup = Setup {
            binary: binary.to_owned(),
            data,
            database: None,
        };
        let product = setup.start()?;
        first.push(product.start_up().as_secs_f64() * 1e3);
        product.healthy().await?;
        product.stop()?;
        let product = setup.start()?;
        second.push(product.start_up().as_secs_f64() * 1e3);
        product.healthy().await?;
        idle.push(process::memory(product.pid())?.resident as f64 / 1024.0);
        product.stop()?;
    }
    let size = std::fs::metadata(binary)
        .map_err(|source| FootprintError::File {
            path: binary.to_owned(),
            source,
        })?
        .len();
    Ok(Footprint {
        first_start: median(first).unwrap_or_default(),
        second_start: median(second).unwrap_or_default(),
        idle: median(idle).unwrap_or_default(),
        binary: size as f64 / 1024.0 / 1024.0,
    })
}
