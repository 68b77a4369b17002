//! A Python environment of its own for the scripts that speak to our servers with stacks
//! that have nothing in common with them.

use std::path::{Path, PathBuf};

use crate::{Failure, apt, files, run::Run, say, tools::once};

/// boto3 and moto: S3 as others wrote it. pycurl: libcurl with ngtcp2. aioquic: QUIC and
/// HTTP/3 in Python, which can be told to misbehave. rotel: a collector of OpenTelemetry in Rust;
/// opentelemetry-proto: its messages.
const PACKAGES: [&str; 6] = [
    "boto3==1.44.5",
    "moto[server]==5.2.5",
    "pycurl==7.49.0",
    "aioquic==1.7.2",
    "rotel==0.0.1a15",
    "opentelemetry-proto==1.45.2",
];

/// The interpreter of the environment, made when it is missing.
pub fn python(cache: &Path, log: &Path) -> Result<PathBuf, Failure> {
    let dir = cache.join("python");
    let python = dir.join("bin/python3");
    once(&dir.join("stamp"), PACKAGES.join(" ").as_bytes(), || {
        apt::ensure(&[apt::PYTHON, apt::VENV], log)?;
        files::remove(&dir)?;
        files::directory(&dir)?;
        say::step("Making a Python environment (boto3, moto, pycurl, aioquic, rotel)", || {
            Run::new("python3").args(["-m", "venv"]).arg(&dir).quiet(log)?;
            let pip = Run::new(&python).args(["-m", "pip", "install", "--quiet"]);
            pip.args(["--disable-pip-version-check", "--only-binary=:all:"])
                .args(PACKAGES)
                .quiet(log)
        })
    })?;
    Ok(python)
}
