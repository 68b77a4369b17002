//! What of the node itself can be looked at: certificates, admin socket, disks, state.

use std::{
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use weir_config::edge::{Certificate, Service};
use weir_config_admin::{Check, DiskReport, DiskState, Finding};
use weir_config_units::ByteSize;
use weir_edge_transport::tls::{Certificates, Validity};

use crate::judge::{chain, span};

pub(super) const DAY_S: u64 = 24 * 60 * 60;
/// Those who renew by themselves have done it by then.
pub(super) const SOON_S: u64 = 14 * DAY_S;

/// One check of each certificate, and one of the names that services have.
pub(super) fn certificates(pairs: &[Certificate], services: &[Service], now: u64) -> Vec<Check> {
    let mut names = Vec::new();
    let mut checks: Vec<Check> = pairs
        .iter()
        .map(|pair| {
            let path = pair.chain.display();
            let check =
                |finding, what: String| Check::new(format!("certificate {path}"), finding, what);
            let own = match Certificates::load([(&pair.chain, &pair.key)]) {
                Ok(own) => own,
                Err(error) => {
                    return check(Finding::Fail, "cannot be served from its files".to_owned())
                        .why(chain(&error))
                        .next("cachectl config check");
                }
            };
            let own: Vec<String> = own.names().into_iter().map(str::to_owned).collect();
            let said = if own.is_empty() { "no name".to_owned() } else { own.join(", ") };
            names.extend(own);
            let times = Validity::of_chain(&pair.chain).unwrap_or_default();
            let (finding, time) = until(times.into_iter().flatten(), now);
            let check = check(finding, format!("{time}, for {said}; its key fits"));
            match finding {
                Finding::Ok => check,
                _ => check.next("put a new one in its place, then: cachectl config reload"),
            }
        })
        .collect();
    let hosts = services.iter().flat_map(|service| &service.hosts);
    let bare: Vec<&str> = hosts.map(String::as_str).filter(|host| !named(host, &names)).collect();
    if !bare.is_empty() {
        let what = format!("no certificate is for {}", bare.join(", "));
        let check = Check::new("names", Finding::Warn, what);
        checks.push(
            check
                .why("clients that ask for these with https refuse the connection")
                .next("add one to tls.certificates, then: cachectl config reload"),
        );
    }
    checks
}

/// The first end of a chain's certificates, and how that is.
fn until(times: impl Iterator<Item = Validity>, now: u64) -> (Finding, String) {
    let (mut begins, mut ends) = (0, None);
    for Validity { not_before, not_after } in times {
        begins = begins.max(not_before);
        ends = Some(ends.map_or(not_after, |end: u64| end.min(not_after)));
    }
    match ends {
        None => (Finding::Warn, "its times cannot be read".to_owned()),
        Some(end) if end < now => (Finding::Fail, format!("expired {} ago", span(now - end))),
        Some(_) if begins > now => {
            (Finding::Fail, format!("is not good before {} from now", span(begins - now)))
        }
        Some(end) if end - now < SOON_S => {
            (Finding::Warn, format!("good for {} only", span(end - now)))
        }
        Some(end) => (Finding::Ok, format!("good for {}", span(end - now))),
    }
}

/// RFC 6125 §6.4.3: a wildcard stands for one label.
fn named(host: &str, names: &[String]) -> bool {
    let rest = host.split_once('.').map(|(_, rest)| rest);
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(parent) => rest == Some(parent),
        None => name == host,
    })
}

/// Whether only this user and root may use the admin socket.
pub(super) fn socket(path: &Path) -> Check {
    let name = format!("admin socket {}", path.display());
    let check = |finding, what: String| Check::new(name.clone(), finding, what);
    match path.symlink_metadata() {
        Err(error) => check(Finding::Fail, "is not there".to_owned())
            .why(format!("somebody took it away: {error}"))
            .next("restart the server"),
        Ok(meta) if !meta.file_type().is_socket() => {
            check(Finding::Fail, "is no socket".to_owned()).next("restart the server")
        }
        Ok(meta) => match meta.permissions().mode() & 0o777 {
            mode if mode & 0o077 == 0 => {
                check(Finding::Ok, format!("mode {mode:03o}: its user and root only"))
            }
            mode => check(Finding::Fail, format!("mode {mode:03o}: others may command the server"))
                .next(format!("chmod 600 {}", path.display())),
        },
    }
}

