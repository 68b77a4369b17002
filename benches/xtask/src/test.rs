//! `cargo xtask test`: everything that says whether this tree is sound, in one go. `.ci/run`
//! calls it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Failure, apt,
    args::Args,
    check::{self, Outcome},
    compat, interop,
    run::Run,
    say, scorecard, signals, tools,
    up::{
        self,
        plan::Options,
        stack::{Place, Reserved, Stack},
    },
};

/// A stage's name, whether it passed, and how long it took.
type Result3 = (&'static str, bool, Duration);

struct Stages {
    done: Vec<Result3>,
    only: Option<String>,
    /// All there are, wanted or not.
    names: Vec<&'static str>,
}

impl Stages {
    /// Whether a stage is wanted.
    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Runs one stage; a failure is told and counted, and the next stage runs all the same.
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<bool, Failure>) {
        self.names.push(name);
        if signals::asked() || !self.wants(name) {
            return;
        }
        say::head(&format!("── {name}"));
        let begun = Instant::now();
        let passed = work().unwrap_or_else(|why| {
            eprintln!("{name}: {why}");
            false
        });
        self.done.push((name, passed, begun.elapsed()));
    }
}

/// Runs the command; true when every stage passed.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let only = args.value("--only")?;
    args.end()?;
    let place = Place { root: root.to_owned() };
    let cache = tools::cache()?;
    let log = root.join("target/xtask/setup.log");
    // Builds that end in the middle leave nothing that cargo could not go on from.
    let mut stages = Stages { done: Vec::new(), only, names: Vec::new() };

    stages.run("setup", || setup(&place, &cache, &log).map(|()| true));
    stages.run("fmt", || cargo(root, &["fmt", "--all", "--check"]));
    // Tests, benches and programs in one graph, so that each dependency compiles once.
    stages.run("build", || cargo(root, &["build", "--release", "--workspace", "--all-targets"]));
    stages.run("clippy", || {
        let check = ["clippy", "--release", "--workspace", "--all-targets", "--"];
        cargo(root, &[&check[..], &["-D", "warnings"]].concat())
    });
    stages.run("deny", || deny(root));
    stages.run("tests", || {
        let nextest = tools::cargo::nextest(&cache, &log)?;
        let run = ["nextest", "run", "--release", "--workspace", "--profile", "ci"];
        // The S3 adapter's tests hold it against a server that somebody else wrote.
        let moto = tools::python::python(&cache, &log)?.with_file_name("moto_server");
        let nextest = Run::new(nextest).args(run).env("WEIR_MOTO", moto);
        // The gate sees the same cases each time; at the desk the properties explore.
        ran(nextest.env("PROPTEST_RNG_SEED", "1").dir(root))
    });
    stages.run("doc tests", || cargo(root, &["test", "--doc", "--release", "--workspace"]));
    stages.run("s3 compat, ours", || compat::run(&place, "ours"));
    stages.run("s3 compat, moto", || compat::run(&place, "moto"));
    for (stage, bench) in SHORT_FORMS {
        stages.run(stage, || {
            let program = root.join("target/release").join(bench);
            ran(Run::new(program).args(["--quick", "--no-record"]).dir(root))
        });
    }
    if WITH_STACK.iter().any(|name| stages.wants(name)) {
        with_stack(&place, &mut stages);
    }
    stages.names.extend(WITH_STACK);
    stages.run("scorecard", || scorecard::command(root, Args::new(["--check".to_owned()])));
    if let Some(only) = &stages.only
        && stages.done.is_empty()
        && !signals::asked()
    {
        return Err(unknown(only, &stages.names));
    }
    Ok(report(&stages.done))
}

/// Campaigns in a form of seconds; their long forms are `cargo xtask bench`.
const SHORT_FORMS: &[(&str, &str)] = &[
    ("bad origin, short", "bench-bad-origin"),
    ("collapse, short", "bench-collapse"),
    ("hot, short", "bench-hot"),
    ("kill, short", "bench-kill"),
    ("rot, short", "bench-rot"),
    ("fill storm, short", "bench-fill-storm"),
    ("cache tests, short", "bench-cache-tests"),
];

