//! `cargo xtask bench NAME`: builds what a benchmark needs and runs it. Benchmarks are
//! programs `bench-NAME` of this workspace; they write their figures with [`crate::scorecard`].

use std::path::Path;

use crate::{
    Failure, apt,
    args::{Args, nearest},
    check::Outcome,
    fuzz, malformed,
    run::Run,
    scorecard::{self, Put},
    systemd, tools, undocumented,
    up::{self, plan::Options, stack::Place},
};

/// Names, and what each shows.
const BENCHES: &[(&str, &str)] = &[
    ("collapse", "100 clients on one cold object: upstream requests, and when bytes begin"),
    ("bad-origin", "seeded origins that misbehave: wrong bytes, waiters left waiting"),
    ("cache-tests", "the public HTTP caching suite, and Debian's Traffic Server in the same run"),
    ("kill", "SIGKILLs under 64 clients: wrong bytes, recovery, and what the disk tier kept"),
    ("disk-death", "four disks that die one after another, and full ones: failed requests"),
    ("reload", "200 reloads and 20 new certificates under load: failed requests"),
    ("rot", "bit flips and cut files in the disk tier while it serves: wrong bytes, detection"),
    (
        "fuzz",
        "cargo-fuzz on what reads bytes from outside, --minutes N for all targets together; \
              --short counts seeded inputs",
    ),
    ("purge", "what a purge costs by the number of objects: its acknowledgement, device bytes"),
    ("recovery", "the first 200 after a kill, with 10^6 objects in the metadata table"),
    ("store", "the disk tier on recorded work: CPU, write amplification, hit ratio, recovery"),
    ("metadata", "RAM an object of the metadata table, and what a kill costs of it"),
    ("fill-storm", "200 cold clients: the peak of resident memory over the budget"),
    ("disk-hot", "CPU seconds per GB from the device, against nginx, each in a memory group"),
    ("systemd", "what systemd-analyze says of the units, and a trial of them under a real systemd"),
    ("unsafe", "unsafe code in the sources, and which of it has no reason above it"),
    ("malformed", "what RFC 9112, 9113 and 9114 call malformed, sent to an edge: refused of sent"),
    ("players", "four stock players in Chromium, all at 1x, over HTTP/2 and HTTP/3"),
    (
        "abuse",
        "good clients beside twelve attacks, one after the other (--only NAME): failures, p99 and \
              memory",
    ),
    ("smuggling", "requests that may be read as two, to origins of five kinds: desyncs"),
    ("poisoning", "an attacker asks first, a good client afterwards: answers that were poisoned"),
    ("overload", "three times the rated load: goodput, recovery and memory"),
    ("amplification", "bytes from upstream for each byte that goes to a client who takes little"),
    ("origin-back", "an upstream that was gone for 20 s: requests it gets after / before"),
    (
        "rank",
        "decisions a second, bytes a prefix, replays, and hysteresis against the newest sample",
    ),
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
    let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
    if !names.contains(&name.as_str()) {
        let near = nearest(&name, &names);
        let hint = near.map_or_else(|| names.join(", "), |near| format!("did you mean `{near}`?"));
        return Err(Failure::usage(format!("there is no benchmark `{name}`; {hint}")));
    }
    let place = Place { root: root.to_owned() };
    if name == "players" {
        return players(&place, args);
    }
    if name == "systemd" {
        return systemd::command(root, args);
    }
    if name == "malformed" {
        return malformed::command(root, args);
    }
    if name == "unsafe" {
        return undocumented::command(root, args);
    }
    // The short form is a program like the others.
    let short = args.flag("--short");
    if name == "fuzz" && !short {
        return fuzz::command(root, args);
    }
    let cargo = Run::new("cargo").args(["run", "--quiet", "--release", "--bin"]);
    let cargo = cargo.arg(format!("bench-{name}")).arg("--").args(args.rest());
    let cargo = if short { cargo.arg("--short") } else { cargo };
    // Nothing but itself is measured.
    if name == "rank" {
        return Ok(cargo.dir(root).status()?.success());
    }
    let log = root.join("target/xtask/setup.log");
    apt::ensure(&[apt::NGINX, apt::H2LOAD, apt::IPROUTE], &log)?;
    if name == "disk-death" {
        apt::ensure(&[apt::XFS], &log)?;
    }
    if name == "cache-tests" {
        apt::ensure(&[apt::NPM, apt::TRAFFIC_SERVER], &log)?;
    }
    tools::python::python(&tools::cache()?, &log)?;
    place.build()?;
    Ok(cargo.dir(root).status()?.success())
}

/// `cargo xtask up --check` in a directory of its own, written to the scorecard.
fn players(place: &Place, mut args: Args) -> Result<bool, Failure> {
    let record = !args.flag("--no-record");
    args.end()?;
    let options = Options::alone(place.root.join("target/xtask/players"), false)?;
    let Outcome { h2, h3 } = up::check(place, &options)?;
    for (protocol, passed) in [("h2", h2), ("h3", h3)].into_iter().filter(|_| record) {
        let what = format!(
            "of hls.js, Shaka HLS, dash.js and Shaka DASH, those that play a film \
                            to its end in headless Chromium with every segment over {protocol}"
        );
        scorecard::put(
            &place.root,
            Put {
                id: format!("players.{protocol}.passed"),
                measured: passed as f64,
                trials: 1,
                what: Some(what),
                bar: Some("4".to_owned()),
                unit: Some("players".to_owned()),
                command: Some("cargo xtask bench players".to_owned()),
                note: None,
            },
        )?;
    }
    Ok(true)
}
