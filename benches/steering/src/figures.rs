//! Figures on their way to the scorecard.

use std::path::PathBuf;

use weir_benches_xtask::scorecard::{self, Bar, Put};
use weir_steering_rank::{RecordError, RoutesError, SnapshotError};

use crate::Options;

const COMMAND: &str = "cargo xtask bench rank";

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The fleet of the bench is none.
    #[error("the fleet of the bench: {0}")]
    Snapshot(#[from] SnapshotError),
    /// Its prefixes are none.
    #[error("the prefixes of the bench: {0}")]
    Routes(#[from] RoutesError),
    /// A line of its own cannot be read.
    #[error("a decision that was written cannot be read: {0}")]
    Record(#[from] RecordError),
    /// A snapshot of its own cannot be read.
    #[error("a snapshot that was written cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The scorecard.
    #[error("the scorecard: {0}")]
    Scorecard(String),
}

/// All of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Put>);

impl Figures {
    /// Adds one. `bar` as the scorecard reads it: `1`, `<= 0.6`, `> 0`.
    pub(crate) fn add(
        &mut self,
        id: &str,
        what: &str,
        (bar, unit): (&str, &str),
        measured: f64,
        trials: u64,
        note: String,
    ) {
        let measured = (measured * 1000.0).round() / 1000.0;
        println!("{id}: {measured} {unit} (bar {bar})\n    {note}");
        self.0.push(Put {
            id: id.to_owned(),
            measured,
            trials,
            what: Some(what.to_owned()),
            bar: Some(bar.to_owned()),
            unit: Some(unit.to_owned()),
            command: Some(COMMAND.to_owned()),
            note: Some(note),
        });
    }

    /// Writes them, unless the options say otherwise; whether all bars hold. A short form says
    /// nothing of time.
    pub(crate) fn finish(self, options: &Options) -> Result<bool, BenchError> {
        let mut all_hold = true;
        let record = !options.quick && !options.no_record;
        let root = if record { Some(root()?) } else { None };
        for put in self.0 {
            let bar = put.bar.clone().unwrap_or_default();
            let holds = Bar::parse(&bar).map_err(BenchError::Scorecard)?.holds(put.measured);
            let of_time = put.unit.as_deref() == Some("decisions/s");
            if !holds {
                println!("{}: DOES NOT HOLD", put.id);
            }
            all_hold &= holds || (options.quick && of_time);
            if let Some(root) = &root {
                scorecard::put(root, put).map_err(|why| BenchError::Scorecard(why.to_string()))?;
            }
        }
        Ok(all_hold)
    }
}

/// The repository: the first directory upwards with `docs` and a lock file.
fn root() -> Result<PathBuf, BenchError> {
    let here = std::env::current_dir().map_err(|why| BenchError::Scorecard(why.to_string()))?;
    let root = here.ancestors().find(|it| it.join("docs/scorecard.json").is_file());
    root.map(PathBuf::from).ok_or_else(|| {
        BenchError::Scorecard(format!("{} is in no repository with one", here.display()))
    })
}
