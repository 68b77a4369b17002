//! The clock's synchronisation, what the kernel grants sockets, MTU, and huge pages.

use weir_config_admin::{Check, Doctor, Finding};

use super::Host;
use crate::print::count;

/// Whether something keeps the clock right.
pub(super) fn clock(host: &Host<'_>) -> Option<Check> {
    let check = |finding, what: &str| Check::new("time", finding, what);
    let advice = "timedatectl set-ntp true, or run chrony";
    let synchronised = told_by_systemd(host).or_else(|| told_by_chrony(host));
    Some(match synchronised {
        Some(true) => check(Finding::Ok, "kept by NTP"),
        Some(false) => check(Finding::Warn, "not synchronised")
            .why("certificates, tokens and ages are judged by it")
            .next(advice),
        None => check(Finding::Warn, "nobody here knows whether it is kept by NTP")
            .why("neither timedatectl nor chronyc answers")
            .next(advice),
    })
}

fn told_by_systemd(host: &Host<'_>) -> Option<bool> {
    let said = (host.program)(&["timedatectl", "show", "--property=NTPSynchronized", "--value"])?;
    match said.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// `Leap status     : Normal`, or `Not synchronised`.
fn told_by_chrony(host: &Host<'_>) -> Option<bool> {
    let said = (host.program)(&["chronyc", "-n", "tracking"])?;
    let leap = said.lines().find_map(|line| line.strip_prefix("Leap status"))?;
    Some(!leap.contains("Not synchronised"))
}

/// Backlogs and buffers, as the server asks for them, and the MTU of each interface.
pub(super) fn network(host: &Host<'_>, server: Option<&Doctor>) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(server) = server {
        let why =
            "what the kernel grants beyond this is cut off: connections are dropped in bursts";
        let backlog = ("net.core.somaxconn", server.backlog, why);
        let why = "HTTP/3 loses packets in bursts, and the kernel does not say so";
        let buffers = ["net.core.rmem_max", "net.core.wmem_max"];
        let buffers = buffers.map(|key| (key, server.udp_buffer, why));
        let wanted = [backlog].into_iter().chain(buffers).filter(|(_, least, _)| *least > 0);
        checks.extend(wanted.filter_map(|(key, least, why)| sysctl(host, key, least, why)));
    }
    checks.extend(mtus(host));
    checks
}

fn sysctl(host: &Host<'_>, key: &str, least: u64, why: &str) -> Option<Check> {
    let path = format!("/proc/sys/{}", key.replace('.', "/"));
    let found: u64 = (host.file)(&path)?.trim().parse().ok()?;
    let name = format!("sysctl {key}");
    if found >= least {
        return Some(Check::new(name, Finding::Ok, count(found)));
    }
    let what = format!("{}, and the server asks for {}", count(found), count(least));
    let next = format!("sysctl -w {key}={least}, and the same in /etc/sysctl.d");
    Some(Check::new(name, Finding::Warn, what).why(why).next(next))
}

/// `/proc/net/dev`: two lines of head, then a line for each interface, `eth0: …`.
fn mtus(host: &Host<'_>) -> Vec<Check> {
    let list = (host.file)("/proc/net/dev").unwrap_or_default();
    let names = list.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim()));
    let mtu = |name: &str| -> Option<Check> {
        let told = (host.file)(&format!("/sys/class/net/{name}/mtu"))?;
        let mtu: u64 = told.trim().parse().ok()?;
        let check =
            |finding| Check::new(format!("interface {name}"), finding, format!("MTU {mtu}"));
        let next = format!("ip link set dev {name} mtu 1500, where its network carries it");
        Some(match mtu {
            // RFC 9000 §14: a network that carries less than 1,200 bytes carries no QUIC.
            0..1280 => check(Finding::Fail).why("QUIC and IPv6 need 1280").next(next),
            1280..1500 => check(Finding::Warn).why("more packets for the same bytes").next(next),
            _ => check(Finding::Ok),
        })
    };
    names.filter(|name| *name != "lo").filter_map(mtu).collect()
}

