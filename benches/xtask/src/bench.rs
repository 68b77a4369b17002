//! `cargo xtask bench NAME`: builds what a benchmark needs and runs it. Benchmarks are
//! programs `bench-NAME` of this workspace; they write their figures with [`crate::scorecard`].

use std::path::Path;

use crate::{
    Failure, apt,
    args::{Args, nearest},
    run::Run,
    tools,
    up::stack::Place,
};

/// Names, and what each shows.
const BENCHES: [(&str, &str); 3] = [
    ("collapse", "100 clients on one cold object: upstream requests, and when bytes begin"),
    ("bad-origin", "seeded origins that misbehave: wrong bytes, waiters left waiting"),
    ("hot", "CPU seconds per GB from memory, against Debian's nginx in the same run"),
];

/// Runs the command; true when the benchmark did its work, whatever its figures are.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let Some(name) = args.command() else {
        args.end()?;
        for (name, what) in BENCHES {
            println!("{name:<12} {what}");
        }
        return Ok(true);
    };
    let names = BENCHES.map(|(name, _)| name);
    if !names.contains(&name.as_str()) {
        let near = nearest(&name, &names);
        let hint = near.map_or_else(|| names.join(", "), |near| format!("did you mean `{near}`?"));
        return Err(Failure::usage(format!("there is no benchmark `{name}`; {hint}")));
    }
    let place = Place { root: root.to_owned() };
    let log = root.join("target/xtask/setup.log");
    apt::ensure(&[apt::NGINX, apt::H2LOAD], &log)?;
    tools::python::python(&tools::cache()?, &log)?;
    place.build()?;
    let cargo = Run::new("cargo").args(["run", "--quiet", "--release", "--bin"]);
    let cargo = cargo.arg(format!("bench-{name}")).arg("--").args(args.rest());
    Ok(cargo.dir(root).status()?.success())
}
