//! Debian's Apache Traffic Server as the peer, from the configuration kept in the testbed.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    error::CampaignError,
    process::{Process, free_address, listens},
};

const FILES: [(&str, &str); 5] = [
    ("runroot.yaml", include_str!("../../../testbed/ats/runroot.yaml")),
    ("etc/records.config", include_str!("../../../testbed/ats/records.config")),
    ("etc/remap.config", include_str!("../../../testbed/ats/remap.config")),
    ("etc/storage.config", include_str!("../../../testbed/ats/storage.config")),
    ("etc/ip_allow.yaml", include_str!("../../../testbed/ats/ip_allow.yaml")),
];
const START: Duration = Duration::from_secs(30);

/// A running Traffic Server.
#[derive(Debug)]
pub struct Ats {
    process: Process,
    address: SocketAddr,
}

impl Ats {
    /// Starts it with a cache of its own in `place`.
    pub fn start(place: &Path, origin: SocketAddr) -> Result<Self, CampaignError> {
        let directory = place.join("ats");
        let address = free_address()?;
        for part in ["etc", "cache", "run", "log"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).map_err(|source| CampaignError::File { path, source })?;
        }
        for (name, template) in FILES {
            let text = template
                .replace("@DIR@", &directory.display().to_string())
                .replace("@PORT@", &address.port().to_string())
                .replace("@ORIGIN@", &origin.to_string());
            let path = directory.join(name);
            fs::write(&path, text).map_err(|source| CampaignError::File { path, source })?;
        }
        let mut command = Command::new(program()?);
        command.arg(format!("--run-root={}", directory.display()));
        let mut process =
            Process::start("traffic_server", &mut command, &directory.join("log/ats.out"))?;
        process.wait_until(START, || listens(address))?;
        Ok(Self { process, address })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> Result<(), CampaignError> {
        self.process.check()
    }
}

/// What it says of itself, such as `Traffic Server 9.2.5`.
pub fn version() -> Result<String, CampaignError> {
    let output = Command::new(program()?).arg("-V").output().map_err(missing)?;
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let line = text.lines().find(|line| line.starts_with("Traffic Server "));
    Ok(line.unwrap_or("Traffic Server").split(' ').take(3).collect::<Vec<_>>().join(" "))
}

fn program() -> Result<PathBuf, CampaignError> {
    let found = weir_benches_xtask::run::find("traffic_server");
    found.ok_or_else(|| missing(std::io::ErrorKind::NotFound.into()))
}

fn missing(source: std::io::Error) -> CampaignError {
    CampaignError::Tool { program: "traffic_server", package: "trafficserver", source }
}
