//! How far it is: a bar on a terminal, a plain line every few seconds elsewhere. Always on
//! stderr; stdout is for results.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// Between two plain lines.
const PLAIN: Duration = Duration::from_secs(5);
const FULL: u64 = 1000;

/// One film's progress. Work is counted in shares that the caller weighs.
#[derive(Debug)]
pub(super) struct Progress {
    show: Show,
    title: String,
    started: Instant,
    step_started: Instant,
    step: String,
    /// Shares done before this step, of this step, and of all steps.
    before: f64,
    share: f64,
    all: f64,
}

#[derive(Debug)]
enum Show {
    Bar(ProgressBar),
    Plain(Instant),
    Nothing,
}

impl Progress {
    pub(super) fn new(title: &str, quiet: bool) -> Self {
        let now = Instant::now();
        let show = if quiet {
            Show::Nothing
        } else if stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(FULL), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix:.bold} [{bar:24}] {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(title.to_owned());
            Show::Bar(bar)
        } else {
            Show::Plain(now)
        };
        Self {
            show,
            title: title.into(),
            started: now,
            step_started: now,
            step: String::new(),
            before: 0.0,
            share: 0.0,
            all: 1.0,
        }
    }

    /// How many shares there will be in all.
    pub(super) fn expect(&mut self, all: f64) {
        self.all = all.max(f64::MIN_POSITIVE);
        self.started = Instant::now();
    }

    /// Begins a step worth so many shares.
    pub(super) fn step(&mut self, name: String, share: f64) {
        self.before += self.share;
        self.share = share;
        self.step = name;
        self.step_started = Instant::now();
        if let Show::Plain(_) = self.show {
            self.line(&format!("{}: {}", self.title, self.step));
        }
    }

    /// A step has got to `part` of 1. `film` is how much of the film that is, where the step
    /// runs through the film, for its speed.
    pub(super) fn at(&mut self, part: f64, film: Option<Duration>) {
        let part = part.clamp(0.0, 1.0);
        let now = Instant::now();
        let done = (self.before + self.share * part) / self.all;
        let left = left(now - self.started, done);
        let speed = film.map_or(String::new(), |film| {
            let wall = (now - self.step_started).as_secs_f64().max(0.001);
            format!(", {:.1}x", film.as_secs_f64() / wall)
        });
        let text = format!("{} {:.0} %{speed}{left}", self.step, part * 100.0);
        match &mut self.show {
            Show::Bar(bar) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and 1000"
                )]
                bar.set_position((done.clamp(0.0, 1.0) * 1000.0) as u64);
                bar.set_message(text);
            }
            Show::Plain(said) if now - *said >= PLAIN => {
                *said = now;
                self.line(&format!("{}: {text}", self.title));
            }
            Show::Plain(_) | Show::Nothing => {}
        }
    }

    /// Says something that stays.
    pub(super) fn note(&self, text: &str) {
        match &self.show {
            Show::Bar(bar) => bar.suspend(|| self.line(text)),
            Show::Plain(_) => self.line(text),
            Show::Nothing => {}
        }
    }

    fn line(&self, text: &str) {
        // Nobody listens any more: the work goes on.
        let _ = writeln!(stderr(), "{text}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Show::Bar(bar) = &self.show {
            bar.finish_and_clear();
        }
    }
}

/// How long it will take still, once that can be told.
fn left(elapsed: Duration, done: f64) -> String {
    if done < 0.02 || elapsed < Duration::from_secs(1) {
        return String::new();
    }
    let left = elapsed.as_secs_f64() * (1.0 - done).max(0.0) / done;
    let left = Duration::from_secs_f64(left.min(1e6)).as_secs();
    match (left / 3600, left / 60 % 60, left % 60) {
        (0, 0, seconds) => format!(", {seconds} s left"),
        (0, minutes, seconds) => format!(", {minutes} min {seconds} s left"),
        (hours, minutes, _) => format!(", {hours} h {minutes} min left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_said_in_words() {
        let check = |elapsed, done, expected: &str| {
            assert_eq!(left(Duration::from_secs(elapsed), done), expected);
        };
        check(0, 0.5, "");
        check(30, 0.01, "");
        check(10, 0.5, ", 10 s left");
        check(60, 0.25, ", 3 min 0 s left");
        check(3600, 0.25, ", 3 h 0 min left");
        check(10, 1.0, ", 0 s left");
    }
}
