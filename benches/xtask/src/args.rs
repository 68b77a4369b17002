//! Command lines by hand: flags, values, positions, and an error that names what was meant.

use std::collections::VecDeque;

use crate::Failure;

/// Arguments not yet taken. Take all that a command knows, then call [`Args::end`].
#[derive(Debug, Clone)]
pub struct Args {
    left: VecDeque<String>,
    known: Vec<&'static str>,
}

impl Args {
    /// Arguments after the program's name.
    pub fn new(list: impl IntoIterator<Item = String>) -> Self {
        Self { left: list.into_iter().collect(), known: Vec::new() }
    }

    /// The command: the first argument that is no option.
    pub fn command(&mut self) -> Option<String> {
        match self.left.front() {
            Some(first) if !first.starts_with('-') => self.left.pop_front(),
            _ => None,
        }
    }

    /// Whether `name` was given.
    pub fn flag(&mut self, name: &'static str) -> bool {
        self.known.push(name);
        let before = self.left.len();
        self.left.retain(|arg| arg != name);
        self.left.len() < before
    }

    /// The value of `name`, as `--name value` or `--name=value`.
    pub fn value(&mut self, name: &'static str) -> Result<Option<String>, Failure> {
        self.known.push(name);
        let found = self.left.iter().position(|arg| {
            arg == name || arg.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
        });
        let Some(at) = found else { return Ok(None) };
        let arg = self.left.remove(at).expect("the position was found in this list");
        let value = match arg.split_once('=') {
            Some((_, value)) => value.to_owned(),
            None => match self.left.get(at) {
                Some(next) if !next.starts_with("--") => {
                    self.left.remove(at).expect("it was just looked at")
                }
                _ => return Err(Failure::usage(format!("{name} wants a value"))),
            },
        };
        if value.is_empty() {
            return Err(Failure::usage(format!("{name} wants a value that is not empty")));
        }
        match self.value(name)? {
            Some(_) => Err(Failure::usage(format!("{name} is given twice"))),
            None => Ok(Some(value)),
        }
    }

    /// The value of `name`, which must be there.
    pub fn required(&mut self, name: &'static str) -> Result<String, Failure> {
        self.value(name)?.ok_or_else(|| Failure::usage(format!("{name} is missing")))
    }

    /// What is left, for a command that hands it on.
    pub fn rest(&mut self) -> Vec<String> {
        self.left.drain(..).collect()
    }

    /// Refuses whatever nobody took.
    pub fn end(self) -> Result<(), Failure> {
        let Some(arg) = self.left.front() else { return Ok(()) };
        let name = arg.split('=').next().unwrap_or(arg);
        let near = nearest(name, &self.known);
        let hint = match near {
            Some(near) => format!("; did you mean {near}?"),
            None if self.known.is_empty() => String::new(),
            None => format!("; known here: {}", self.known.join(", ")),
        };
        Err(Failure::usage(format!("`{arg}` is not understood{hint}")))
    }
}

/// The candidate that differs from `word` in at most two places.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates.iter().map(|c| (distance(word, c), *c));
    scored.filter(|(d, _)| *d <= 2).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn values_and_flags_in_any_order() {
        for line in ["up --dir x --check", "up --check --dir=x", "up --dir x --check"] {
            let mut args = args(line);
            assert_eq!(args.command().as_deref(), Some("up"));
            assert!(args.flag("--check"), "{line}");
            assert_eq!(args.value("--dir").expect("is there").as_deref(), Some("x"), "{line}");
            assert!(args.end().is_ok(), "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let check = |line: &str, expected: &str| {
            let mut args = args(line);
            let error = match args.value("--dir") {
                Err(error) => error,
                Ok(_) => args.end().expect_err(line),
            };
            let text = error.to_string();
            assert!(text.contains(expected), "{line}: {text}");
        };
        check("--dir", "--dir wants a value");
        check("--dir --check", "--dir wants a value");
        check("--dir=", "not empty");
        check("--dir a --dir b", "given twice");
        check("--dri a", "did you mean --dir?");
        check("--zebra", "known here: --dir");
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "abc", 3), ("abc", "abc", 0), ("chekc", "check", 2)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