/// How a disk is.
pub(super) fn disk(disk: &DiskReport) -> Check {
    let size = |bytes: u64| ByteSize::bytes(bytes).rounded();
    let show = format!("cachectl disks show {}", disk.path);
    let check = |finding, what: String| Check::new(format!("disk {}", disk.path), finding, what);
    let why = || disk.what.clone().unwrap_or_else(|| "no reason is known".to_owned());
    let troubles = disk.errors + disk.overdue + disk.checksum_failures + disk.lost;
    let worn = disk.wear.per_day_bytes.filter(|bytes| *bytes > disk.limit);
    let held = match disk.bytes {
        Some(bytes) => format!("holds {} of {}", size(bytes), size(disk.limit)),
        None => format!("may hold {}", size(disk.limit)),
    };
    match disk.state {
        DiskState::Offline if disk.cause.as_deref() == Some("operator") => {
            check(Finding::Warn, "an operator took it out of use".to_owned())
                .next(format!("cachectl disks online {}", disk.path))
        }
        DiskState::Offline => {
            check(Finding::Fail, "is not in use".to_owned()).why(why()).next(show)
        }
        DiskState::Opening => check(Finding::Warn, "is being opened".to_owned()).next(show),
        DiskState::Full => check(Finding::Warn, format!("{held}, is read and not written"))
            .why("its file system has no room")
            .next(show),
        DiskState::Online if troubles > 0 => {
            let what = format!(
                "{held}; {} failed calls, {} reads overdue, {} damaged and {} lost chunks since \
                 the start",
                disk.errors, disk.overdue, disk.checksum_failures, disk.lost
            );
            check(Finding::Warn, what)
                .why("the disk or its cable may be failing")
                .next(format!("cachectl cache verify --disk {}", disk.path))
        }
        DiskState::Online => match worn {
            Some(bytes) => check(Finding::Warn, format!("{held}, {} written a day", size(bytes)))
                .why("it is written more than once over a day: few disks are made for that")
                .next("cachectl disks wear"),
            None => check(Finding::Ok, format!("{held}, no errors")),
        },
    }
}

/// Whether spans reach their collector, where they are made.
pub(super) fn traces(endpoint: Option<String>, failure: Option<(String, String)>) -> Option<Check> {
    Some(match (endpoint?, failure) {
        (endpoint, None) => Check::new("traces", Finding::Ok, format!("are posted to {endpoint}")),
        (_, Some((endpoint, why))) => {
            Check::new("traces", Finding::Warn, format!("do not reach {endpoint}"))
                .why(format!("{why}; spans are lost until they do"))
                .next(
                    "start the collector, or correct traces.endpoint, then: cachectl config reload",
                )
        }
    })
}

/// Whether what the node must remember is written down.
pub(super) fn state(failure: Option<&str>) -> Check {
    match failure {
        None => Check::new("state file", Finding::Ok, "is written"),
        Some(why) => Check::new("state file", Finding::Fail, "cannot be written")
            .why(format!("{why}; a restart forgets what changes until it can"))
            .next("make room or give rights where cache.state lies"),
    }
}

#[cfg(test)]
mod tests {
    use weir_config_admin::DiskWear;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn times_of_certificates() {
        let check = |times: &[(u64, u64)], finding, said: &str| {
            let times =
                times.iter().map(|(from, to)| Validity { not_before: *from, not_after: *to });
            assert_eq!(until(times, NOW), (finding, said.to_owned()));
        };
        check(&[(0, NOW + 90 * DAY_S)], Finding::Ok, "good for 90 days");
        check(&[(0, NOW + 90 * DAY_S), (0, NOW + DAY_S)], Finding::Warn, "good for 24 hours only");
        check(&[(0, NOW - 60)], Finding::Fail, "expired 60 seconds ago");
        check(&[(NOW + 9, NOW + 90)], Finding::Fail, "is not good before 9 seconds from now");
        check(&[], Finding::Warn, "its times cannot be read");
    }

