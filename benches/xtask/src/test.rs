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
    compat,
    interop::{self, Kit},
    monitoring, room,
    run::Run,
    say, scorecard, signals, systemd,
    tee::Tee,
    tools,
    up::{
        self,
        plan::Options,
        stack::{Place, Reserved, Stack},
    },
};

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Passed,
    Failed,
    /// This host lacks what it needs, and it said what.
    Skipped,
}

impl From<bool> for Ended {
    fn from(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// With this status a campaign says that it could not run here, and has said why.
const SKIPPED: i32 = 77;

/// A stage that has ended.
struct Done {
    name: &'static str,
    ended: Ended,
    took: Duration,
    /// What it said, in short; of one that passed nothing.
    said: Vec<String>,
}

struct Stages {
    done: Vec<Done>,
    tee: Tee,
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
    fn run<E: Into<Ended>>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<E, Failure>,
    ) {
        self.names.push(name);
        if signals::asked() || !self.wants(name) {
            return;
        }
        self.tee.forget();
        say::head(&format!("── {name}"));
        let begun = Instant::now();
        let ended = work().map_or_else(
            |why| {
                eprintln!("{name}: {why}");
                Ended::Failed
            },
            Into::into,
        );
        self.ended(name, ended, begun.elapsed());
    }

    fn ended(&mut self, name: &'static str, ended: Ended, took: Duration) {
        let said = if ended == Ended::Passed { Vec::new() } else { self.tee.told() };
        self.done.push(Done { name, ended, took, said });
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
    let tee = Tee::begin();
    let mut stages = Stages { done: Vec::new(), tee, only, names: Vec::new() };
    let lacks = room::lacks(root)?;
    if let Some(lacks) = &lacks {
        say::note(lacks);
    }

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
    stages.run("traces", || interop::traces(&place));
    stages.run("monitoring", || monitoring::rules(root));
    stages.run("s3 compat, ours", || compat::run(&place, "ours"));
    stages.run("s3 compat, moto", || compat::run(&place, "moto"));
    for (stage, bench) in SHORT_FORMS {
        stages.run(stage, || {
            let program = root.join("target/release").join(bench);
            short(Run::new(program).args(["--quick", "--no-record"]).dir(root))
        });
    }
    stages.run("systemd nspawn", || {
        systemd::trial(root).map(|passed| passed.map_or(Ended::Skipped, Ended::from))
    });
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
    let Stages { done, tee, .. } = stages;
    // What is said from here on goes where it always went.
    drop(tee);
    let passed = report(&done);
    if let Some(lacks) = lacks.filter(|_| !passed) {
        println!("{lacks}");
    }
    Ok(passed)
}

/// Campaigns in a form of seconds; their long forms are `cargo xtask bench`.
const SHORT_FORMS: &[(&str, &str)] = &[
    ("bad origin, short", "bench-bad-origin"),
    ("collapse, short", "bench-collapse"),
    ("hot, short", "bench-hot"),
    ("kill, short", "bench-kill"),
    ("reload, short", "bench-reload"),
    ("rot, short", "bench-rot"),
    ("disk death, short", "bench-disk-death"),
    ("fill storm, short", "bench-fill-storm"),
    ("metadata, short", "bench-metadata"),
    ("recovery, short", "bench-recovery"),
    ("purge, short", "bench-purge"),
    ("cache tests, short", "bench-cache-tests"),
    ("fuzz, short", "bench-fuzz"),
    ("smuggling, short", "bench-smuggling"),
    ("poisoning, short", "bench-poisoning"),
    ("amplification, short", "bench-amplification"),
    ("origin back, short", "bench-origin-back"),
    ("overload, short", "bench-overload"),
    ("abuse, short", "bench-abuse"),
];

/// The kits of the protocols, each a stage.
const KITS: [(&str, Kit); 3] =
    [("h1 interop", Kit::H1), ("h2 interop", Kit::H2), ("h3 interop", Kit::H3)];

/// The stages that ask running servers, which start and end with them.
const WITH_STACK: [&str; 7] =
    ["up and down", "h1 interop", "h2 interop", "h3 interop", "players", "metrics", "page"];

fn unknown(only: &str, names: &[&'static str]) -> Failure {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    Failure::usage(format!("--only: no stage has `{only}` in its name; {}", names.join(", ")))
}

/// The stages that ask running servers.
fn with_stack(place: &Place, stages: &mut Stages) {
    let begun = Instant::now();
    stages.tee.forget();
    say::head("── up");
    match start(place) {
        Ok(mut stack) => {
            let up = begun.elapsed();
            for (stage, kit) in KITS {
                stages.run(stage, || interop::run(place, &stack, kit).map(|found| found.passed));
            }
            stages.run("players", || check::players(place, &stack, true).map(Outcome::all));
            // After the players: everything that can be counted was.
            stages.run("metrics", || monitoring::metrics(&place.root, &stack));
            stages.run("page", || monitoring::page(place, &stack));
            let ending = Instant::now();
            stages.tee.forget();
            let orderly = stack.servers.end();
            stages.ended("up and down", orderly.into(), up + ending.elapsed());
        }
        Err(why) => {
            eprintln!("up: {why}");
            stages.ended("up and down", Ended::Failed, begun.elapsed());
        }
    }
}

/// Prints the minutes of each stage, why those failed that did, and the last line.
fn report(done: &[Done]) -> bool {
    print!("{}", summary(done));
    if signals::asked() {
        println!("interrupted");
    }
    let count = |wanted| done.iter().filter(|stage| stage.ended == wanted).count();
    let [passed, failed, skipped] = [Ended::Passed, Ended::Failed, Ended::Skipped].map(count);
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0 && passed > 0 && !signals::asked()
}

/// The table, and for each stage that did not pass what it said, in short.
fn summary(done: &[Done]) -> String {
    let mut text = String::from("\nstage             minutes\n");
    let minutes = |time: Duration| time.as_secs_f64() / 60.0;
    let mut line = |name: &str, took: Duration, mark: &str| {
        text.push_str(&format!("{name:<17} {:>7.1}{mark}\n", minutes(took)));
    };
    for Done { name, ended, took, .. } in done {
        let mark = match ended {
            Ended::Passed => "",
            Ended::Failed => "  FAILED, see below why",
            Ended::Skipped => "  skipped, see below why",
        };
        line(name, *took, mark);
    }
    line("all", done.iter().map(|stage| stage.took).sum(), "");
    for Done { name, ended, said, .. } in done {
        let said: Vec<&String> = match ended {
            Ended::Passed => continue,
            Ended::Failed => said.iter().collect(),
            Ended::Skipped => said.iter().filter(|line| line.contains("skipped")).collect(),
        };
        let what = if *ended == Ended::Failed { "FAILED" } else { "skipped" };
        text.push_str(&format!("\n{name}: {what}\n"));
        for line in said {
            text.push_str(&format!("  │ {line}\n"));
        }
    }
    text.push('\n');
    text
}

fn setup(place: &Place, cache: &Path, log: &Path) -> Result<(), Failure> {
    let needs = [
        apt::FFMPEG,
        apt::CHROMIUM,
        apt::NGINX,
        apt::H2LOAD,
        apt::IPROUTE,
        apt::XFS,
        apt::NPM,
        apt::PYTHON,
        apt::VENV,
        apt::PROMETHEUS,
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

/// A campaign's short form, which may have found that it cannot run here.
fn short(run: Run) -> Result<Ended, Failure> {
    let status = run.status()?;
    Ok(if status.code() == Some(SKIPPED) { Ended::Skipped } else { status.success().into() })
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
    use std::time::Duration;

    use super::{Done, Ended, Run, report, short, summary, unknown};

    #[test]
    fn what_was_skipped_has_neither_passed_nor_failed() {
        let check = |code: &str, expected| {
            let ended = short(Run::new("sh").args(["-c", &format!("exit {code}")]));
            assert_eq!(ended.expect("a shell"), expected, "{code}");
        };
        check("0", Ended::Passed);
        check("1", Ended::Failed);
        check("77", Ended::Skipped);
        let stage = |ended| Done { name: "x", ended, took: Duration::ZERO, said: Vec::new() };
        assert!(report(&[stage(Ended::Passed), stage(Ended::Skipped)]));
        assert!(!report(&[stage(Ended::Passed), stage(Ended::Failed)]));
        assert!(!report(&[stage(Ended::Skipped)]), "nothing was shown");
    }

    #[test]
    fn the_end_says_why() {
        let stage = |name, ended, said: &[&str]| {
            let said = said.iter().map(|line| (*line).to_owned()).collect();
            Done { name, ended, took: Duration::from_secs(90), said }
        };
        let done = [
            stage("fmt", Ended::Passed, &[]),
            stage("tests", Ended::Failed, &["panicked at src/a.rs", "error: test run failed"]),
            stage("abuse, short", Ended::Skipped, &["▸ ── abuse", "skipped: no namespaces"]),
        ];
        let expected = "
stage             minutes
fmt                   1.5
tests                 1.5  FAILED, see below why
abuse, short          1.5  skipped, see below why
all                   4.5

tests: FAILED
  │ panicked at src/a.rs
  │ error: test run failed

abuse, short: skipped
  │ skipped: no namespaces

";
        assert_eq!(summary(&done), expected);
    }

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
