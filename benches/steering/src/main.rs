//! `cargo xtask bench rank`: decisions a second of one core, bytes a prefix, decisions made again
//! byte for byte, and the hysteresis against the newest sample on the same load.

mod figures;
mod fleet;
mod load;
mod ranges;
mod replays;
mod speed;
mod table;

use std::process::ExitCode;

use clap::Parser;

use figures::{BenchError, Figures};

/// What the figures are made with.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench-rank")]
pub(crate) struct Options {
    /// A short form for CI: fewer trials, nothing written to the scorecard.
    #[arg(long, alias = "short")]
    quick: bool,
    /// Write nothing to the scorecard.
    #[arg(long)]
    no_record: bool,
    /// Seeds everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One part only.
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Table,
    Speed,
    Replay,
    Health,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("rank: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<bool, BenchError> {
    let wanted = |part| options.only.is_none_or(|only| only == part);
    let mut figures = Figures::default();
    if wanted(Part::Table) || wanted(Part::Speed) || wanted(Part::Replay) {
        let made = fleet::Made::new(options)?;
        if wanted(Part::Table) {
            table::measure(&made, options, &mut figures);
        }
        if wanted(Part::Speed) {
            speed::measure(&made, options, &mut figures)?;
        }
        if wanted(Part::Replay) {
            replays::measure(&made, options, &mut figures)?;
        }
    }
    if wanted(Part::Health) {
        load::measure(options, &mut figures)?;
    }
    figures.finish(options)
}
