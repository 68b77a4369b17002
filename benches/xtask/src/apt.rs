//! Debian packages: what is missing is installed by root or sudo, or named exactly.

use std::path::Path;

use crate::{
    Failure,
    run::{Run, find},
    say,
};

/// Something the machine must have, and the Debian package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The package.
    pub package: &'static str,
    /// How to see that it is there already.
    pub sign: Sign,
}

/// What shows that a package, or something as good, is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A program.
    Program(&'static str),
    /// A module of python3.
    Module(&'static str),
}

/// Encodes and probes films.
pub const FFMPEG: Need = Need { package: "ffmpeg", sign: Sign::Program("ffmpeg") };
/// Fetches the players.
pub const NPM: Need = Need { package: "npm", sign: Sign::Program("npm") };
/// Plays the film without a person.
pub const CHROMIUM: Need = Need { package: "chromium", sign: Sign::Program("chromium") };
/// The peer of the hot benchmark.
pub const NGINX: Need = Need { package: "nginx-light", sign: Sign::Program("nginx") };
/// The peer of the HTTP caching suite.
pub const TRAFFIC_SERVER: Need =
    Need { package: "trafficserver", sign: Sign::Program("traffic_server") };
/// Load over HTTP/1.1 and 2.
pub const H2LOAD: Need = Need { package: "nghttp2-client", sign: Sign::Program("h2load") };
/// Disks that a campaign breaks.
pub const XFS: Need = Need { package: "xfsprogs", sign: Sign::Program("mkfs.xfs") };
/// The campaigns' own network.
pub const IPROUTE: Need = Need { package: "iproute2", sign: Sign::Program("ip") };
/// A Debian for the trial of the units.
pub const MMDEBSTRAP: Need = Need { package: "mmdebstrap", sign: Sign::Program("mmdebstrap") };
/// `promtool`, for alert rules and metrics.
pub const PROMETHEUS: Need = Need { package: "prometheus", sign: Sign::Program("promtool") };
/// Scripts of the S3 and HTTP/3 checks.
pub const PYTHON: Need = Need { package: "python3", sign: Sign::Program("python3") };
/// Their libraries, apart from the system's.
pub const VENV: Need = Need { package: "python3-venv", sign: Sign::Module("ensurepip") };

/// Installs what is missing of `needs`.
pub fn ensure(needs: &[Need], log: &Path) -> Result<(), Failure> {
    let missing: Vec<&str> = needs.iter().filter(|n| !n.met()).map(|n| n.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let by_hand = format!("apt-get update && apt-get install --no-install-recommends {list}");
    let Some(apt) = find("apt-get") else {
        return Err(Failure::new(format!(
            "missing on this machine: {list} (names of Debian's packages); there is no apt-get \
             here, so install what your system calls them, then run this again"
        )));
    };
    let sudo: &[&str] = if rustix::process::getuid().is_root() {
        &[]
    } else if find("sudo").is_some() && may_sudo() {
        &["sudo", "-n"]
    } else {
        return Err(Failure::new(format!(
            "missing on this machine: {list}\nThis needs root. Neither are you root, nor does \
             sudo work without asking. Run as root, then this again:\n\n    {by_hand}\n"
        )));
    };
    let run = |args: &[&str]| {
        let words = sudo.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive"]);
        let mut words = words.map(str::to_owned).chain([apt.display().to_string()]);
        let first = words.next().expect("at least env is there");
        Run::new(first).args(words).args(args).quiet(log)
    };
    say::step(&format!("Installing Debian's {list}"), || {
        run(&["update"])?;
        run(&["install", "-y", "--no-install-recommends"]
            .into_iter()
            .chain(missing.iter().copied())
            .collect::<Vec<_>>())
    })
    .map_err(|why| Failure::new(format!("{why}\nTry as root: {by_hand}")))
}

/// Whether sudo lets us without a password; on a terminal the person is asked for it.
fn may_sudo() -> bool {
    let quietly = Run::new("sudo").args(["-n", "true"]).output();
    if quietly.is_ok() {
        return true;
    }
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return false;
    }
    say::note("packages are missing; sudo asks for your password to install them");
    std::process::Command::new("sudo").arg("-v").status().is_ok_and(|status| status.success())
}

impl Need {
    fn met(&self) -> bool {
        match self.sign {
            Sign::Program(name) => find(name).is_some(),
            Sign::Module(name) => {
                Run::new("python3").args(["-c", &format!("import {name}")]).output().is_ok()
            }
        }
    }
}
