//! Debian's nginx as the peer, from the configuration kept in the testbed.

mod plain;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use weir_benches_testbed::ca;

pub use plain::Plain;

use super::{
    error::CampaignError,
    group,
    process::{Process, free_address, listens},
};
use crate::{
    connection::{Protocol, Server},
    tls,
};

const TEMPLATE: &str = include_str!("../../../testbed/nginx/hot.conf");
const START: Duration = Duration::from_secs(10);

/// How nginx reads files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aio {
    /// In its one worker, which waits for the device.
    Off,
    /// In a pool of threads.
    Threads,
}

impl Aio {
    /// As its configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Threads => "threads",
        }
    }
}

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    address: SocketAddr,
    ca: PathBuf,
}

impl Nginx {
    /// Starts it on one core, with the edge's certificate and a cache of its own in `place`.
    pub fn start(
        place: &Path,
        origin: SocketAddr,
        certificates: &ca::Files,
        core: usize,
        ssl_buffer: &str,
    ) -> Result<Self, CampaignError> {
        Self::start_in(place, origin, certificates, core, (ssl_buffer, Aio::Off), None)
    }

    /// The same, reading files as `aio` says, in a memory group if there is one. What an
    /// earlier one in `place` has cached is there.
    pub fn start_in(
        place: &Path,
        origin: SocketAddr,
        certificates: &ca::Files,
        core: usize,
        (ssl_buffer, aio): (&str, Aio),
        group: Option<&Path>,
    ) -> Result<Self, CampaignError> {
        let directory = place.join("nginx");
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| CampaignError::File { path, source }
        };
        fs::create_dir_all(&directory).map_err(file(&directory))?;
        let address = free_address()?;
        let config = TEMPLATE
            .replace("@DIR@", &directory.display().to_string())
            .replace("@ORIGIN@", &origin.to_string())
            .replace("@LISTEN@", &address.to_string())
            .replace("@CHAIN@", &certificates.chain.display().to_string())
            .replace("@KEY@", &certificates.key.display().to_string())
            .replace("@AIO@", aio.as_str())
            .replace("@SSL_BUFFER@", ssl_buffer);
        let path = directory.join("nginx.conf");
        fs::write(&path, config).map_err(file(&path))?;
        let mut command = group::command(group, Some(core), Path::new(program()?));
        command.arg("-p").arg(&directory).arg("-c").arg(&path);
        let mut process = Process::start("nginx", &mut command, &directory.join("nginx.out"))?;
        process.wait_until(START, || listens(address))?;
        Ok(Self { process, address, ca: certificates.ca.clone() })
    }

    /// Its master's process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whom a client connects to.
    pub fn server(&self, protocol: Protocol) -> Result<Arc<Server>, CampaignError> {
        let tls = Some(tls::config(&self.ca, protocol)?);
        Ok(Arc::new(Server { address: self.address, name: "localhost".into(), tls }))
    }

    /// Ends it.
    pub fn stop(self) -> Result<(), CampaignError> {
        self.process.stop(START)
    }
}

/// What it says of itself, such as `nginx/1.22.1`.
pub fn version() -> Result<String, CampaignError> {
    let output = Command::new(program()?).arg("-v").output().map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stderr);
    Ok(text.trim().rsplit(' ').next().unwrap_or_default().to_owned())
}

/// Debian puts it where not every user's PATH leads.
fn program() -> Result<&'static str, CampaignError> {
    let found = ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| {
        Command::new(program).arg("-v").output().is_ok_and(|output| output.status.success())
    });
    found.ok_or_else(|| missing(std::io::ErrorKind::NotFound.into()))
}

fn missing(source: std::io::Error) -> CampaignError {
    CampaignError::Tool { program: "nginx", package: "nginx-light", source }
}
