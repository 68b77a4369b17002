//! Everything that is wrong with a configuration, said in a way that mends it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Mistakes past this are counted, not printed.
const MOST_PRINTED: usize = 50;

/// Where a mistake stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line, its secrets masked, cut when long.
    pub excerpt: String,
    /// Characters of the excerpt before the caret.
    pub(crate) indent: usize,
    /// Characters the caret underlines, at least one.
    pub(crate) width: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file it stands in.
    pub file: PathBuf,
    /// Where, unless it concerns the file as a whole.
    pub place: Option<Place>,
    /// `cache.disk[1].size`; empty when there is no key to name.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
    /// A line that would be right.
    pub example: Option<String>,
}

/// Every mistake of a configuration, file by file, in the order of each. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    file: PathBuf,
    mistakes: Vec<Mistake>,
}

impl Report {
    pub(crate) fn new(file: &Path, mut mistakes: Vec<Mistake>) -> Self {
        let rank = |m: &Mistake| m.place.as_ref().map_or((0, 0), |p| (p.line, p.column));
        mistakes.sort_by(|a, b| {
            let key = |m: &Mistake| (m.file != file, rank(m));
            let ((a_other, a_rank), (b_other, b_rank)) = (key(a), key(b));
            (a_other, &a.file, a_rank).cmp(&(b_other, &b.file, b_rank))
        });
        mistakes.dedup();
        Self { file: file.to_path_buf(), mistakes }
    }

    /// The mistakes, in the order of the file.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in self.mistakes.iter().take(MOST_PRINTED) {
            writeln!(out, "{mistake}")?;
        }
        let count = self.mistakes.len();
        if count > MOST_PRINTED {
            writeln!(out, "and {} more\n", count - MOST_PRINTED)?;
        }
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(out, "{count} {noun} in {}; nothing was changed", self.file.display())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "error: {}", self.what)?;
        let file = self.file.display();
        let Some(place) = &self.place else {
            writeln!(out, "  --> {file}")?;
            if let Some(help) = &self.help {
                writeln!(out, "   = {help}")?;
            }
            return self.example_line(out, 3);
        };
        let gutter = place.line.to_string().len().max(2);
        writeln!(out, "{:gutter$}--> {file}:{}:{}", "", place.line, place.column)?;
        writeln!(out, "{:gutter$} |", "")?;
        writeln!(out, "{:>gutter$} | {}", place.line, place.excerpt.trim_end())?;
        let indent: String = place
            .excerpt
            .chars()
            .take(place.indent)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let caret = "^".repeat(place.width);
        let help = self.help.as_deref().unwrap_or_default();
        writeln!(out, "{}", format!("{:gutter$} | {indent}{caret} {help}", "").trim_end())?;
        self.example_line(out, gutter + 1)
    }
}

impl Mistake {
    fn example_line(&self, out: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match &self.example {
            Some(example) => writeln!(out, "{:indent$}= example: {example}", ""),
            None => Ok(()),
        }
    }
}
