//! What a person sees while work goes on: one line a step, with the time it took. Progress
//! goes to standard error, results to standard output.

use std::{
    io::{IsTerminal, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::Failure;

/// A line about what begins now.
pub fn note(text: &str) {
    eprintln!("  {text}");
}

/// A headline over output that a tool prints itself.
pub fn head(text: &str) {
    eprintln!("▸ {text}");
}

/// Runs `work` under a line that tells how long it has been going on: every second on a
/// terminal, every half minute elsewhere.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let terminal = std::io::stderr().is_terminal();
    let begun = Instant::now();
    let (done, ticks) = mpsc::channel::<()>();
    if terminal {
        eprint!("▸ {what} …");
        // A line that cannot be shown is no reason to stop working.
        let _ = std::io::stderr().flush();
    }
    let line = what.to_owned();
    let ticker = thread::spawn(move || {
        let pause = Duration::from_secs(if terminal { 1 } else { 30 });
        while ticks.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            if terminal {
                eprint!("\r▸ {line} … {} s", begun.elapsed().as_secs());
                let _ = std::io::stderr().flush();
            } else {
                eprintln!("▸ {line} … {} s", begun.elapsed().as_secs());
            }
        }
    });
    let result = work();
    drop(done);
    // The ticker only prints; if it panicked there is nothing to undo.
    let _ = ticker.join();
    let mark = if result.is_ok() { "✓" } else { "✗" };
    let back = if terminal { "\r\x1b[K" } else { "" };
    eprintln!("{back}{mark} {what}{}", took(begun.elapsed()));
    result
}

fn took(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 1.0 => String::new(),
        s if s < 120.0 => format!(" ({s:.0} s)"),
        s => format!(" ({:.1} min)", s / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_are_not_worth_a_word() {
        for (ms, expected) in
            [(10, ""), (1_400, " (1 s)"), (90_000, " (90 s)"), (180_000, " (3.0 min)")]
        {
            assert_eq!(took(Duration::from_millis(ms)), expected);
        }
    }
}
