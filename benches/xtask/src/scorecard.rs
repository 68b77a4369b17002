//! `docs/scorecard.json`: every figure that was measured, its bar, and how to measure it
//! again. The tables in `docs/` are made from it.

mod figure;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

pub use figure::{Bar, Figure};

use crate::{Failure, args::Args, files, run::Run, s3::Stamp};

/// A figure to be written. What is none stays as it was written before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Put {
    /// Its id.
    pub id: String,
    /// What was measured; the value that `bar` and `unit` speak of.
    pub measured: f64,
    /// How often it was measured; `measured` is the median or the worst, as `what` says.
    pub trials: u64,
    /// What it means.
    pub what: Option<String>,
    /// What it must be: `1`, `<= 0.6`, `> 0`.
    pub bar: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// The command that measures it again.
    pub command: Option<String>,
    /// What a reader must know besides.
    pub note: Option<String>,
}

/// All figures of one repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Scorecard {
    figures: Vec<Figure>,
}

fn file(root: &Path) -> PathBuf {
    root.join("docs/scorecard.json")
}

impl Scorecard {
    /// Reads the figures of the repository at `root`; none when there is no file yet.
    pub fn read(root: &Path) -> Result<Self, Failure> {
        let text = files::read(&file(root))?.unwrap_or_else(|| "[]".to_owned());
        Self::parse(&text).map_err(|why| Failure::new(format!("docs/scorecard.json: {why}")))
    }

    /// Reads figures from JSON.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|why| why.to_string())?;
        let list = value.as_array().ok_or("it is no array of figures")?;
        let figures: Result<Vec<_>, _> = list.iter().map(Figure::from_json).collect();
        Ok(Self { figures: figures? })
    }

    /// Every contradiction in it.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (at, figure) in self.figures.iter().enumerate() {
            let id = &figure.id;
            if self.figures[..at].iter().any(|before| before.id == *id) {
                found.push(format!("{id} is there twice"));
            }
            if figure.holds != figure.bar.holds(figure.measured) {
                found.push(format!(
                    "{id}: holds is {}, but {} against the bar `{}` says otherwise",
                    figure.holds, figure.measured, figure.bar
                ));
            }
            if let Some(of) = id.strip_suffix(".control") {
                if self.get(of).is_none() {
                    found.push(format!("{id} controls {of}, which is not there"));
                }
            } else if figure.bar.is_zero() {
                let control = self.get(&format!("{id}.control"));
                let proven = control.is_some_and(|control| control.measured > 0.0);
                let noted = figure.note.as_ref().is_some_and(|note| !note.trim().is_empty());
                if !proven && !noted {
                    found.push(format!(
                        "{id}: its bar is 0, so it needs {id}.control above 0 (the same command \
                         with the protection off), or a note that says why there is none"
                    ));
                }
            }
        }
        found
    }

    /// The figure of that id.
    pub fn get(&self, id: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.id == id)
    }

    /// Adds or replaces a figure.
    pub fn put(&mut self, put: Put, commit: &str, date: &str) -> Result<(), Failure> {
        let before = self.get(&put.id).cloned();
        let id = put.id;
        let need = |name: &str, given: Option<String>, old: Option<String>| {
            given.or(old).ok_or_else(|| {
                Failure::usage(format!("{id} is new: --{name} says what it is from now on"))
            })
        };
        let old = |of: fn(&Figure) -> String| before.as_ref().map(of);
        let bar = need("bar", put.bar, old(|f| f.bar.to_string()))?;
        let bar = Bar::parse(&bar).map_err(|why| Failure::usage(format!("--bar: {why}")))?;
        let figure = Figure {
            what: need("what", put.what, old(|f| f.what.clone()))?,
            unit: need("unit", put.unit, old(|f| f.unit.clone()))?,
            command: need("command", put.command, old(|f| f.command.clone()))?,
            note: put.note.or_else(|| before.as_ref().and_then(|f| f.note.clone())),
            holds: bar.holds(put.measured),
            bar,
            measured: put.measured,
            trials: put.trials,
            commit: commit.to_owned(),
            date: date.to_owned(),
            id,
        };
        figure.check().map_err(Failure::usage)?;
        self.figures.retain(|f| f.id != figure.id);
        self.figures.push(figure);
        self.figures.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(())
    }

    /// As the file holds it.
    pub fn to_json(&self) -> String {
        let all: Vec<String> = self.figures.iter().map(Figure::to_json).collect();
        format!("[\n{}\n]\n", all.join(",\n"))
    }
}

/// Writes a measured figure into the scorecard of the repository at `root`, with today's date
/// and the commit that is checked out. Two writers at once wait for each other.
pub fn put(root: &Path, put: Put) -> Result<(), Failure> {
    let docs = root.join("docs");
    files::directory(&docs)?;
    let lock = fs::File::open(&docs).and_then(|dir| dir.lock().map(|()| dir));
    let lock = lock.map_err(|why| Failure::path("lock", &docs, &why))?;
    let commit = Run::new("git").args(["rev-parse", "--short=12", "HEAD"]).dir(root).output()?;
    let mut card = Scorecard::read(root)?;
    card.put(put, commit.trim(), &Stamp::of(SystemTime::now()).date())?;
    let written = files::write(&file(root), card.to_json().as_bytes());
    drop(lock);
    written
}

