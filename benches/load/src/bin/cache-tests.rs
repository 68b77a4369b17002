//! `cargo xtask bench cache-tests`: the public HTTP caching suite against the edge, and in the
//! full form against Debian's Traffic Server in the same run.

use std::{fs, net::SocketAddr, path::Path, process::Command, process::ExitCode, time::Duration};

use clap::Parser;
use weir_benches_load::campaign::{
    CampaignError, Figures, Options, Place,
    ats::{self, Ats},
    process::{Process, free_address, status_of},
    program, sibling,
    suite::{AllowList, Kind, Origin, Outcome, count},
};

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(20);
/// Plain HTTP on loopback, one transparent service, nothing else.
const CONFIG: &str = include_str!("../../../testbed/cache-tests/edge.toml");

/// The public HTTP caching suite.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Run one test against the edge, and show its messages.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> ExitCode {
    program::ended("cache-tests", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let place = Place::new(options)?;
    let mut origin = Origin::start(place.path())?;
    let (mut edge, address) = start(place.path(), origin.address())?;
    if let Some(only) = &arguments.only {
        let outcomes = origin.run(address, Some(only))?;
        edge.stop(STOP)?;
        for Outcome { id, verdict, message, .. } in &outcomes {
            println!("{id}: {verdict} {message}");
        }
        return Ok(outcomes.iter().all(Outcome::passed));
    }
    let ours = origin.run(address, None)?;
    edge.check()?;
    edge.stop(STOP)?;
    tell("weir-edge", &ours);

    let list = AllowList::read()?;
    let problems = list.problems(&ours);
    for problem in &problems {
        println!("  {problem}");
    }
    println!("{} not as the allow-list says", problems.len());
    if options.quick {
        return Ok(problems.is_empty());
    }
    let mut peer = Ats::start(place.path(), origin.address())?;
    let theirs = origin.run(peer.address(), None)?;
    peer.check()?;
    let version = ats::version()?;
    tell(&version, &theirs);
    let hold = figures(&ours, &theirs, &list, &version).finish(options)?;
    Ok(hold && problems.is_empty())
}

/// The real edge, transparent, in front of the suite's origin.
fn start(place: &Path, origin: SocketAddr) -> Result<(Process, SocketAddr), CampaignError> {
    let directory = place.join("edge");
    let (http, admin) = (free_address()?, free_address()?);
    for part in ["state", "run", "log"] {
        let path = directory.join(part);
        fs::create_dir_all(&path).map_err(|source| CampaignError::File { path, source })?;
    }
    let config = CONFIG
        .replace("@HTTP@", &http.to_string())
        .replace("@ADMIN@", &admin.to_string())
        .replace("@ORIGIN@", &origin.to_string());
    let path = directory.join("edge.toml");
    fs::write(&path, config)
        .map_err(|source| CampaignError::File { path: path.clone(), source })?;
    let mut command = Command::new(sibling("weir-edge")?);
    command.arg("--config").arg(&path);
    let mut edge = Process::start("weir-edge", &mut command, &directory.join("log/edge.out"))?;
    edge.wait_until(START, || status_of(admin, "/readyz") == Some(200))?;
    Ok((edge, http))
}

fn tell(who: &str, outcomes: &[Outcome]) {
    let part = |kind| {
        let (passed, all) = count(outcomes, kind);
        format!("{passed} of {all}")
    };
    println!(
        "{who}: required {}, optimal {}, check {}",
        part(Kind::Required),
        part(Kind::Optimal),
        part(Kind::Check)
    );
}

fn figures(ours: &[Outcome], theirs: &[Outcome], list: &AllowList, peer: &str) -> Figures {
    let mut figures = Figures::of("cache-tests");
    let names = [
        (Kind::Required, "required", "Required"),
        (Kind::Optimal, "optimal", "Optimal"),
        (Kind::Check, "check", "Check"),
    ];
    for (kind, name, title) in names {
        let (passed, all) = count(ours, kind);
        let (peers, _) = count(theirs, kind);
        let what = format!(
            "{title} tests of npm's http-cache-tests 0.4.5 that pass through the edge (preset \
             proxy), of {all}"
        );
        let note = match kind {
            Kind::Check => {
                format!("Questions without a right answer; {peer} says yes to {peers}")
            }
            _ => format!(
                "{} stand in benches/testbed/cache-tests/allow.txt with their reasons; {peer} \
                 passes {peers} in the same run",
                list.excused(ours, kind)
            ),
        };
        let bar = if kind == Kind::Check { "> 0".to_owned() } else { format!("> {peers}") };
        let id = format!("cache_tests.{name}");
        figures.add(id, what, (&bar, "tests"), passed as f64, 1, Some(note));
        if kind == Kind::Required {
            let what = format!(
                "{title} tests of the same suite, of {all}, that {peer} passes in the same run, \
                 with its defaults"
            );
            figures.add("cache_tests.required.ats", what, ("> 0", "tests"), peers as f64, 1, None);
        }
    }
    figures
}
