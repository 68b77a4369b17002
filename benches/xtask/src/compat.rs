//! `cargo xtask s3-compat`: holds an S3 server against what Weir expects of one. The same
//! script asks the embedded server and servers that others wrote.

use std::path::Path;

use crate::{Failure, args::Args, run::Run, tools, up::stack::Place};

const SERVERS: [&str; 3] = ["ours", "moto", "garage"];

/// Runs the command.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let server = args.required("--server")?;
    args.end()?;
    if !SERVERS.contains(&server.as_str()) {
        return Err(Failure::usage(format!(
            "--server: `{server}` is none of {}",
            SERVERS.join(", ")
        )));
    }
    let place = Place { root: root.to_owned() };
    if server == "ours" {
        place.build()?;
    }
    run(&place, &server)
}

/// Runs the script against one server; true when every check passed.
pub fn run(place: &Place, server: &str) -> Result<bool, Failure> {
    let log = place.root.join("target/xtask/setup.log");
    let cache = tools::cache()?;
    let python = tools::python::python(&cache, &log)?;
    let script = place.root.join("benches/testbed/s3/compat.py");
    let run = Run::new(python).arg(script).args(["--server", server]);
    let run = match server {
        "ours" => run.arg("--origin").arg(place.program("weir-origin")),
        "garage" => run.arg("--garage").arg(tools::cargo::garage(&cache, &log)?),
        _ => run,
    };
    Ok(run.dir(&place.root).status()?.success())
}
