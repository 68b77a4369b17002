//! The units of `systemd/`: what systemd's own tools say of them, and how the servers live under
//! a real systemd in a container.

mod nspawn;
mod programs;

use std::path::Path;

use crate::{
    Failure,
    args::Args,
    files,
    run::{Run, find},
    say,
    scorecard::{self, Put},
};

pub use nspawn::trial;

/// The units that start a server.
const SERVICES: [&str; 2] = ["weir-edge", "weir-origin"];
/// The most that `systemd-analyze security` may say of a unit.
const BAR: f64 = 1.2;

/// `cargo xtask bench systemd`: the exposure of the units, and the trial.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let record = !args.flag("--no-record");
    args.end()?;
    let Some(said) = analyze(root)? else {
        return Err(Failure::new("there is no systemd-analyze here; Debian's systemd has it"));
    };
    if record {
        for (unit, measured) in said.exposures() {
            scorecard::put(root, figure(unit, measured))?;
        }
    }
    Ok(said.sound() && trial(root)? != Some(false))
}

/// What the tools found.
#[derive(Debug, Default)]
pub struct Said {
    exposures: Vec<(&'static str, f64)>,
    complaints: Vec<String>,
}

impl Said {
    /// Each unit with its exposure.
    pub fn exposures(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.exposures.iter().copied()
    }

    /// Tells it; true when nothing is wrong.
    pub fn sound(&self) -> bool {
        for (unit, exposure) in &self.exposures {
            println!("{unit}: exposure {exposure}, at most {BAR}");
        }
        for complaint in &self.complaints {
            eprintln!("{complaint}");
        }
        self.complaints.is_empty() && self.exposures.iter().all(|(_, exposure)| *exposure <= BAR)
    }
}

/// `systemd-analyze verify` and `security` on all units; nothing where this host has none.
pub fn analyze(root: &Path) -> Result<Option<Said>, Failure> {
    if find("systemd-analyze").is_none() {
        say::note("skipped: there is no systemd-analyze here (Debian's systemd has it)");
        return Ok(None);
    }
    let folder = root.join("target/xtask/units");
    files::remove(&folder)?;
    files::directory(&folder)?;
    let mut said = Said::default();
    // It complains on its standard error.
    let verify = ["-c", "exec systemd-analyze verify --man=no \"$@\" 2>&1", "sh"];
    let mut verify = Run::new("sh").args(verify);
    for service in SERVICES {
        for kind in ["service", "socket"] {
            let name = format!("{service}.{kind}");
            let path = root.join("systemd").join(&name);
            let text = files::read(&path)?
                .ok_or_else(|| Failure::new(format!("{} is not there", path.display())))?;
            // The servers are not installed here, and verify looks for them.
            let text = text.replace(&format!("/usr/bin/{service}"), "/bin/true");
            files::write(&folder.join(&name), text.as_bytes())?;
            verify = verify.arg(folder.join(&name));
        }
    }
    // It ends well whatever it says of keys that it does not know.
    let (complaints, status) = verify.answer()?;
    said.complaints.extend(complaints.lines().map(str::to_owned));
    if !status.success() && said.complaints.is_empty() {
        said.complaints.push(format!("systemd-analyze verify: {status}"));
    }
    for service in SERVICES {
        let unit = folder.join(format!("{service}.service"));
        let security = Run::new("systemd-analyze");
        let security = security.args(["security", "--offline=true", "--no-pager"]).arg(unit);
        let text = security.output()?;
        let exposure = exposure(&text).ok_or_else(|| {
            Failure::new(format!("systemd-analyze security said no exposure of {service}: {text}"))
        })?;
        said.exposures.push((service, exposure));
    }
    Ok(Some(said))
}

/// `→ Overall exposure level for weir-edge.service: 1.1 OK`
fn exposure(text: &str) -> Option<f64> {
    let line = text.lines().rfind(|line| line.contains("Overall exposure level"))?;
    line.rsplit_once(": ")?.1.split_whitespace().next()?.parse().ok()
}

fn figure(unit: &str, measured: f64) -> Put {
    let name = unit.trim_start_matches("weir-");
    Put {
        id: format!("systemd.exposure.{name}"),
        measured,
        trials: 1,
        what: Some(format!("What `systemd-analyze security` says of {unit}.service, of 10")),
        bar: Some(format!("<= {BAR}")),
        unit: Some("exposure".to_owned()),
        command: Some("cargo xtask bench systemd".to_owned()),
        note: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;

    fn root() -> PathBuf {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.ancestors().nth(2).expect("benches/xtask is two deep").to_owned()
    }

    fn text(name: &str) -> String {
        std::fs::read_to_string(root().join("systemd").join(name)).expect(name)
    }

    /// Values of a key, in order.
    fn values<'t>(unit: &'t str, key: &str) -> Vec<&'t str> {
        let lines = unit.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
    }

