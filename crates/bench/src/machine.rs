//! Where the figures come from.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The machine, as far as it decides figures.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The processor's name for itself.
    pub cpu: String,
    /// How many cores there are.
    pub cores: usize,
    /// Memory in GiB.
    pub memory: f64,
    /// How many programs wanted to run during the minute before: what else the machine was doing.
    pub load: f64,
    /// The kernel's release.
    pub kernel: String,
    /// The compiler on the path, which built both programs.
    pub rustc: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = field(&meminfo, "MemTotal")
            .and_then(|kib| kib.strip_suffix("kB")?.trim().parse::<f64>().ok());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let rustc = Command::new("rustc").arg("--version").output().ok();
        Self {
            cpu: field(&cpuinfo, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory.unwrap_or_default() / 1024.0 / 1024.0,
            load: load
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or_default(),
            kernel: kernel.trim().to_owned(),
            rustc: rustc
                .and_then(|output| String::from_utf8(output.stdout).ok())
                .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned()),
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

/// The type of the file system that holds `path`, such as `ext4`.
pub fn file_system(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    holder(&fs::read_to_string("/proc/self/mounts").ok()?, &path)
}

/// Whether commits there reach a disk at all.
pub fn is_memory(file_system: &str) -> bool {
    matches!(file_system, "tmpfs" | "ramfs")
}

fn holder(mounts: &str, path: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    // The longest mount point wins, and of two on the same point the later.
    mounts
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_holds_a_path() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\n";
        let kind = |path: &str| holder(mounts, Path::new(path)).unwrap();
        assert_eq!(kind("/home"), "ext4");
        assert_eq!(kind("/tmpfile"), "ext4");
        assert_eq!(kind("/tmp/x"), "tmpfs");
        assert_eq!(kind("/tmp/disk/x"), "xfs");
        assert!(is_memory("tmpfs") && !is_memory("xfs"));
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.memory > 0.0 && !machine.kernel.is_empty());
    }
}
