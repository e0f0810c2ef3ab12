//! Where the figures come from.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a machine is watched.
const WATCH: Duration = Duration::from_secs(2);

/// The machine, as far as it decides figures.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The processor's name for itself.
    pub cpu: String,
    /// How many cores there are.
    pub cores: usize,
    /// Memory in GiB.
    pub memory: f64,
    /// The share of its cores that other programs kept busy just before the run.
    pub busy: f64,
    /// The kernel's release.
    pub kernel: String,
    /// The compiler on the path, which built both programs.
    pub rustc: String,
}

impl Machine {
    /// This machine, which is watched for two seconds: what else it does shall be told, and the load
    /// average would tell of what came before, such as the build of this program.
    pub fn watched() -> Self {
        let before = Ticks::now();
        std::thread::sleep(WATCH);
        Self {
            busy: Ticks::now().since(before).busy(),
            ..Self::here()
        }
    }

    /// This machine, without a look at what it is doing.
    fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = field(&meminfo, "MemTotal")
            .and_then(|kib| kib.strip_suffix("kB")?.trim().parse::<f64>().ok());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let rustc = Command::new("rustc").arg("--version").output().ok();
        Self {
            cpu: field(&cpuinfo, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory.unwrap_or_default() / 1024.0 / 1024.0,
            busy: 0.0,
            kernel: kernel.trim().to_owned(),
            rustc: rustc
                .and_then(|output| String::from_utf8(output.stdout).ok())
                .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned()),
        }
    }
}

/// What the cores have done since the machine started, in ticks of the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ticks {
    total: u64,
    idle: u64,
    stolen: u64,
}

impl Ticks {
    /// Up to now; nothing where there is no `/proc/stat`.
    pub fn now() -> Self {
        Self::read(&fs::read_to_string("/proc/stat").unwrap_or_default()).unwrap_or_default()
    }

    fn read(stat: &str) -> Option<Self> {
        // user nice system idle iowait irq softirq steal: proc_stat(5). Guests are in the first two.
        let fields: Vec<u64> = stat
            .lines()
            .next()?
            .split_whitespace()
            .skip(1)
            .take(8)
            .map(|field| field.parse().ok())
            .collect::<Option<_>>()?;
        Some(Self {
            total: fields.iter().sum(),
            idle: fields.get(3)? + fields.get(4)?,
            stolen: *fields.get(7)?,
        })
    }

    /// What was done between `before` and this.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            total: self.total.saturating_sub(before.total),
            idle: self.idle.saturating_sub(before.idle),
            stolen: self.stolen.saturating_sub(before.stolen),
        }
    }

    /// The share in which programs ran.
    pub fn busy(self) -> f64 {
        self.share(self.total.saturating_sub(self.idle))
    }

    /// The share that the machine beneath this one gave to others.
    pub fn stolen(self) -> f64 {
        self.share(self.stolen)
    }

    fn share(self, ticks: u64) -> f64 {
        ticks as f64 / self.total.max(1) as f64
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
    fn busy_and_stolen_time_are_shares_of_all_time() {
        let read = |line: &str| Ticks::read(line).expect("eight fields");
        let before = read("cpu  100 0 50 800 10 0 5 35 0 0\ncpu0 1 2 3");
        let after = read("cpu  120 0 60 850 10 0 5 55 0 0\n");
        let between = after.since(before);
        assert!((between.busy() - 0.5).abs() < 1e-9 && (between.stolen() - 0.2).abs() < 1e-9);
        assert!(Ticks::default().busy() < 1e-9, "no time has passed");
        assert!(Ticks::read("cpu 1 2 3").is_none());
        assert!(Ticks::now().total > 0);
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.memory > 0.0 && !machine.kernel.is_empty());
    }
}
