//! cargo-nextest, cargo-deny and Garage, built once into the cache where the machine has none.

use std::path::{Path, PathBuf};

use crate::{
    Failure,
    run::{Run, find},
    say,
    tools::once,
};

const NEXTEST: &str = "0.9.143";
const DENY: &str = "0.20.2";
const FUZZ: &str = "0.13.2";
const GARAGE: &str = "2.5.0";

/// `cargo-nextest`.
pub fn nextest(cache: &Path, log: &Path) -> Result<PathBuf, Failure> {
    tool(
        "cargo-nextest",
        NEXTEST,
        &["--no-default-features", "--features", "default-no-update"],
        cache,
        log,
    )
}

/// `cargo-deny`.
pub fn deny(cache: &Path, log: &Path) -> Result<PathBuf, Failure> {
    tool("cargo-deny", DENY, &[], cache, log)
}

/// `garage`, an S3 server that others wrote. AGPL: asked over a socket, linked by nobody.
pub fn garage(cache: &Path, log: &Path) -> Result<PathBuf, Failure> {
    tool("garage", GARAGE, &[], cache, log)
}

/// `cargo-fuzz`.
pub fn fuzz(cache: &Path, log: &Path) -> Result<PathBuf, Failure> {
    tool("cargo-fuzz", FUZZ, &[], cache, log)
}

fn tool(
    name: &str,
    version: &str,
    features: &[&str],
    cache: &Path,
    log: &Path,
) -> Result<PathBuf, Failure> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    let root = cache.join("cargo");
    let recipe = format!("{name} {version} {}", features.join(" "));
    once(&root.join(format!("{name}.stamp")), recipe.as_bytes(), || {
        say::step(&format!("Building {name} {version}, once"), || {
            let cargo = Run::new("cargo").args(["install", "--locked", "--force", "--root"]);
            let cargo = cargo.arg(&root).args(["--version", version]).args(features);
            // Its build shares nothing with ours, and leaves nothing behind. It runs for
            // seconds: minutes of optimising would never come back.
            let cargo = cargo.arg(name).dir(cache).env("CARGO_TARGET_DIR", root.join("build"));
            let cargo =
                [("OPT_LEVEL", "1"), ("LTO", "false"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0")]
                    .iter()
                    .fold(cargo, |run, (key, to)| {
                        run.env(&format!("CARGO_PROFILE_RELEASE_{key}"), to)
                    });
            cargo.quiet(log)?;
            crate::files::remove(&root.join("build"))
        })
    })?;
    Ok(root.join("bin").join(name))
}
