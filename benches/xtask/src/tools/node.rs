//! The players from npm, and a Node.js that is new enough to drive a browser.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Failure, apt, files,
    run::{Run, find},
    say,
    tools::once,
};

/// What playwright-core and the players ask for.
const LEAST: u32 = 20;
/// Fetched where the machine's is older, as Debian 12's is.
const VERSION: &str = "22.23.3";

/// Fetches the players' packages as `package-lock.json` pins them.
pub fn players(dir: &Path, log: &Path) -> Result<(), Failure> {
    packages(dir, "the players (hls.js, dash.js, Shaka)", log)
}

/// Fetches the public HTTP caching suite as `package-lock.json` pins it.
pub fn cache_tests(dir: &Path, log: &Path) -> Result<(), Failure> {
    packages(dir, "the HTTP caching suite", log)
}

fn packages(dir: &Path, what: &str, log: &Path) -> Result<(), Failure> {
    let lock = dir.join("package-lock.json");
    let pinned = fs::read(&lock).map_err(|why| Failure::path("read", &lock, &why))?;
    once(&dir.join("node_modules/.weir"), &pinned, || {
        apt::ensure(&[apt::NPM], log)?;
        say::step(&format!("Fetching {what} from npm"), || {
            let npm = Run::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            npm.dir(dir).quiet(log)
        })
    })
}

/// A Node.js of at least version 20.
pub fn node(cache: &Path, log: &Path) -> Result<PathBuf, Failure> {
    if let Some(node) = find("node")
        && major(&node).is_some_and(|found| found >= LEAST)
    {
        return Ok(node);
    }
    let machine = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => {
            return Err(Failure::new(format!(
                "no Node.js {LEAST} is known for {other}: install one and put it into PATH"
            )));
        }
    };
    let package = format!("node-linux-{machine}");
    let dir = cache.join("node");
    once(&dir.join("stamp"), format!("{package}@{VERSION}").as_bytes(), || {
        apt::ensure(&[apt::NPM], log)?;
        files::directory(&dir)?;
        say::step(&format!("Fetching Node.js {VERSION} from npm"), || {
            let npm = Run::new("npm").args(["install", "--no-save", "--no-audit", "--no-fund"]);
            npm.arg("--prefix").arg(&dir).arg(format!("{package}@{VERSION}")).dir(&dir).quiet(log)
        })
    })?;
    Ok(dir.join("node_modules").join(package).join("bin/node"))
}

fn major(node: &Path) -> Option<u32> {
    let said = Run::new(node).arg("--version").output().ok()?;
    said.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}
