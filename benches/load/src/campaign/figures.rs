//! Figures on their way to the scorecard.

use std::path::{Path, PathBuf};

use weir_benches_xtask::scorecard::{self, Put, Scorecard};

use super::{Options, error::CampaignError};

/// Campaigns that look for wrong bytes and say how much they checked.
const CHECKING: [&str; 2] = ["kill", "rot"];

/// Collects a campaign's figures; prints them, and writes them where they shall be kept.
#[derive(Debug)]
pub struct Figures {
    command: String,
    puts: Vec<Put>,
    /// Which campaign checked bytes, and that it is added to the others'.
    checked: Option<String>,
}

impl Figures {
    /// Those of `cargo xtask bench <campaign>`.
    pub fn of(campaign: &str) -> Self {
        Self { command: format!("cargo xtask bench {campaign}"), puts: Vec::new(), checked: None }
    }

    /// Adds one. `bar` as the scorecard reads it: `1`, `<= 0.6`, `> 0`.
    pub fn add(
        &mut self,
        id: impl Into<String>,
        what: impl Into<String>,
        (bar, unit): (&str, &str),
        measured: f64,
        trials: u64,
        note: Option<String>,
    ) {
        self.puts.push(Put {
            id: id.into(),
            measured: (measured * 1000.0).round() / 1000.0,
            trials,
            what: Some(what.into()),
            bar: Some(bar.to_owned()),
            unit: Some(unit.to_owned()),
            command: Some(self.command.clone()),
            note,
        });
    }

    /// Adds what the campaign's clients checked, in GB; the sum over all campaigns is kept up.
    pub fn checked(&mut self, campaign: &str, gigabytes: f64, trials: u64) {
        self.checked = Some(format!("wrong_bytes.{campaign}.checked_gb"));
        self.add(
            format!("wrong_bytes.{campaign}.checked_gb"),
            "Body bytes that this campaign's clients held against what they ought to be",
            ("> 0", "GB"),
            gigabytes,
            trials,
            None,
        );
    }

    /// The sum of what all campaigns checked, with this one's in place of its last.
    fn total_checked(&self, root: &Path) -> Result<Option<Put>, String> {
        let Some(mine) = &self.checked else { return Ok(None) };
        let card = Scorecard::read(root).map_err(|why| why.to_string())?;
        let others = CHECKING.map(|name| format!("wrong_bytes.{name}.checked_gb"));
        let others = others.iter().filter(|id| *id != mine);
        let others: Vec<_> = others.filter_map(|id| card.get(id)).collect();
        let own = self.puts.iter().filter(|put| put.id == *mine);
        let measured = own.map(|put| put.measured).sum::<f64>()
            + others.iter().map(|figure| figure.measured).sum::<f64>();
        Ok(Some(Put {
            id: "wrong_bytes.total_checked_gb".into(),
            measured: (measured * 1000.0).round() / 1000.0,
            trials: 1 + others.len() as u64,
            what: Some(
                "Body bytes checked by the last run of each campaign that looks for wrong \
                        bytes on purpose, together"
                    .into(),
            ),
            bar: Some("> 0".into()),
            unit: Some("GB".into()),
            command: Some(self.command.clone()),
            note: Some("trials are campaigns".into()),
        }))
    }

    /// Prints every figure, and writes all of them to the scorecard in the repository that
    /// the program was started in, unless the options say otherwise. Whether all bars hold; of a
    /// short form only those that count, since a few trials beside other work say nothing of
    /// time.
    pub fn finish(mut self, options: &Options) -> Result<bool, CampaignError> {
        let scorecard = |why: String| CampaignError::Scorecard(why);
        let mut all_hold = true;
        for put in &self.puts {
            let bar = put.bar.clone().unwrap_or_default();
            let parsed = scorecard::Bar::parse(&bar).map_err(scorecard)?;
            let holds = parsed.holds(put.measured);
            let word = if holds { "holds" } else { "DOES NOT HOLD" };
            let unit = put.unit.clone().unwrap_or_default();
            let of_time = matches!(unit.as_str(), "ms" | "s" | "ratio" | "CPU-s/GB");
            all_hold &= holds || (options.quick && of_time);
            println!("{}: {} {unit} (bar {bar}): {word}", put.id, put.measured);
            if let Some(note) = &put.note {
                println!("    {note}");
            }
        }
        if !options.quick && !options.no_record {
            let root = root()?;
            let total = self.total_checked(&root).map_err(scorecard)?;
            self.puts.extend(total);
            for put in self.puts {
                scorecard::put(&root, put).map_err(|why| scorecard(why.to_string()))?;
            }
        }
        Ok(all_hold)
    }
}

/// The repository: the first directory upwards with `docs` and a workspace.
pub fn root() -> Result<PathBuf, CampaignError> {
    let here = std::env::current_dir()
        .map_err(|source| CampaignError::File { path: ".".into(), source })?;
    let found = here.ancestors().find(|dir| dir.join("benches/load/Cargo.toml").is_file());
    found.map(PathBuf::from).ok_or_else(|| {
        CampaignError::Unfit(format!("{} is not within the repository", here.display()))
    })
}

/// The middle value; of an even count, the mean of the two in the middle. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