    #[test]
    fn names_of_certificates() {
        let names = ["a.example".to_owned(), "*.b.example".to_owned()];
        let check = |host: &str, expected| assert_eq!(named(host, &names), expected, "{host}");
        check("a.example", true);
        check("x.b.example", true);
        check("x.y.b.example", false);
        check("b.example", false);
        check("localhost", false);
    }

    #[test]
    fn a_certificate_and_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let made = rcgen::generate_simple_self_signed([format!("{name}.example")]).unwrap();
            let (chain, key) =
                (folder.path().join(name), folder.path().join(format!("{name}.key")));
            std::fs::write(&chain, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            Certificate { chain, key }
        };
        let (one, two) = (make("one"), make("two"));
        let mixed = Certificate { chain: one.chain.clone(), key: two.key };
        let found = certificates(&[one, mixed], &[], NOW);
        assert_eq!(
            found.iter().map(|c| c.finding).collect::<Vec<_>>(),
            [Finding::Ok, Finding::Fail]
        );
        assert!(found[0].what.ends_with("for one.example; its key fits"), "{}", found[0].what);
    }

    #[test]
    fn modes_of_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let check = |finding, what: &str| {
            let found = socket(&path);
            assert_eq!((found.finding, found.what.as_str()), (finding, what));
        };
        check(Finding::Fail, "is not there");
        let _open = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let set = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o600);
        check(Finding::Ok, "mode 600: its user and root only");
        set(0o660);
        check(Finding::Fail, "mode 660: others may command the server");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        check(Finding::Fail, "is no socket");
    }

    #[test]
    fn disks() {
        let mut report: DiskReport = serde_json::from_value(serde_json::json!({
            "id": null, "path": "/d0", "state": "online", "limit": 1_u64 << 30, "share": 1.0,
            "bytes": 1_u64 << 29, "chunks": null, "evictions": null, "system_bytes": null,
            "system_free_bytes": null, "reads": 0, "read_bytes": 0, "accepted": 0,
            "accepted_bytes": 0, "refused_bytes": 0, "lost": 0, "errors": 0, "overdue": 0,
            "checksum_failures": 0, "written_bytes": 0,
            "wear": {"total_bytes": 0, "since_unix_s": 0, "today_bytes": 0, "per_day_bytes": null},
        }))
        .unwrap();
        let check = |report: &DiskReport, finding, what: &str, next: Option<&str>| {
            let found = disk(report);
            let told = (found.finding, found.what.as_str(), found.next.as_deref());
            assert_eq!(told, (finding, what, next));
        };
        check(&report, Finding::Ok, "holds 512 MiB of 1.00 GiB, no errors", None);
        report.wear = DiskWear { per_day_bytes: Some(3 << 30), ..report.wear };
        let worn = "holds 512 MiB of 1.00 GiB, 3.00 GiB written a day";
        check(&report, Finding::Warn, worn, Some("cachectl disks wear"));
        report.errors = 2;
        let ill = "holds 512 MiB of 1.00 GiB; 2 failed calls, 0 reads overdue, 0 damaged and 0 lost \
                   chunks since the start";
        check(&report, Finding::Warn, ill, Some("cachectl cache verify --disk /d0"));
        report.state = DiskState::Full;
        let full = "holds 512 MiB of 1.00 GiB, is read and not written";
        check(&report, Finding::Warn, full, Some("cachectl disks show /d0"));
        report.state = DiskState::Offline;
        check(&report, Finding::Fail, "is not in use", Some("cachectl disks show /d0"));
        report.cause = Some("operator".into());
        let out = "an operator took it out of use";
        check(&report, Finding::Warn, out, Some("cachectl disks online /d0"));
    }

    #[test]
    fn collectors() {
        let check = |failure: Option<&str>, finding, what: &str| {
            let to = || "http://c:4318/v1/traces".to_owned();
            let found = traces(Some(to()), failure.map(|why| (to(), why.to_owned()))).unwrap();
            assert_eq!((found.finding, found.what.as_str()), (finding, what));
        };
        check(None, Finding::Ok, "are posted to http://c:4318/v1/traces");
        check(Some("refused"), Finding::Warn, "do not reach http://c:4318/v1/traces");
        assert!(traces(None, None).is_none());
    }

    #[test]
    fn states() {
        assert_eq!(state(None).finding, Finding::Ok);
        assert_eq!(state(Some("no room")).finding, Finding::Fail);
    }
}