/// The stages that ask running servers, which start and end with them.
const WITH_STACK: [&str; 3] = ["up and down", "h3 interop", "players"];

fn unknown(only: &str, names: &[&'static str]) -> Failure {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    Failure::usage(format!("--only: no stage has `{only}` in its name; {}", names.join(", ")))
}

/// The stages that ask running servers.
fn with_stack(place: &Place, stages: &mut Stages) {
    let begun = Instant::now();
    say::head("── up");
    match start(place) {
        Ok(mut stack) => {
            let up = begun.elapsed();
            stages.run("h3 interop", || interop::run(place, &stack));
            stages.run("players", || check::players(place, &stack, true).map(Outcome::all));
            let ending = Instant::now();
            let orderly = stack.servers.end();
            stages.done.push(("up and down", orderly, up + ending.elapsed()));
        }
        Err(why) => {
            eprintln!("up: {why}");
            stages.done.push(("up and down", false, begun.elapsed()));
        }
    }
}

/// Prints the minutes of each stage and the last line.
fn report(done: &[Result3]) -> bool {
    println!("\nstage             minutes");
    for (name, passed, time) in done {
        let mark = if *passed { "" } else { "  FAILED" };
        println!("{name:<17} {:>7.1}{mark}", time.as_secs_f64() / 60.0);
    }
    let all: Duration = done.iter().map(|(.., time)| *time).sum();
    println!("{:<17} {:>7.1}", "all", all.as_secs_f64() / 60.0);
    if signals::asked() {
        println!("interrupted");
    }
    let failed = done.iter().filter(|(_, passed, _)| !passed).count();
    println!("{} passed, {failed} failed", done.len() - failed);
    failed == 0 && !done.is_empty() && !signals::asked()
}

fn setup(place: &Place, cache: &Path, log: &Path) -> Result<(), Failure> {
    let needs = [
        apt::FFMPEG,
        apt::CHROMIUM,
        apt::NGINX,
        apt::H2LOAD,
        apt::IPROUTE,
        apt::NPM,
        apt::PYTHON,
        apt::VENV,
    ];
    apt::ensure(&needs, log)?;
    tools::node::players(&place.players(), log)?;
    tools::node::cache_tests(&place.root.join("benches/testbed/cache-tests"), log)?;
    tools::node::node(cache, log)?;
    tools::python::python(cache, log)?;
    tools::cargo::nextest(cache, log)?;
    tools::cargo::deny(cache, log)?;
    Ok(())
}

fn cargo(root: &Path, args: &[&str]) -> Result<bool, Failure> {
    ran(Run::new("cargo").args(args).dir(root))
}

fn ran(run: Run) -> Result<bool, Failure> {
    Ok(run.status()?.success())
}

/// `cargo deny`: licences, bans and sources. The advisory database is not asked: what is known
/// to be broken is banned by version.
pub fn deny(root: &Path) -> Result<bool, Failure> {
    let log = root.join("target/xtask/setup.log");
    let deny = tools::cargo::deny(&tools::cache()?, &log)?;
    ran(Run::new(deny).args(["--workspace", "check", "bans", "licenses", "sources"]).dir(root))
}

/// Servers of their own, on free ports, from an empty directory. Everything is built already.
fn start(place: &Place) -> Result<Stack, Failure> {
    let dir: PathBuf = place.root.join("target/xtask/up");
    crate::files::remove(&dir)?;
    let options = Options::alone(dir, true)?;
    let stack = Stack::start(place, &options, Reserved::take(&options)?)?;
    up::tell(&stack)?;
    Ok(stack)
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn a_stage_that_is_none_is_named_with_those_that_are() {
        let failure = unknown("lint", &["fmt", "clippy", "players", "players"]);
        assert!(failure.usage);
        assert_eq!(
            failure.to_string(),
            "--only: no stage has `lint` in its name; clippy, fmt, players"
        );
    }
}
