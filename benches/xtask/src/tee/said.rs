//! What is kept of a stage's output: its last lines, and the lines before them that look like the
//! reason. Bounded, however long a stage talks.

use std::collections::VecDeque;

/// The last lines that are kept.
const LAST: usize = 15;
/// Lines before these that look like the reason.
const REASONS: usize = 12;
/// Bytes of a line.
const WIDTH: usize = 400;

/// What was said on two streams.
#[derive(Debug, Default)]
pub struct Said {
    /// A line of each stream that has not ended yet.
    open: [Vec<u8>; 2],
    last: VecDeque<String>,
    reasons: Vec<String>,
    /// The line that follows says what the one before announced.
    follows: bool,
    /// How many lines went between.
    left_out: usize,
}

impl Said {
    /// Takes what came on stream 0 or 1.
    pub fn take(&mut self, stream: usize, bytes: &[u8]) {
        for byte in bytes {
            let open = &mut self.open[stream];
            match byte {
                b'\n' => {
                    let line = String::from_utf8_lossy(open).trim_end().to_owned();
                    open.clear();
                    self.line(line);
                }
                byte => {
                    // A progress bar writes over itself.
                    if open.last() == Some(&b'\r') {
                        open.clear();
                    }
                    if *byte == b'\r' {
                        open.truncate(WIDTH - 1);
                    }
                    if open.len() < WIDTH {
                        open.push(*byte);
                    }
                }
            }
        }
    }

    fn line(&mut self, line: String) {
        if line.is_empty() {
            return;
        }
        if self.last.len() == LAST
            && let Some(old) = self.last.pop_front()
        {
            let reason = self.follows || is_reason(&old);
            self.follows = old.contains("panicked at");
            if reason && self.reasons.len() < REASONS {
                self.reasons.push(old);
            } else {
                self.left_out += 1;
            }
        }
        self.last.push_back(line);
    }

    /// What is to be repeated of it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.reasons.clone();
        if self.left_out > 0 {
            lines.push(format!("… {} lines are left out", self.left_out));
        }
        lines.extend(self.last.iter().cloned());
        let open = self.open.iter().filter(|open| !open.is_empty());
        lines.extend(open.map(|open| String::from_utf8_lossy(open).into_owned()));
        lines
    }
}

/// Whether a line looks like the reason why something failed.
fn is_reason(line: &str) -> bool {
    let line = line.trim_start();
    ["error", "Diff in", "FAIL", "TIMEOUT", "SIGABRT", "SIGSEGV"]
        .iter()
        .any(|word| line.starts_with(word))
        || ["panicked at", "does not hold", ": FAILED"].iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let mut said = Said::default();
        // In odd pieces, as a pipe hands them over.
        for piece in text.as_bytes().chunks(7) {
            said.take(0, piece);
        }
        said.lines()
    }

    #[test]
    fn lines_that_are_kept() {
        let check = |text: &str, expected: &[&str]| assert_eq!(said(text), expected, "{text:?}");
        check("", &[]);
        check("one\n\ntwo", &["one", "two"]);
        check(" 1 %\r 50 %\r100 %\ndone\n", &["100 %", "done"]);
        check("crlf\r\nlines\r\n", &["crlf", "lines"]);
        check(&"x".repeat(5000), &[&"x".repeat(WIDTH)]);
    }

    #[test]
    fn the_reason_is_kept_whatever_follows() {
        let mut text = String::from(
            "thread 'a' panicked at src/a.rs:1:2:\nleft is not right\nerror: test run failed\n",
        );
        for number in 0..1000 {
            text.push_str(&format!("chatter {number}\n"));
        }
        let lines = said(&text);
        assert_eq!(lines[0], "thread 'a' panicked at src/a.rs:1:2:");
        assert_eq!(lines[1], "left is not right");
        assert_eq!(lines[2], "error: test run failed");
        assert_eq!(lines[3], "… 985 lines are left out");
        assert_eq!(lines[4..].len(), LAST);
        assert_eq!(lines.last().map(String::as_str), Some("chatter 999"));
    }

    #[test]
    fn the_streams_do_not_mix_inside_a_line() {
        let mut said = Said::default();
        said.take(0, b"out ");
        said.take(1, b"err\n");
        said.take(0, b"put\n");
        assert_eq!(said.lines(), ["err", "out put"]);
    }

    #[test]
    fn it_is_bounded_by_what_may_come() {
        let line = format!("error {}\n", "e".repeat(10 * WIDTH));
        let lines = said(&line.repeat(100));
        assert_eq!(lines.len(), REASONS + 1 + LAST);
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }
}
