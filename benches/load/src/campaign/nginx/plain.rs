//! An nginx that answers every request with its target, and writes down what it read.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use super::{CampaignError, START, program};
use crate::campaign::process::{Process, free_address, listens};

/// A running nginx, an origin without TLS.
#[derive(Debug)]
pub struct Plain {
    // Ends it when dropped.
    _process: Process,
    address: SocketAddr,
    log: PathBuf,
}

impl Plain {
    /// Starts it in `place`.
    pub fn start(place: &Path) -> Result<Self, CampaignError> {
        let directory = place.join("nginx-plain");
        let file = |source| CampaignError::File { path: directory.clone(), source };
        fs::create_dir_all(&directory).map_err(file)?;
        let address = free_address()?;
        let log = directory.join("access.log");
        let here = directory.display();
        // What it refuses (400) is written down too, as it stood.
        let config = format!(
            "daemon off;\nworker_processes 1;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             map $status $seen {{ 400 \"? $request\"; default $request_uri; }}\n\
             log_format seen '$seen';\n\
             access_log {here}/access.log seen;\n\
             client_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\n\
             fastcgi_temp_path {here}/fastcgi;\nuwsgi_temp_path {here}/uwsgi;\n\
             scgi_temp_path {here}/scgi;\n\
             keepalive_requests 1000000;\n\
             server {{ listen {address}; add_header Cache-Control no-store; \
             return 200 $request_uri; }}\n}}\n"
        );
        let path = directory.join("nginx.conf");
        fs::write(&path, config).map_err(file)?;
        let mut command = Command::new(program()?);
        command.arg("-p").arg(&directory).arg("-c").arg(&path);
        let mut process = Process::start("nginx", &mut command, &directory.join("nginx.out"))?;
        process.wait_until(START, || listens(address))?;
        Ok(Self { _process: process, address, log })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The targets it read, a line each; `? ` and the line where it refused to read on.
    pub fn log(&self) -> &Path {
        &self.log
    }
}
