//! One configuration file while it is read: its text, where each byte stands, and the mistakes
//! found so far.

mod mask;

use std::{
    cell::RefCell,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::report::{Mistake, Place};

/// Characters of a line that an excerpt shows.
const EXCERPT: usize = 120;

/// One file.
pub(crate) struct Sheet {
    file: PathBuf,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
    /// The whole file holds secrets: no line of it is shown.
    confidential: bool,
    mistakes: RefCell<Vec<Mistake>>,
    /// Lines with a syntax error: what else seems wrong there is wrong because of it, and a key
    /// that is missing may be hidden by it.
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
    pub(crate) fn new(file: &Path, text: String) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(starts.map(|(at, _)| at + 1)).collect();
        Self {
            file: file.to_path_buf(),
            text,
            lines,
            confidential: false,
            mistakes: RefCell::default(),
            broken: RefCell::default(),
        }
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

    /// From 1.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    pub(crate) fn syntax_is_broken(&self) -> bool {
        !self.broken.borrow().is_empty()
    }

    pub(crate) fn syntax_error(&self, span: Option<Range<usize>>, message: &str) {
        let message = message.replace('\n', ", ");
        let line = span.as_ref().map_or(0, |span| self.line_of(span.start));
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
        let place = span.map(|span| self.place(&span));
        if place.as_ref().is_some_and(|place| self.broken.borrow().contains(&place.line)) {
            return;
        }
        self.mistakes.borrow_mut().push(Mistake {
            file: self.file.clone(),
            place,
            key: key.to_owned(),
            what: printable(&finding.what),
            help: finding.help.as_deref().map(printable),
            example: finding.example,
        });
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

    fn place(&self, span: &Range<usize>) -> Place {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(start));
        let line = self.line_of(start);
        let from = self.lines[line - 1];
        let rest = &self.text[from..];
        let text = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let column = self.text[from..start].chars().count() + 1;
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
