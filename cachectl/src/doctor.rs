//! `cachectl doctor`: one self test of a node as it is. The server looks at what only it can see;
//! its host is looked at from here.

mod cgroup;
mod host;
mod limits;
mod mounts;

use std::path::Path;

use serde_json::json;
use weir_config_admin::{Check, DOCTOR, Doctor, Finding};

use crate::{
    Answer, World,
    client::Client,
    config::Judged,
    failure::Code,
    print::{counted, plain, table},
};

/// What can be read of the host.
pub struct Host<'h> {
    /// A file's text; nothing where it cannot be read.
    pub file: &'h dyn Fn(&str) -> Option<String>,
    /// What a program says within 2 s; nothing where there is none, or it fails.
    pub program: &'h dyn Fn(&[&str]) -> Option<String>,
    /// What the edge that is installed here says of a configuration; nothing where there is none.
    pub edge: &'h dyn Fn(&Path) -> Option<Judged>,
}

pub(crate) fn doctor(client: &Client, world: &World<'_>) -> Answer {
    let mut checks = Vec::new();
    // Its checks have 2 s each and run at once; the host's come after.
    let server: Option<Doctor> = match client.get_slowly(DOCTOR) {
        Ok(server) => Some(server),
        Err(failure) => {
            let mut check = Check::new("server", Finding::Fail, failure.what);
            (check.why, check.next) = (failure.why, failure.next);
            checks.push(check);
            None
        }
    };
    checks.extend(host::clock(&world.host));
    checks.extend(host::network(&world.host, server.as_ref()));
    checks.extend(host::huge_pages(&world.host));
    if let Some(server) = server {
        checks.extend(limits::open_files(&world.host, server.pid));
        checks.extend(cgroup::memory(&world.host, server.pid, server.memory));
        checks.extend(mounts::disks(&world.host, server.pid, &server.disks));
        checks.extend(server.checks);
    }
    // The worst last, where a person reads first.
    checks.sort_by_key(|check| check.finding);
    let of = |finding| checks.iter().filter(|check| check.finding == finding).count() as u64;
    let (ok, warn, fail) = (of(Finding::Ok), of(Finding::Warn), of(Finding::Fail));
    let verdict = format!("{ok} ok, {}, {fail} failed", counted(warn, "warning"));
    let data = json!({ "checks": checks, "ok": ok, "warn": warn, "fail": fail });
    let code = if fail > 0 { Code::Unhealthy } else { Code::Ok };
    Answer::new(format!("{}{verdict}\n", render(&checks)), &data).code(code)
}

fn render(checks: &[Check]) -> String {
    let finding = |check: &Check| match check.finding {
        Finding::Ok => "ok",
        Finding::Warn => "warn",
        Finding::Fail => "FAIL",
    };
    let row =
        |check: &Check| vec![finding(check).to_owned(), plain(&check.name), plain(&check.what)];
    let lines = table("", &checks.iter().map(row).collect::<Vec<_>>());
    let mut out = String::new();
    for (line, check) in lines.lines().zip(checks) {
        out.push_str(&format!("{line}\n"));
        for (what, text) in [("why: ", &check.why), ("next:", &check.next)] {
            if let Some(text) = text {
                out.push_str(&format!("      {what} {}\n", plain(text)));
            }
        }
    }
    out
}

#[cfg(test)]
mod fake {
    use std::collections::HashMap;

    use super::{Check, Finding, Host};

    /// A host of which that is known.
    pub(super) fn host(
        files: &[(&str, &str)],
        programs: &[(&str, &str)],
        look: impl FnOnce(&Host<'_>),
    ) {
        let files: HashMap<_, _> = files.iter().copied().collect();
        let programs: HashMap<_, _> = programs.iter().copied().collect();
        let file = |path: &str| files.get(path).map(|text| (*text).to_owned());
        let program = |words: &[&str]| programs.get(words[0]).map(|text| (*text).to_owned());
        look(&Host { file: &file, program: &program, edge: &|_| None });
    }

    /// What checks found, without reason and advice.
    pub(super) fn found(checks: impl IntoIterator<Item = Check>) -> Vec<(Finding, String)> {
        let told = |check: Check| {
            // Whoever finds something says what to do about it.
            assert_eq!(check.next.is_some(), check.finding != Finding::Ok, "{check:?}");
            (check.finding, format!("{}: {}", check.name, check.what))
        };
        checks.into_iter().map(told).collect()
    }
}
