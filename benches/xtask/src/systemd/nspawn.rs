//! The trial: the servers under a real systemd, in a container of its own network. What is tried
//! is `benches/testbed/systemd/trial.py`, which runs inside.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::programs::{Programs, quoted};
use crate::{Failure, files, run::Run, say, tools};

/// What the container holds beside Debian's essential packages.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,python3,openssl,curl,ca-certificates";
/// A trial takes two minutes on two cores.
const SECONDS: &str = "600";

/// Runs it; nothing where this host cannot, and it was said why.
pub fn trial(root: &Path) -> Result<Option<bool>, Failure> {
    let log = root.join("target/xtask/nspawn.log");
    let programs = match Programs::bring(&log) {
        Ok(programs) => programs,
        Err(why) => {
            say::note(&format!("skipped: {why}"));
            return Ok(None);
        }
    };
    for program in ["weir-edge", "weir-origin"] {
        let path = root.join("target/release").join(program);
        if !path.is_file() {
            let path = path.display();
            return Err(Failure::new(format!(
                "{path} is not there; `cargo build --release -p {program}` makes it"
            )));
        }
    }
    let place = root.join("target/xtask/nspawn");
    files::remove(&place)?;
    lay_out(root, &place, &debian(&log)?, &log)?;
    let container = format!(
        "{} --directory={} --boot --register=no --keep-unit --private-network \
         --machine=weir-trial-{}",
        programs.nspawn()?,
        quoted(&place)?,
        std::process::id()
    );
    let ran = say::step("Trying the units in a container", || {
        Run::new("timeout")
            .args(["--kill-after=10", SECONDS, "script", "-qefc", &container, "/dev/null"])
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .quiet(&log)
    });
    let said = files::read(&place.join("root/trial.log"))?.unwrap_or_default();
    print!("{said}");
    let passed = passed(&said);
    if !passed && let Err(why) = ran {
        return Err(why);
    }
    files::remove(&place)?;
    Ok(Some(passed))
}

/// Whether all went well, and to the end.
fn passed(said: &str) -> bool {
    let some = said.lines().any(|line| line.starts_with("ok "));
    let none_failed = !said.lines().any(|line| line.starts_with("FAIL"));
    some && none_failed && said.lines().last() == Some("end")
}

/// A Debian to unpack, made once.
fn debian(log: &Path) -> Result<PathBuf, Failure> {
    let cache = tools::cache()?;
    let (archive, stamp) = (cache.join("nspawn.tar"), cache.join("nspawn.stamp"));
    files::directory(&cache)?;
    tools::once(&stamp, PACKAGES.as_bytes(), || {
        say::step("Making a Debian for the trial of the units", || {
            let include = format!("--include={PACKAGES}");
            Run::new("mmdebstrap")
                .args(["--variant=minbase", &include, "bookworm"])
                .arg(&archive)
                .quiet(log)
        })
    })?;
    Ok(archive)
}

fn lay_out(root: &Path, place: &Path, archive: &Path, log: &Path) -> Result<(), Failure> {
    files::directory(place)?;
    Run::new("tar").arg("-xf").arg(archive).arg("-C").arg(place).quiet(log)?;
    let units = "etc/systemd/system";
    let (ours, trial) = (root.join("systemd"), root.join("benches/testbed/systemd"));
    let mut copies = vec![
        (trial.join("weir-trial.service"), format!("{units}/weir-trial.service")),
        (trial.join("trial.py"), "root/trial.py".into()),
        (ours.join("sysusers.d/weir.conf"), "usr/lib/sysusers.d/weir.conf".into()),
        (ours.join("tmpfiles.d/weir.conf"), "usr/lib/tmpfiles.d/weir.conf".into()),
    ];
    for server in ["edge", "origin"] {
        let program = format!("weir-{server}");
        copies.push((root.join("target/release").join(&program), format!("usr/bin/{program}")));
        copies.push((
            ours.join(format!("{server}.toml")),
            format!("etc/weir/{server}/{server}.toml"),
        ));
        for kind in ["service", "socket"] {
            let name = format!("{program}.{kind}");
            copies.push((ours.join(&name), format!("{units}/{name}")));
        }
    }
    for (from, to) in copies {
        let to = place.join(to);
        files::directory(to.parent().unwrap_or(place))?;
        fs::copy(&from, &to).map_err(|why| Failure::path("copy", &from, &why))?;
    }
    let wanted = place.join(units).join("multi-user.target.wants");
    files::directory(&wanted)?;
    let link = wanted.join("weir-trial.service");
    symlink("../weir-trial.service", &link).map_err(|why| Failure::path("link", &link, &why))
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn it_passed_when_all_is_well_to_the_end() {
        let check = |said: &str, expected: bool| assert_eq!(passed(said), expected, "{said}");
        check("systemd 252\nok start: active\nend\n", true);
        check("ok start: active\n", false);
        check("ok start: active\nFAIL reload: no\nend\n", false);
        check("end\n", false);
        check("", false);
    }
}
