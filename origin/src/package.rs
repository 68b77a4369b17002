//! `weir-origin package FILE…`: films become titles in an object store.
//!
//! Phases of one film, in order: probe, plan, encode, verify, publish. The pure decisions
//! (ladder, keys, playlists) are `weir-origin-media`'s; here are the child processes, the
//! disk and the store. See `weir_origin_media::key` for what a title looks like in a store.

mod child;
mod cut;
mod encode;
mod error;
mod film;
mod probe;
mod progress;
mod publish;
mod result;
pub mod sample;
mod target;
mod tools;
mod verify;
mod work;

use std::{
    io::{Write, stderr, stdout},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{ArgGroup, Args as ClapArgs};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use error::PackageError;

use self::{
    film::{Bench, Undo},
    result::{Outcome, Report, human},
};

/// Threads that one encoder may use unless told otherwise; x264 gains little beyond.
const MOST_THREADS: usize = 16;
/// How long an interrupted run may take back what it put into the store.
const UNDO: Duration = Duration::from_secs(10);

/// What `weir-origin package` is told.
#[derive(Debug, Clone, ClapArgs)]
#[command(group(ArgGroup::new("target").required(true).args(["to", "to_dir"])))]
pub struct Args {
    /// Films to package, each into a title of its own.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Title to publish under; made from the file's name when left out.
    #[arg(long, value_name = "ID")]
    pub title: Option<String>,
    /// S3 server to publish to, such as http://127.0.0.1:9000.
    #[arg(long, value_name = "URL", requires = "credentials")]
    pub to: Option<String>,
    /// File with `access_key` and `secret_key`, in TOML.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub credentials: Option<PathBuf>,
    /// Region that requests are signed for.
    #[arg(long, default_value = "local")]
    pub region: String,
    /// Store directory to publish into; no server may be using it.
    #[arg(long, value_name = "DIR")]
    pub to_dir: Option<PathBuf>,
    /// Bucket to publish into.
    #[arg(long, default_value = "films")]
    pub bucket: String,
    /// Length of a segment, between 1s and 12s.
    #[arg(long, default_value = "4s", value_name = "TIME")]
    pub segment: weir_config_units::Duration,
    /// Threads of an encoder; all cores, at most 16, when left out. Part of what makes a
    /// version, because x264's output depends on it.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// How long one film may take.
    #[arg(long, default_value = "12h", value_name = "TIME")]
    pub time_limit: weir_config_units::Duration,
    /// Where encoded films lie until they are published; needs their size.
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Print the results as JSON.
    #[arg(long)]
    pub json: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Packages every file in turn; one that fails does not stop the others. The status is 0
/// where all were published, 1 where one failed, 130 where it was interrupted.
pub async fn run(args: Args) -> ExitCode {
    let mut signals = match Interrupt::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&PackageError::Signals(error)),
    };
    let bench = match Bench::prepare(&args).await {
        Ok(bench) => bench,
        Err(error) => return none(&args, &error),
    };
    let mut outcomes = Vec::new();
    let mut interrupted = false;
    for file in &args.files {
        let undo = Undo::default();
        let work = tokio::time::timeout(args.time_limit.as_std(), bench.package(file, &undo));
        let outcome = tokio::select! {
            done = work => done.unwrap_or(Err(PackageError::TimeLimit(args.time_limit.as_std()))),
            () = signals.heard() => {
                interrupted = true;
                Err(PackageError::Interrupted)
            }
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                let left = tokio::select! {
                    left = tokio::time::timeout(UNDO, undo.run()) => left.unwrap_or(1),
                    () = signals.heard() => 1,
                };
                let mut error = error.chain();
                if left > 0 {
                    error.push_str(
                        "; the store keeps some objects of the unpublished version, which the \
                         next run of this film uses again",
                    );
                }
                Outcome::Failed { file: file.clone(), error }
            }
        };
        if !args.json {
            say(&human(&outcome, &bench.base()), matches!(outcome, Outcome::Failed { .. }));
        }
        outcomes.push(outcome);
        if interrupted {
            break;
        }
    }
    if args.json {
        report(&outcomes);
    }
    let failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
    match (interrupted, failed) {
        (true, _) => ExitCode::from(130),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    }
}

/// Nothing could even begin.
fn none(args: &Args, error: &PackageError) -> ExitCode {
    if args.json {
        let failed = |file: &PathBuf| Outcome::Failed { file: file.clone(), error: error.chain() };
        report(&args.files.iter().map(failed).collect::<Vec<_>>());
    }
    fail(error)
}

fn report(outcomes: &[Outcome]) {
    let report = Report { schema: "weir-package/v1", results: outcomes };
    let mut text = serde_json::to_string_pretty(&report).expect("plain fields are JSON");
    text.push('\n');
    say(&text, false);
}

fn fail(error: &PackageError) -> ExitCode {
    say(&format!("FAILED {}\n", error.chain()), true);
    ExitCode::FAILURE
}

/// Results on stdout, what went wrong on stderr. A closed pipe is its reader's choice.
fn say(text: &str, wrong: bool) {
    let _ = if wrong {
        stderr().write_all(text.as_bytes())
    } else {
        stdout().write_all(text.as_bytes())
    };
}

/// What a person or a service manager ends a run with.
struct Interrupt([Signal; 3]);

impl Interrupt {
    fn listen() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn heard(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
