//! Whether each part of the process still makes progress: parts beat, somebody looks.
//!
//! A part that ends as it should says so; one that goes without a word, because it panicked,
//! is late for ever.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Between two beats of a part that works.
pub const BEAT: Duration = Duration::from_millis(500);

/// All parts that shall make progress.
#[derive(Debug, Default)]
pub struct Pulses(Mutex<Vec<Part>>);

struct Part {
    name: String,
    count: Box<dyn Fn() -> Count + Send>,
    /// At the last look.
    last: u64,
    /// When it was first seen there.
    since: Duration,
    /// When all were last found to have moved.
    settled: Option<u64>,
}

/// What a part has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many steps.
    Steps(u64),
    /// It has ended, as it should.
    Ended,
}

/// A part that has made no progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// Which one.
    pub name: String,
    /// For how long, as far as was looked.
    pub since: Duration,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).field("last", &self.last).finish()
    }
}

impl Pulses {
    /// A part that beats by itself, on the runtime it runs on.
    pub fn pulse(&self, name: impl Into<String>) -> Pulse {
        let shared = Arc::new(Shared::default());
        let read = Arc::clone(&shared);
        self.count(name, move || match read.ended.load(Ordering::Acquire) {
            true => Count::Ended,
            false => Count::Steps(read.beats.load(Ordering::Relaxed)),
        });
        Pulse { shared, ticks: None }
    }

    /// A part that counts its steps anyway.
    pub fn count(&self, name: impl Into<String>, count: impl Fn() -> Count + Send + 'static) {
        let (name, count) = (name.into(), Box::new(count));
        let part = Part { name, count, last: 0, since: Duration::ZERO, settled: None };
        self.0.lock().push(part);
    }

    /// Looks at all parts, at `now` of a clock that only moves forward: the late ones are those
    /// that have not moved since all last had. Nobody late means that all have moved, which the
    /// next look starts from.
    pub fn look(&self, now: Duration) -> Vec<Late> {
        let mut parts = self.0.lock();
        parts.retain_mut(|part| match (part.count)() {
            Count::Ended => false,
            Count::Steps(steps) => {
                if steps != part.last || part.settled.is_none() {
                    (part.last, part.since) = (steps, now);
                }
                // A part that is new has time until the next look.
                part.settled.get_or_insert(steps.wrapping_sub(1));
                true
            }
        });
        let late: Vec<Late> = parts
            .iter()
            .filter(|part| part.settled == Some(part.last))
            .map(|part| Late { name: part.name.clone(), since: now.saturating_sub(part.since) })
            .collect();
        if late.is_empty() {
            for part in parts.iter_mut() {
                part.settled = Some(part.last);
            }
        }
        late
    }
}

#[derive(Debug, Default)]
struct Shared {
    beats: AtomicU64,
    ended: AtomicBool,
}

/// The pulse of one part.
#[derive(Debug)]
pub struct Pulse {
    shared: Arc<Shared>,
    ticks: Option<Interval>,
}

impl Pulse {
    /// It has made progress.
    pub fn beat(&self) {
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for the next time to beat, and beats: a branch of a loop's `select!`, before those
    /// that may always be ready. Cancelling it loses nothing.
    pub async fn next(&mut self) {
        let ticks = self.ticks.get_or_insert_with(|| {
            let mut ticks = interval(BEAT);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        ticks.tick().await;
        self.beat();
    }

    /// Beats as long as the runtime turns.
    pub async fn go_on(mut self) {
        loop {
            self.next().await;
        }
    }

    /// Beats while `work` goes on beside it, and ends with it.
    pub async fn during<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.next() => {}
                done = &mut work => {
                    self.end();
                    return done;
                }
            }
        }
    }

    /// It has ended as it should.
    pub fn end(self) {
        self.shared.ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(late: &[Late]) -> Vec<&str> {
        late.iter().map(|late| &*late.name).collect()
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn all_have_to_move_between_two_looks_that_find_nobody_late() {
        let pulses = Pulses::default();
        assert_eq!(pulses.look(at(0)), [], "nobody is nobody late");
        let (a, b) = (pulses.pulse("a"), pulses.pulse("b"));
        assert_eq!(pulses.look(at(1)), [], "they are new");
        assert_eq!(names(&pulses.look(at(2))), ["a", "b"]);
        a.beat();
        assert_eq!(pulses.look(at(3)), [Late { name: "b".into(), since: at(2) }]);
        // What a has done since the last beat of all still counts.
        assert_eq!(pulses.look(at(4)), [Late { name: "b".into(), since: at(3) }]);
        b.beat();
        assert_eq!(pulses.look(at(5)), []);
        a.beat();
        assert_eq!(pulses.look(at(6)), [Late { name: "b".into(), since: at(1) }]);
    }

    #[test]
    fn who_ends_says_so_and_who_panics_does_not() {
        let pulses = Pulses::default();
        let (ends, panics) = (pulses.pulse("ends"), pulses.pulse("panics"));
        assert_eq!(pulses.look(at(1)), []);
        ends.end();
        drop(panics);
        assert_eq!(names(&pulses.look(at(2))), ["panics"]);
        assert_eq!(names(&pulses.look(at(60))), ["panics"]);
    }

    #[test]
    fn a_counter_of_somebody_else_serves() {
        let pulses = Pulses::default();
        let steps = Arc::new(AtomicU64::new(7));
        let read = Arc::clone(&steps);
        pulses.count("watch", move || match read.load(Ordering::Relaxed) {
            0 => Count::Ended,
            steps => Count::Steps(steps),
        });
        assert_eq!(pulses.look(at(1)), []);
        assert_eq!(names(&pulses.look(at(2))), ["watch"]);
        steps.store(8, Ordering::Relaxed);
        assert_eq!(pulses.look(at(3)), []);
        steps.store(0, Ordering::Relaxed);
        assert_eq!(pulses.look(at(4)), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_turns_beats() {
        let pulses = Pulses::default();
        let beating = tokio::spawn(pulses.pulse("beating").go_on());
        let working = pulses.pulse("working").during(tokio::time::sleep(at(5)));
        let working = tokio::spawn(working);
        let mut idle = pulses.pulse("idle");
        idle.next().await;
        for second in 1..4 {
            tokio::time::sleep(at(1)).await;
            let expected: &[&str] = if second == 1 { &[] } else { &["idle"] };
            assert_eq!(names(&pulses.look(at(second))), expected, "{second}");
        }
        working.await.unwrap();
        idle.end();
        assert_eq!(pulses.look(at(6)), []);
        beating.abort();
        drop(beating.await);
        assert_eq!(names(&pulses.look(at(7))), ["beating"]);
    }
}
