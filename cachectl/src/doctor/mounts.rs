//! What the folders of disks are mounted from, and how.

use std::path::Path;

use weir_config_admin::{Check, Finding};

use super::Host;

/// A line of `/proc/PID/mountinfo`.
struct Mount {
    place: String,
    /// Of the mount and of the file system.
    options: Vec<String>,
    kind: String,
}

pub(super) fn disks(host: &Host<'_>, pid: u32, folders: &[String]) -> Vec<Check> {
    let text = (host.file)(&format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let mounts: Vec<Mount> = text.lines().filter_map(mount).collect();
    folders.iter().filter_map(|folder| Some(check(folder, under(folder, &mounts)?))).collect()
}

/// The mount whose place is the longest beginning of a folder; of several at one place the last.
fn under<'m>(folder: &str, mounts: &'m [Mount]) -> Option<&'m Mount> {
    let holds = |mount: &&Mount| Path::new(folder).starts_with(&mount.place);
    mounts.iter().filter(holds).max_by_key(|mount| mount.place.len())
}

/// `36 35 98:0 /root /place rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue` (proc(5)).
fn mount(line: &str) -> Option<Mount> {
    let (first, last) = line.split_once(" - ")?;
    let mut first = first.split(' ').skip(4);
    let mut last = last.split(' ');
    let (place, own, kind) = (unescaped(first.next()?), first.next()?, last.next()?);
    let whole = last.nth(1).unwrap_or_default();
    let options = own.split(',').chain(whole.split(',')).map(str::to_owned).collect();
    Some(Mount { place, options, kind: kind.to_owned() })
}

/// `\040` is a space; three octal digits each.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => out.extend([char::from(code)].into_iter().chain(part[3..].chars())),
            None => out.extend(['\\'].into_iter().chain(part.chars())),
        }
    }
    out
}

fn check(folder: &str, mount: &Mount) -> Check {
    let Mount { place, options, kind } = mount;
    let has = |option: &str| options.iter().any(|known| known == option);
    let check =
        |finding, what: String| Check::new(format!("file system of {folder}"), finding, what);
    if has("ro") {
        return check(Finding::Fail, format!("{kind} at {place} is read-only"))
            .why("it was mounted so, or the kernel made it so after an error: see dmesg")
            .next(format!("repair it, then: mount -o remount,rw {place}"));
    }
    match kind.as_str() {
        "ext4" | "xfs" if has("relatime") || has("noatime") => {
            let when = if has("noatime") { "noatime" } else { "relatime" };
            check(Finding::Ok, format!("{kind} at {place}, {when}"))
        }
        "ext4" | "xfs" => check(Finding::Warn, format!("{kind} at {place} notes every read"))
            .why("without noatime or relatime each read is a write as well")
            .next(format!("mount -o remount,noatime {place}, and the same in /etc/fstab")),
        "tmpfs" | "ramfs" => check(Finding::Warn, format!("{kind} at {place} is memory"))
            .why("a cache there takes memory beside cache.memory and ends with the host")
            .next("put the disk on ext4 or xfs"),
        "nfs" | "nfs4" | "cifs" | "fuse" | "9p" => {
            check(Finding::Warn, format!("{kind} at {place} is another host's"))
                .why("each read waits for the network, and its errors are not those of a disk")
                .next("put the disk on ext4 or xfs")
        }
        _ => check(Finding::Warn, format!("{kind} at {place}"))
            .why("measured and tested are ext4 and xfs")
            .next("put the disk on ext4 or xfs, or measure: cargo xtask bench disk-hot"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake;

    const MOUNTS: &str = "22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a\n\
                          23 22 8:1 / /srv rw,noatime shared:1 - xfs /dev/sda1 rw,attr2\n\
                          24 22 8:2 / /srv/a\\040b rw,relatime shared:1 master:2 - ext4 /dev/sdb1 rw\n\
                          25 22 8:3 / /old rw - ext4 /dev/sdc1 rw\n\
                          26 22 8:4 / /ill rw,noatime - ext4 /dev/sdd1 ro,errors=remount-ro\n\
                          27 22 0:3 / /ram rw - tmpfs tmpfs rw\n\
                          28 22 0:4 / /far rw - nfs4 far:/x rw\n\
                          torn line\n";

    #[test]
    fn where_disks_are() {
        let check = |folder: &str, finding, what: &str| {
            fake::host(&[("/proc/7/mountinfo", MOUNTS)], &[], |host| {
                let found = fake::found(disks(host, 7, &[folder.to_owned()]));
                assert_eq!(found, [(finding, format!("file system of {folder}: {what}"))]);
            });
        };
        check("/srv/cache", Finding::Ok, "xfs at /srv, noatime");
        check("/srv/a b", Finding::Ok, "ext4 at /srv/a b, relatime");
        check("/srv/a bc", Finding::Ok, "xfs at /srv, noatime");
        check("/old/x", Finding::Warn, "ext4 at /old notes every read");
        check("/ill", Finding::Fail, "ext4 at /ill is read-only");
        check("/ram", Finding::Warn, "tmpfs at /ram is memory");
        check("/far/x", Finding::Warn, "nfs4 at /far is another host's");
        check("/other", Finding::Warn, "overlay at /");
        fake::host(&[], &[], |host| assert_eq!(disks(host, 7, &["/x".to_owned()]), []));
    }

    #[test]
    fn escapes() {
        let check = |text, expected: &str| assert_eq!(unescaped(text), expected);
        check("/a\\040b\\134", "/a b\\");
        check("/a\\9", "/a\\9");
        check("/a\\ü12", "/a\\ü12");
    }
}
