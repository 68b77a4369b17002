//! HTTP/3 as others speak it, against a running edge: libcurl and aioquic.

use crate::{
    Failure,
    run::Run,
    tools,
    up::stack::{Place, Stack},
};

/// Runs the script; true when every check passed.
pub fn run(place: &Place, stack: &Stack) -> Result<bool, Failure> {
    let log = place.root.join("target/xtask/setup.log");
    let python = tools::python::python(&tools::cache()?, &log)?;
    let edge = stack.edges.first().ok_or_else(|| Failure::new("no edge runs"))?;
    let address = edge.https.first().ok_or_else(|| Failure::new("the edge serves no HTTPS"))?;
    // The DASH manifest is text of a known size; a few kilobytes are enough to cut ranges from.
    let path = stack.mint(&stack.film.dash, "interop")?;
    let missing = stack.mint(&format!("{}/nothing.m4s", stack.film.prefix()), "interop")?;
    let run = Run::new(python).arg(place.root.join("benches/testbed/h3/interop.py"));
    let run = run.args(["--url", &edge.url(), "--host", &address.ip().to_string()]);
    let run = run.arg("--ca").arg(&stack.ca).args(["--path", &path, "--missing", &missing]);
    Ok(run.status()?.success())
}
