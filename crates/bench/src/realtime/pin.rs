//! Cores: the servers on one, the generator on another.

use std::ffi::OsStr;
use std::process::Command;

/// While this lives, the calling thread runs on the last core and what [`Pinned::command`] starts on
/// the first. Without taskset(1), or with a single core, everything runs where it is put.
#[derive(Debug)]
pub struct Pinned {
    cores: usize,
    held: bool,
}

impl Pinned {
    /// Holds the calling thread, which must be the process's first, to the last core.
    pub fn claim() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cores,
            held: cores > 1 && hold(&(cores - 1).to_string()),
        }
    }

    /// Holds nothing to any core.
    pub fn nowhere() -> Self {
        Self {
            cores: 1,
            held: false,
        }
    }

    /// Whether servers and generator have a core each.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Runs `program` on the servers' core.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        if !self.held {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.held {
            hold(&format!("0-{}", self.cores - 1));
        }
    }
}

fn hold(cores: &str) -> bool {
    // sched_setaffinity(2) would be an unsafe call.
    Command::new("taskset")
        .args(["-cp", cores, &std::process::id().to_string()])
        .output()
        .is_ok_and(|output| output.status.success())
}
