//! `cargo xtask bench fuzz --short`: seeded mutations of every fuzz target's corpus, counted.
//!
//! The same inputs each time, on all cores. An input that fails is left in `target/fuzz/failed`;
//! it belongs into `edge/fuzz/corpus`. What looks where the code goes is cargo-fuzz, which
//! `cargo xtask bench fuzz --minutes N` runs on the same targets.

use std::{
    collections::BTreeMap,
    fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use parking_lot::Mutex;
use weir_benches_load::campaign::{CampaignError, Figures, Options, figures, program};
use weir_edge_fuzz::{COUNTED_MIN, TARGETS, Target, mutate::Mutations};

/// Inputs that are made from one seed, so that all cores have something to do to the end.
const SHARE: u32 = 2500;
/// All inputs together, at least.
const INPUTS_MIN: u64 = 1_000_000;
const NO_CONTROL: &str = "no control: there is no code under test without its checks; that an \
                          input which panics is counted and kept has a test, with one planted";
/// Inputs that are kept of one target.
const KEPT: u64 = 20;

#[derive(Debug, Parser)]
#[command(name = "bench-fuzz")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// One target only; nothing is written to the scorecard.
    #[arg(long)]
    target: Option<String>,
}

/// What came of one target.
#[derive(Debug, Default)]
struct Came {
    inputs: u64,
    crashes: u64,
    took: Duration,
}

fn main() -> ExitCode {
    program::ended("fuzz", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<bool, CampaignError> {
    // There is one form only: it is the short one.
    let mut options = Options { quick: false, ..arguments.options.clone() };
    let known = |target: &&Target| arguments.target.as_ref().is_none_or(|name| target.name == name);
    let targets: Vec<&Target> = TARGETS.iter().filter(known).collect();
    if targets.is_empty() {
        let names = TARGETS.map(|target| target.name).join(", ");
        return Err(CampaignError::Unfit(format!("there is no such target; {names}")));
    }
    options.no_record |= arguments.target.is_some();
    let failed = figures::root()?.join("target/fuzz/failed");
    // Caught panics of what is under test are many, and printing each costs more than the input.
    panic::set_hook(Box::new(|_| ()));
    let came = all(&targets, options.seed, &failed)?;
    drop(panic::take_hook());
    for (name, Came { inputs, crashes, took }) in &came {
        println!("{name:<12} {inputs:>8} inputs, {crashes} crashes, {:.1} s", took.as_secs_f64());
    }
    report(&came, arguments.target.is_some()).finish(&options)
}

fn all(
    targets: &[&Target],
    seed: u64,
    failed: &Path,
) -> Result<BTreeMap<&'static str, Came>, CampaignError> {
    let mut shares = Vec::new();
    for target in targets {
        let file = |source| CampaignError::File { path: target.name.into(), source };
        let corpus = target.corpus().map_err(file)?;
        let counted = target.counted();
        for (number, from) in (0..counted).step_by(SHARE as usize).enumerate() {
            shares.push((*target, corpus.clone(), number as u64, SHARE.min(counted - from)));
        }
    }
    let (next, came) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<_, Came>::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = || {
            while let Some((target, corpus, number, inputs)) =
                shares.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let begun = Instant::now();
                // The corpus itself comes once.
                let own = corpus.iter().filter(|_| *number == 0).cloned();
                let mutations = Mutations::new(corpus, seed << 32 | number, target.longest);
                let inputs = own.chain(mutations.take(*inputs as usize));
                let (mut ran, mut crashes) = (0, 0);
                for input in inputs {
                    ran += 1;
                    if panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                        crashes += 1;
                        keep(failed, target.name, *number, ran, &input);
                    }
                }
                let mut came = came.lock();
                let came = came.entry(target.name).or_default();
                came.inputs += ran;
                came.crashes += crashes;
                came.took += begun.elapsed();
            }
        };
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    Ok(came.into_inner())
}

/// Leaves an input that failed where somebody finds it.
fn keep(failed: &Path, name: &str, share: u64, number: u64, input: &[u8]) {
    let folder: PathBuf = failed.join(name);
    let there = fs::read_dir(&folder).map_or(0, |entries| entries.count() as u64);
    if there < KEPT && fs::create_dir_all(&folder).is_ok() {
        let file = folder.join(format!("seeded-{share}-{number}"));
        match fs::write(&file, input) {
            Ok(()) => println!("{name}: an input fails, see {}", file.display()),
            Err(why) => println!("{name}: b\"{}\" fails ({why})", input.escape_ascii()),
        }
    }
}

fn report(came: &BTreeMap<&str, Came>, one: bool) -> Figures {
    let mut figures = Figures::of("fuzz --short");
    let inputs: u64 = came.values().map(|came| came.inputs).sum();
    let crashes: u64 = came.values().map(|came| came.crashes).sum();
    let least = came.iter().min_by_key(|(_, came)| came.inputs);
    let (name, least) = least.map_or(("none", 0), |(name, came)| (*name, came.inputs));
    let bar = if one { u64::from(COUNTED_MIN) } else { INPUTS_MIN };
    let each: Vec<String> =
        came.iter().map(|(name, came)| format!("{name} {}", came.inputs)).collect();
    figures.add(
        "fuzz.inputs",
        "Inputs of all fuzz targets in a CI run: their corpora, and seeded mutations of these",
        (&format!(">= {bar}"), "inputs"),
        inputs as f64,
        came.len() as u64,
        Some(each.join(", ")),
    );
    figures.add(
        "fuzz.inputs.least",
        "Inputs of the target that has the fewest",
        (&format!(">= {COUNTED_MIN}"), "inputs"),
        least as f64,
        came.len() as u64,
        Some(name.to_owned()),
    );
    figures.add(
        "fuzz.crashes",
        "Of all these inputs, those at which a promise of the code under test does not hold",
        ("0", "inputs"),
        crashes as f64,
        inputs,
        Some(NO_CONTROL.to_owned()),
    );
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_panics_is_counted_and_kept() {
        let panics = |input: &[u8]| assert!(!input.starts_with(b"b"), "planted");
        let planted = Target { run: panics, short: 100, ..weir_edge_fuzz::target("range") };
        let folder = tempfile::tempdir().expect("a temporary directory");
        panic::set_hook(Box::new(|_| ()));
        let came = all(&[&planted], 1, folder.path()).expect("it has a corpus");
        let came = &came["range"];
        assert!(came.inputs >= u64::from(COUNTED_MIN), "{came:?}");
        assert!(came.crashes > 0 && came.crashes < came.inputs, "{came:?}");
        let kept = fs::read_dir(folder.path().join("range")).expect("some were kept");
        let kept: Vec<_> = kept.map(|entry| entry.expect("readable").path()).collect();
        assert!(!kept.is_empty() && kept.len() as u64 <= KEPT + 4, "{}", kept.len());
        for file in kept {
            assert!(fs::read(file).expect("readable").starts_with(b"b"));
        }
    }
}
