//! What a process costs, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::ops::{Add, Sub};

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It has ended, or there is no `/proc`.
    #[error("cannot read /proc/{pid}/{file}: {source}")]
    Gone {
        /// The process.
        pid: u32,
        /// The file that was asked for.
        file: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not laid out as proc(5) has it.
    #[error("/proc/{pid}/{file} is not understood")]
    Layout {
        /// The process.
        pid: u32,
        /// The file.
        file: &'static str,
    },
}

/// CPU time, in the kernel's ticks of 10 ms: the unit in which `/proc` shows it to programs on
/// every Linux (`USER_HZ`). Two looks two seconds apart are known to about one part in 200.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    ticks: u64,
}

impl CpuTime {
    /// In microseconds.
    pub fn micros(self) -> f64 {
        self.ticks as f64 * 10_000.0
    }
}

impl Add for CpuTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            ticks: self.ticks + other.ticks,
        }
    }
}

impl Sub for CpuTime {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        // A child that ended between two looks takes its share out of the sum until it is waited for.
        Self {
            ticks: self.ticks.saturating_sub(earlier.ticks),
        }
    }
}

/// CPU time that the threads of `pid` have used so far.
pub fn cpu_time(pid: u32) -> Result<CpuTime, ProcessError> {
    let text = read(pid, "stat")?;
    stat(&text)
        .map(|stat| CpuTime { ticks: stat.own })
        .ok_or(ProcessError::Layout { pid, file: "stat" })
}

/// CPU time of `pid`, of its children that live and of those that it has waited for. One generation
/// is enough for PostgreSQL, whose backends are all children of the postmaster.
pub fn tree_cpu_time(pid: u32) -> Result<CpuTime, ProcessError> {
    let text = read(pid, "stat")?;
    let root = stat(&text).ok_or(ProcessError::Layout { pid, file: "stat" })?;
    let children: u64 = children(pid)?
        .into_iter()
        .filter_map(|child| stat(&read(child, "stat").ok()?).map(|stat| stat.own))
        .sum();
    Ok(CpuTime {
        ticks: root.own + root.waited_for + children,
    })
}

/// Resident memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now, in KiB.
    pub resident: u64,
    /// At most so far, in KiB.
    pub peak: u64,
}

/// Resident memory of `pid`.
pub fn memory(pid: u32) -> Result<Memory, ProcessError> {
    let text = read(pid, "status")?;
    let fields = fields(&text);
    let kib = |name: &str| {
        let value = fields.get(name)?;
        value.strip_suffix("kB")?.trim().parse().ok()
    };
    kib("VmRSS")
        .zip(kib("VmHWM"))
        .map(|(resident, peak)| Memory { resident, peak })
        .ok_or(ProcessError::Layout {
            pid,
            file: "status",
        })
}

fn read(pid: u32, file: &'static str) -> Result<String, ProcessError> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|source| ProcessError::Gone {
        pid,
        file,
        source,
    })
}

fn children(pid: u32) -> Result<Vec<u32>, ProcessError> {
    let mut children = Vec::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|source| ProcessError::Gone {
        pid,
        file: "task",
        source,
    })?;
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    Ok(children)
}

struct Stat {
    own: u64,
    waited_for: u64,
}

fn stat(text: &str) -> Option<Stat> {
    // The second field is the program's name in parentheses, which may itself contain anything.
    let (_, rest) = text.rsplit_once(')')?;
    // Behind it: state, ppid, … with utime, stime, cutime, cstime as fields 14 to 17 of the line.
    let mut times = rest
        .split_ascii_whitespace()
        .skip(11)
        .map(str::parse::<u64>);
    let mut next = || times.next()?.ok();
    Some(Stat {
        own: next()? + next()?,
        waited_for: next()? + next()?,
    })
}

fn fields(text: &str) -> HashMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_a_hostile_name() {
        let line = "7 (a) b) (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 5 6 20 0 1 0 100 1000 10";
        let stat = stat(line).unwrap();
        assert_eq!((stat.own, stat.waited_for), (42, 11));
        assert!(super::stat("7 (a").is_none());
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let pid = std::process::id();
        let memory = memory(pid).unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
        assert!(tree_cpu_time(pid).unwrap().micros() >= cpu_time(pid).unwrap().micros());
    }
}
