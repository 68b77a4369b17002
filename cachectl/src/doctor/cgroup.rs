//! Whether the memory that the server was told to use is memory that it may use.

use weir_config_admin::{Check, Finding};

use super::Host;
use crate::print::{bytes, percent};

/// Connections, TLS and what upstreams send are outside `cache.memory`.
const ROOM: f64 = 0.8;

pub(super) fn memory(host: &Host<'_>, pid: u32, told: u64) -> Option<Check> {
    let groups = (host.file)(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let group = limit_of(host, &groups).map(|limit| (limit, "its control group"));
    let whole = (host.file)("/proc/meminfo").and_then(|text| total(&text));
    let whole = whole.map(|limit| (limit, "this host"));
    let (limit, whose) = group.into_iter().chain(whole).min_by_key(|(limit, _)| *limit)?;
    let part = told as f64 / limit.max(1) as f64;
    let what = format!(
        "cache.memory is {}, {} of the {} of {whose}",
        bytes(told),
        percent(Some(part)),
        bytes(limit)
    );
    let finding = match part {
        part if part > 1.0 => Finding::Fail,
        part if part > ROOM => Finding::Warn,
        _ => return Some(Check::new("memory", Finding::Ok, what)),
    };
    let least = (limit as f64 * ROOM) as u64;
    Some(
        Check::new("memory", finding, what)
            .why("connections and upstreams need more than that: the kernel would end the server")
            .next(format!("set cache.memory to {} or less and restart, or raise it", bytes(least))),
    )
}

/// The least limit of the process's control group and of those around it: `0::/a/b` of version 2,
/// `4:memory:/a/b` of version 1.
fn limit_of(host: &Host<'_>, groups: &str) -> Option<u64> {
    let mut least = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            // `max` is no limit.
            let limit = (host.file)(&format!("{root}{path}/{file}"));
            let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
            least = least.into_iter().chain(limit).min();
            let Some((around, _)) = path.rsplit_once('/') else { break };
            path = around;
        }
    }
    least
}

/// `MemTotal:       24061248 kB`
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake;

    const GIB: u64 = 1 << 30;
    const HOST: (&str, &str) = ("/proc/meminfo", "MemTotal:       8388608 kB\nMemFree: 1 kB\n");

    fn check(files: &[(&str, &str)], told: u64, expected: Option<(Finding, &str)>) {
        fake::host(files, &[], |host| {
            let expected = expected.map(|(finding, what)| (finding, format!("memory: {what}")));
            assert_eq!(fake::found(memory(host, 7, told)), Vec::from_iter(expected));
        });
    }

    #[test]
    fn of_a_host() {
        let ok = "cache.memory is 2.00 GiB, 25.0 % of the 8.00 GiB of this host";
        check(&[HOST], 2 * GIB, Some((Finding::Ok, ok)));
        let much = "cache.memory is 7.00 GiB, 87.5 % of the 8.00 GiB of this host";
        check(&[HOST], 7 * GIB, Some((Finding::Warn, much)));
        let more = "cache.memory is 16.0 GiB, 200.0 % of the 8.00 GiB of this host";
        check(&[HOST], 16 * GIB, Some((Finding::Fail, more)));
        check(&[], GIB, None);
        check(&[("/proc/meminfo", "MemTotal: x kB")], GIB, None);
    }

    #[test]
    fn of_a_control_group() {
        let what = "cache.memory is 1.00 GiB, 50.0 % of the 2.00 GiB of its control group";
        let ok = Some((Finding::Ok, what));
        let two = ("/proc/7/cgroup", "0::/system.slice/weir.service\n");
        let own = ("/sys/fs/cgroup/system.slice/weir.service/memory.max", "max\n");
        let around = ("/sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
        check(&[HOST, two, own, around], GIB, ok);
        // In a container the group is the root of what is seen.
        let root = ("/sys/fs/cgroup/memory.max", "2147483648\n");
        check(&[HOST, ("/proc/7/cgroup", "0::/\n"), root], GIB, ok);
        let one = ("/proc/7/cgroup", "5:cpu:/x\n4:hugetlb,memory:/weir\nodd\n");
        let limit = ("/sys/fs/cgroup/memory/weir/memory.limit_in_bytes", "2147483648\n");
        check(&[HOST, one, limit], GIB, ok);
    }
}
