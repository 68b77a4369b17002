//! A configuration while it is read: the text of its file, of what lies beside it and of the
//! environment, where each byte stands, and the mistakes found so far.
//!
//! All texts stand in one, each with its beginning: so a span says of which it is, and whoever
//! reads values need not know that there are several.

mod mask;

use std::{
    cell::RefCell,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::report::{Mistake, Place};

pub(crate) use mask::names_secret;

/// Characters of a line that an excerpt shows.
const EXCERPT: usize = 120;

/// One text of several.
#[derive(Debug)]
pub(crate) struct Part {
    /// A file, or `$NAME` of the environment.
    pub(crate) file: PathBuf,
    pub(crate) range: Range<usize>,
    /// Where the value starts, of a variable of the environment.
    pub(crate) value: Option<usize>,
    /// Where each line starts, counted like the range.
    lines: Vec<usize>,
}

/// Everything that is read as one configuration.
pub(crate) struct Sheet {
    file: PathBuf,
    text: String,
    /// In the order in which they were added, which is that of the text. Never empty.
    parts: Vec<Part>,
    /// Where systemd puts credentials.
    credentials: Option<PathBuf>,
    /// The whole file holds secrets: no line of it is shown.
    confidential: bool,
    mistakes: RefCell<Vec<Mistake>>,
    /// Where lines with a syntax error start: what else seems wrong there is wrong because of
    /// it, and a key that is missing may be hidden by it.
    broken: RefCell<Vec<usize>>,
}

/// What is wrong and what to do about it.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) help: Option<String>,
    pub(crate) example: Option<String>,
}

impl Finding {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn example(mut self, example: impl Into<String>) -> Self {
        self.example = Some(example.into());
        self
    }
}

impl Sheet {
    /// The first file.
    pub(crate) fn new(file: &Path, text: &str) -> Self {
        let mut sheet = Self {
            file: file.to_path_buf(),
            text: String::new(),
            parts: Vec::new(),
            credentials: None,
            confidential: false,
            mistakes: RefCell::default(),
            broken: RefCell::default(),
        };
        sheet.add(file.to_path_buf(), text);
        sheet
    }

    /// One more text.
    pub(crate) fn add(&mut self, file: PathBuf, text: &str) {
        let from = self.text.len();
        self.text.push_str(text);
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(from).chain(starts.map(|(at, _)| from + at + 1)).collect();
        self.parts.push(Part { file, range: from..self.text.len(), value: None, lines });
        // No span ends where the next text begins.
        self.text.push('\n');
    }

    /// A variable of the environment.
    pub(crate) fn add_variable(&mut self, name: &str, value: &str) {
        self.add(PathBuf::from(format!("${name}")), &format!("{name}={value}"));
        if let Some(part) = self.parts.last_mut() {
            part.value = Some(part.range.start + name.len() + 1);
        }
    }

    pub(crate) fn with_credentials(mut self, folder: Option<PathBuf>) -> Self {
        self.credentials = folder;
        self
    }

    pub(crate) fn credentials(&self) -> Option<&Path> {
        self.credentials.as_deref()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text that a byte belongs to.
    pub(crate) fn part_of(&self, at: usize) -> &Part {
        let behind = self.parts.partition_point(|part| part.range.start <= at);
        &self.parts[behind.saturating_sub(1)]
    }

    pub(crate) fn confidential(mut self) -> Self {
        self.confidential = true;
        self
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A path of the file, which starts at the file's folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// From 1, in its own text.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.part_of(at).lines.partition_point(|start| *start <= at).max(1)
    }

    /// `line 7`, or `conf.d/10-cache.toml:7` where that is another file than that of `from`.
    pub(crate) fn line_seen_from(&self, at: usize, from: usize) -> String {
        let (part, line) = (self.part_of(at), self.line_of(at));
        match part.range == self.part_of(from).range {
            true => format!("line {line}"),
            false => format!("{}:{line}", part.file.display()),
        }
    }

    pub(crate) fn syntax_is_broken(&self) -> bool {
        !self.broken.borrow().is_empty()
    }

    pub(crate) fn syntax_error(&self, span: Option<Range<usize>>, message: &str) {
        let message = message.replace('\n', ", ");
        let line = span.as_ref().map_or(0, |span| self.line_start(span.start));
        self.found(span, "", Finding::new(format!("this is not TOML: {message}")));
        self.broken.borrow_mut().push(line);
    }

    /// Notes a mistake. `span` is nothing when it concerns the file as a whole.
    pub(crate) fn found(&self, span: Option<Range<usize>>, key: &str, finding: Finding) {
        // What a broken line left behind: a value that nobody wrote.
        if !key.is_empty() && self.syntax_is_broken() && span.as_ref().is_some_and(Range::is_empty)
        {
            return;
        }
        let line = span.as_ref().map(|span| self.line_start(span.start));
        if line.is_some_and(|line| self.broken.borrow().contains(&line)) {
            return;
        }
        let file = span.as_ref().map_or(&self.file, |span| &self.part_of(span.start).file);
        self.mistakes.borrow_mut().push(Mistake {
            file: file.clone(),
            place: span.map(|span| self.place(&span)),
            key: key.to_owned(),
            what: printable(&finding.what),
            help: finding.help.as_deref().map(printable),
            example: finding.example,
        });
    }

    /// Notes a mistake that concerns another file as a whole.
    pub(crate) fn found_in(&self, file: &Path, finding: Finding) {
        self.found(None, "", finding);
        if let Some(mistake) = self.mistakes.borrow_mut().last_mut() {
            mistake.file = file.to_path_buf();
        }
    }

    /// Takes over what was found in a file that this one names, once however often it does.
    pub(crate) fn adopt(&self, other: Sheet) {
        let mut mistakes = self.mistakes.borrow_mut();
        for mistake in other.mistakes.into_inner() {
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.mistakes.borrow().len()
    }

    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }

    /// Where the line of a byte starts.
    fn line_start(&self, at: usize) -> usize {
        self.part_of(at).lines[self.line_of(at) - 1]
    }

    /// Line and column, both from 1.
    pub(crate) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let at = self.boundary(at);
        let from = self.line_start(at);
        (self.line_of(at), self.text[from..at].chars().count() + 1)
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let part = &self.part_of(span.start).range;
        let start = self.boundary(span.start).min(part.end);
        let end = self.boundary(span.end.max(start)).min(part.end);
        let from = self.line_start(start);
        let rest = &self.text[from..part.end];
        let text = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let (line, column) = self.line_and_column(start);
        if self.confidential {
            let excerpt = "(not shown: this file holds secrets)".to_owned();
            return Place { line, column, excerpt, indent: 0, width: 1 };
        }
        let masked = mask::mask(text);
        let to_column = |at: usize| masked.text[..masked.moved(at)].chars().count();
        let caret = to_column((start - from).min(text.len()));
        let caret_end = to_column((end - from).min(text.len()));
        // A long line is cut so that the caret stays in sight.
        let skipped = if caret > EXCERPT - 40 { caret - 40 } else { 0 };
        let shown: String = masked.text.chars().skip(skipped).take(EXCERPT).collect();
        let indent = caret - skipped;
        let width = caret_end.saturating_sub(caret).clamp(1, EXCERPT.saturating_sub(indent).max(1));
        Place { line, column, excerpt: printable(&shown), indent, width }
    }

    /// The nearest character boundary at or before `at`.
    fn boundary(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

/// Control characters would let a file write to the terminal of whoever reads the report.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