/// `always [madvise] never`
pub(super) fn huge_pages(host: &Host<'_>) -> Option<Check> {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let told = (host.file)(path)?;
    let chosen = told.split_once('[')?.1.split_once(']')?.0.to_owned();
    let name = "transparent huge pages";
    Some(match chosen.as_str() {
        "always" => Check::new(name, Finding::Warn, "always")
            .why("the heap takes more memory than it uses, outside cache.memory")
            .next(format!("echo madvise > {path}")),
        _ => Check::new(name, Finding::Ok, chosen),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake;

    #[test]
    fn clocks() {
        let check = |programs: &[(&str, &str)], finding, what: &str| {
            fake::host(&[], programs, |host| {
                assert_eq!(fake::found(clock(host)), [(finding, format!("time: {what}"))]);
            });
        };
        check(&[("timedatectl", "yes\n")], Finding::Ok, "kept by NTP");
        check(&[("timedatectl", "no\n")], Finding::Warn, "not synchronised");
        let unknown = "nobody here knows whether it is kept by NTP";
        check(&[("timedatectl", "?\n")], Finding::Warn, unknown);
        check(&[], Finding::Warn, unknown);
        let said = |leap| format!("Reference ID    : C0000201\nLeap status     : {leap}\n");
        check(&[("chronyc", &said("Normal"))], Finding::Ok, "kept by NTP");
        check(&[("chronyc", &said("Not synchronised"))], Finding::Warn, "not synchronised");
    }

    fn server() -> Doctor {
        let (disks, checks) = (Vec::new(), Vec::new());
        Doctor { pid: 1, memory: 0, backlog: 4096, udp_buffer: 4 << 20, disks, checks }
    }

    #[test]
    fn sysctls() {
        let check = |files: &[(&str, &str)], server: &Doctor, expected: &[(Finding, &str)]| {
            fake::host(files, &[], |host| {
                let expected: Vec<_> =
                    expected.iter().map(|(finding, what)| (*finding, (*what).to_owned())).collect();
                assert_eq!(fake::found(network(host, Some(server))), expected);
            });
        };
        let files = [
            ("/proc/sys/net/core/somaxconn", "4096\n"),
            ("/proc/sys/net/core/rmem_max", "212992\n"),
            ("/proc/sys/net/core/wmem_max", "4194304\n"),
        ];
        check(
            &files,
            &server(),
            &[
                (Finding::Ok, "sysctl net.core.somaxconn: 4 096"),
                (
                    Finding::Warn,
                    "sysctl net.core.rmem_max: 212 992, and the server asks for 4 194 304",
                ),
                (Finding::Ok, "sysctl net.core.wmem_max: 4 194 304"),
            ],
        );
        let plain = Doctor { udp_buffer: 0, ..server() };
        check(&files, &plain, &[(Finding::Ok, "sysctl net.core.somaxconn: 4 096")]);
        check(&[("/proc/sys/net/core/somaxconn", "x")], &server(), &[]);
    }

    #[test]
    fn interfaces() {
        let check = |mtu: &str, expected: Option<Finding>| {
            let list = "Inter-|\n face |\n    lo: 1 2\n  eth0: 1 2\n";
            let files = [
                ("/proc/net/dev", list),
                ("/sys/class/net/eth0/mtu", mtu),
                ("/sys/class/net/lo/mtu", "100"),
            ];
            fake::host(&files, &[], |host| {
                let found = fake::found(network(host, None));
                let expected =
                    expected.map(|finding| (finding, format!("interface eth0: MTU {mtu}")));
                assert_eq!(found, Vec::from_iter(expected));
            });
        };
        check("1500", Some(Finding::Ok));
        check("9000", Some(Finding::Ok));
        check("1420", Some(Finding::Warn));
        check("1200", Some(Finding::Fail));
        check("?", None);
    }

    #[test]
    fn pages() {
        let check = |text, expected: Option<(Finding, &str)>| {
            let files = [("/sys/kernel/mm/transparent_hugepage/enabled", text)];
            fake::host(&files, &[], |host| {
                let expected = expected
                    .map(|(finding, what)| (finding, format!("transparent huge pages: {what}")));
                assert_eq!(fake::found(huge_pages(host)), Vec::from_iter(expected));
            });
        };
        check("always [madvise] never\n", Some((Finding::Ok, "madvise")));
        check("[always] madvise never\n", Some((Finding::Warn, "always")));
        check("odd", None);
    }
}
