//! What the process takes of its host: memory, processors, open files, as `/proc/self` tells.
//! What cannot be read is nothing.

use std::{fs, time::Duration};

/// What the process takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory.
    pub resident_bytes: u64,
    /// Time on processors since the start, of all threads.
    pub cpu: Duration,
    /// Open files, sockets among them.
    pub files: u64,
    /// How many it may have open.
    pub files_max: u64,
}

/// `USER_HZ`, in which Linux tells programs processor time whatever its own clock does.
const TICKS_A_SECOND: u64 = 100;

impl Usage {
    /// What it is now. Asks files of the kernel, which answers from memory.
    pub fn of_process() -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}"));
        let text = |name: &str| text(name).unwrap_or_default();
        Self {
            resident_bytes: resident(&text("status")).unwrap_or(0),
            cpu: cpu(&text("stat")).unwrap_or_default(),
            files: files(),
            files_max: files_max(&text("limits")).unwrap_or(0),
        }
    }
}

/// Since Linux 6.2 the folder's length; before, its entries are counted.
fn files() -> u64 {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).map_or(0, |folder| folder.len()) {
        0 => fs::read_dir(folder).map_or(0, |entries| entries.count() as u64),
        length => length,
    }
}

/// proc_pid_status(5): `VmRSS:     1234 kB`
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// proc_pid_stat(5): user and system time are fields 14 and 15. A program's name, field 2, may
/// hold anything, so the count begins behind its last parenthesis.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()?.checked_add(ticks()?)?;
    Some(Duration::from_millis(ticks.checked_mul(1000 / TICKS_A_SECOND)?))
}

/// proc_pid_limits(5): the soft limit. `unlimited` is none.
fn files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Duration, Usage, cpu, files_max, resident};

    #[test]
    fn what_the_kernel_writes() {
        assert_eq!(resident("Name:\ta\nVmRSS:\t   2048 kB\nVmX:\t1 kB\n"), Some(2 << 20));
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 4 0 123 1 1";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024    4096   files\n";
        assert_eq!(files_max(limits), Some(1024));
    }

    #[test]
    fn what_it_does_not_write() {
        for text in ["", "VmRSS:", "VmRSS: x kB", "(", ") 1", "Max open files unlimited x"] {
            assert_eq!((resident(text), cpu(text), files_max(text)), (None, None, None), "{text}");
        }
    }

    #[test]
    fn of_this_process() {
        let usage = Usage::of_process();
        assert!(usage.resident_bytes > 0 && usage.files > 2 && usage.files_max >= usage.files);
    }
}