    #[test]
    fn the_exposure_is_read_from_the_last_line() {
        let text = "→ Overall exposure level for weir-edge.service: 1.1 OK 🙂\n";
        assert_eq!(exposure(text), Some(1.1));
        assert_eq!(exposure("nothing"), None);
    }

    /// Says that it is skipped where there is no systemd.
    #[test]
    fn systemd_finds_nothing_wrong_with_the_units() {
        if let Some(said) = analyze(&root()).expect("it runs") {
            assert!(said.sound(), "{said:?}");
            assert_eq!(said.exposures().count(), SERVICES.len());
        }
    }

    #[test]
    fn sockets_are_those_that_the_configuration_names() {
        let config = text("edge.toml");
        let line = |key: &str| {
            let lines = config.lines().filter_map(|line| line.split_once(" = "));
            let mut lines = lines.filter(|(name, _)| *name == key);
            lines.next().expect(key).1.to_owned()
        };
        let workers: usize = line("workers").parse().expect("a number");
        let addresses = |key: &str| -> Vec<String> {
            serde_json::from_str(&line(key)).expect("a list of texts")
        };
        let (http, https) = (addresses("http"), addresses("https"));
        let unit = text("weir-edge.socket");
        let check = |key: &str, expected: &[&[String]]| {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for address in values(&unit, key) {
                *counts.entry(address).or_default() += 1;
            }
            let expected: BTreeMap<&str, usize> = expected
                .iter()
                .flat_map(|list| list.iter().map(|at| (at.as_str(), workers)))
                .collect();
            assert_eq!(counts, expected, "{key}: each address once for each worker");
        };
        check("ListenStream", &[&http, &https]);
        check("ListenDatagram", &[&https]);
        assert_eq!(values(&unit, "ReusePort"), ["yes"]);
    }

    #[test]
    fn credentials_are_those_that_the_configuration_names() {
        for server in ["edge", "origin"] {
            let config = text(&format!("{server}.toml"));
            let named = config.split("\"credential:").skip(1);
            let mut named: Vec<&str> = named.filter_map(|rest| rest.split('"').next()).collect();
            let unit = text(&format!("weir-{server}.service"));
            let loaded = values(&unit, "LoadCredential").into_iter();
            let mut loaded: Vec<&str> = loaded.filter_map(|v| v.split(':').next()).collect();
            named.sort_unstable();
            loaded.sort_unstable();
            assert_eq!(named, loaded, "{server}");
            assert!(!named.is_empty(), "{server}");
        }
    }

    #[test]
    fn a_restart_leaves_the_sockets_alone() {
        for server in SERVICES {
            let unit = text(&format!("{server}.socket"));
            // It would stop the socket with the service.
            assert_eq!(values(&unit, "PartOf"), [""; 0], "{server}");
            let service = text(&format!("{server}.service"));
            assert_eq!(values(&service, "Type"), ["notify"], "{server}");
            assert_eq!(values(&service, "WatchdogSec").len(), 1, "{server}");
        }
    }
}
