//! What a process costs, from `/proc`.

use std::collections::HashMap;
use std::fs;

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

/// CPU time of a process at a moment, by thread where the kernel counts nanoseconds.
///
/// Every Linux shows the time of a whole process in ticks of 10 ms (`USER_HZ`), which is coarse for a
/// window of two seconds that was mostly spent waiting. The scheduler counts nanoseconds, but only of
/// threads that live. So both are kept, and [`CpuTime::since`] takes the finer where it can.
#[derive(Debug, Clone, Default)]
pub struct CpuTime {
    ticks: u64,
    /// Nanoseconds by thread id.
    threads: HashMap<u32, u64>,
}

impl CpuTime {
    /// Microseconds that were used since `earlier`.
    pub fn since(&self, earlier: &Self) -> f64 {
        let all_live = earlier
            .threads
            .keys()
            .all(|thread| self.threads.contains_key(thread));
        if all_live && !self.threads.is_empty() {
            let nanos = |time: &Self| time.threads.values().sum::<u64>();
            return nanos(self).saturating_sub(nanos(earlier)) as f64 / 1e3;
        }
        // A child that ended takes its share out of the sum until it is waited for.
        self.ticks.saturating_sub(earlier.ticks) as f64 * 1e4
    }

    fn add(&mut self, pid: u32, ticks: u64) {
        self.ticks += ticks;
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return;
        };
        for task in tasks.flatten() {
            let thread = task.file_name().to_str().and_then(|id| id.parse().ok());
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let nanos = text.split_ascii_whitespace().next();
            if let Some((thread, nanos)) = thread.zip(nanos.and_then(|nanos| nanos.parse().ok())) {
                self.threads.insert(thread, nanos);
            }
        }
    }
}

/// CPU time that the threads of `pid` have used so far.
pub fn cpu_time(pid: u32) -> Result<CpuTime, ProcessError> {
    let text = read(pid, "stat")?;
    let stat = stat(&text).ok_or(ProcessError::Layout { pid, file: "stat" })?;
    let mut time = CpuTime::default();
    time.add(pid, stat.own);
    Ok(time)
}

/// CPU time of `pid`, of its children that live and of those that it has waited for. One generation
/// is enough for PostgreSQL, whose backends are all children of the postmaster.
pub fn tree_cpu_time(pid: u32) -> Result<CpuTime, ProcessError> {
    let text = read(pid, "stat")?;
    let root = stat(&text).ok_or(ProcessError::Layout { pid, file: "stat" })?;
    let mut time = CpuTime::default();
    time.add(pid, root.own + root.waited_for);
    for child in children(pid)? {
        // One that ended a moment ago counts no more.
        if let Some(stat) = read(child, "stat").ok().as_deref().and_then(stat) {
            time.add(child, stat.own);
        }
    }
    Ok(time)
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
        let before = cpu_time(pid).unwrap();
        // The scheduler notes what a running thread used when it looks at it next: looking again and
        // again uses time, so this ends.
        while tree_cpu_time(pid).unwrap().since(&before) <= 0.0 {}
    }

    #[test]
    fn ticks_stand_in_where_a_thread_has_ended() {
        let time = |ticks, threads: &[(u32, u64)]| CpuTime {
            ticks,
            threads: threads.iter().copied().collect(),
        };
        let earlier = time(10, &[(1, 5_000), (2, 7_000)]);
        let eps = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} {want}");
        eps(
            time(11, &[(1, 6_000), (2, 7_000), (3, 500)]).since(&earlier),
            1.5,
        );
        eps(time(11, &[(1, 6_000)]).since(&earlier), 10_000.0);
        eps(time(12, &[]).since(&time(10, &[])), 20_000.0);
    }
}
