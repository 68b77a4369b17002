//! What the server's process may open.

use weir_config_admin::{Check, Finding};

use super::Host;
use crate::print::count;

/// A connection, and a file or an upstream behind it, for 30,000 players.
const ENOUGH: u64 = 65_536;
/// Not even a site's players, and what systemd gives by default.
const FEW: u64 = 4096;

pub(super) fn open_files(host: &Host<'_>, pid: u32) -> Option<Check> {
    let limits = (host.file)(&format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_ascii_whitespace().next()?;
    let check = |finding, what: String| Check::new("open files", finding, what);
    if soft == "unlimited" {
        return Some(check(Finding::Ok, "no limit".to_owned()));
    }
    let soft: u64 = soft.parse().ok()?;
    let what = format!("{} at once", count(soft));
    let finding = match soft {
        0..FEW => Finding::Fail,
        FEW..ENOUGH => Finding::Warn,
        _ => return Some(check(Finding::Ok, what)),
    };
    let check = check(finding, what).why("each connection takes one; beyond it nobody is let in");
    Some(check.next("LimitNOFILE=1048576 in the server's unit, or ulimit -n, and a restart"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake;

    #[test]
    fn descriptors() {
        let check = |soft: &str, expected: Option<(Finding, &str)>| {
            let limits = format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max processes             7                    7                    processes\n\
                 Max open files            {soft}               1048576              files\n"
            );
            fake::host(&[("/proc/7/limits", &limits)], &[], |host| {
                let expected =
                    expected.map(|(finding, what)| (finding, format!("open files: {what}")));
                assert_eq!(fake::found(open_files(host, 7)), Vec::from_iter(expected));
                assert_eq!(open_files(host, 8), None);
            });
        };
        check("1048576", Some((Finding::Ok, "1 048 576 at once")));
        check("unlimited", Some((Finding::Ok, "no limit")));
        check("16384", Some((Finding::Warn, "16 384 at once")));
        check("1024", Some((Finding::Fail, "1 024 at once")));
        check("many", None);
    }
}