/// `cargo xtask scorecard [--check]` and `cargo xtask scorecard put …`.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    if let Some(word) = args.command() {
        if word != "put" {
            return Err(Failure::usage(format!("scorecard knows `put`, not `{word}`")));
        }
        let number = |name: &str, text: String| {
            text.parse().map_err(|_| Failure::usage(format!("{name}: `{text}` is no number")))
        };
        let given = Put {
            id: args.required("--id")?,
            measured: number("--measured", args.required("--measured")?)?,
            trials: number("--trials", args.value("--trials")?.unwrap_or("1".into()))? as u64,
            what: args.value("--what")?,
            bar: args.value("--bar")?,
            unit: args.value("--unit")?,
            command: args.value("--command")?,
            note: args.value("--note")?,
        };
        args.end()?;
        put(root, given)?;
        table::write(root, &Scorecard::read(root)?)?;
        return Ok(true);
    }
    let check = args.flag("--check");
    args.end()?;
    let card = Scorecard::read(root)?;
    let mut problems = card.problems();
    if check {
        problems.extend(table::stale(root, &card)?);
    } else {
        table::write(root, &card)?;
    }
    let failing: Vec<&Figure> = card.figures.iter().filter(|figure| !figure.holds).collect();
    for figure in &failing {
        println!(
            "does not hold: {} is {} {}, bar {} ({})",
            figure.id, figure.measured, figure.unit, figure.bar, figure.command
        );
    }
    for problem in &problems {
        println!("inconsistent: {problem}");
    }
    let held = card.figures.len() - failing.len();
    println!("{held} hold, {} do not hold, {} inconsistent", failing.len(), problems.len());
    Ok(problems.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_of(id: &str, bar: &str, measured: f64) -> Put {
        Put {
            id: id.into(),
            measured,
            trials: 3,
            what: Some("what it is".into()),
            bar: Some(bar.into()),
            unit: Some("count".into()),
            command: Some("cargo xtask bench x".into()),
            note: None,
        }
    }

    fn card(puts: &[Put]) -> Scorecard {
        let mut card = Scorecard { figures: Vec::new() };
        for put in puts {
            card.put(put.clone(), "0123456789ab", "2026-11-20").expect("a whole figure");
        }
        card
    }

    #[test]
    fn what_is_written_is_read() {
        let mut with_note = put_of("b", "0", 0.0);
        with_note.note = Some("a \"quoted\" note".into());
        let card = card(&[with_note, put_of("a.x|y", "<= 0.6", 0.55)]);
        let json = card.to_json();
        assert!(json.find("a.x|y") < json.find("\"b\""), "in the order of ids");
        assert_eq!(Scorecard::parse(&json), Ok(card));
    }

    #[test]
    fn a_new_measurement_keeps_what_was_said() {
        let mut card = card(&[put_of("a", "<= 5", 4.0)]);
        let again = Put { id: "a".into(), measured: 6.0, trials: 9, ..Put::default() };
        card.put(again, "ba9876543210", "2026-11-21").expect("known");
        let figure = card.get("a").expect("it is there");
        assert_eq!((figure.holds, figure.trials, figure.what.as_str()), (false, 9, "what it is"));
        let new = Put { id: "z".into(), ..Put::default() };
        let text = card.put(new, "ba9876543210", "2026-11-21").expect_err("unknown").to_string();
        assert!(text.contains("--bar"), "{text}");
    }

    #[test]
    fn contradictions() {
        let check = |puts: &[Put], expected: &str| {
            let problems = card(puts).problems().join("; ");
            assert_eq!(problems.is_empty(), expected.is_empty(), "{problems}");
            assert!(problems.contains(expected), "{problems}");
        };
        let noted = Put { note: Some("nothing to switch off".into()), ..put_of("a", "0", 0.0) };
        check(&[put_of("a", "1", 1.0)], "");
        check(&[put_of("a", "0", 0.0)], "needs a.control");
        check(&[put_of("a", "0", 0.0), put_of("a.control", "> 0", 0.0)], "needs a.control");
        check(&[put_of("a", "0", 0.0), put_of("a.control", "> 0", 7.0)], "");
        check(&[noted], "");
        check(&[put_of("a.control", "> 0", 7.0)], "controls a, which is not there");
    }

    #[test]
    fn a_file_that_lies_is_caught() {
        let json = card(&[put_of("a", "<= 5", 4.0)]).to_json();
        let lying = json.replace("\"holds\": true", "\"holds\": false");
        assert!(Scorecard::parse(&lying).expect("reads").problems()[0].contains("says otherwise"));
        let twice = json.replace("\n]", &format!(",{}", json.trim_start().trim_start_matches('[')));
        let problems = Scorecard::parse(&twice).expect("reads").problems();
        assert_eq!(problems, ["a is there twice"]);
        for (from, to, expected) in [
            ("\"trials\": 3", "\"trials\": 0", "trials"),
            ("2026-11-20", "yesterday", "date"),
            ("0123456789ab", "HEAD", "commit"),
            ("\"unit\"", "\"units\"", "unit"),
            ("\"measured\": 4", "\"measured\": \"4\"", "measured"),
            ("\"id\": \"a\"", "\"id\": \"A b\"", "id"),
        ] {
            let text = Scorecard::parse(&json.replace(from, to)).expect_err(expected);
            assert!(text.contains(expected), "{text}");
        }
    }
}
