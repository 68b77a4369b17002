//! When a second upstream is asked although the first has not failed: it takes longer for a head
//! than nearly all others took, and few requests were asked twice so far. Pure; the time comes
//! from outside. What it leaves to others: asking, and choosing the second (`failover.rs`).

use std::{collections::VecDeque, fmt, time::Duration};

use parking_lot::Mutex;

/// Heads whose times are remembered.
const HEADS: usize = 128;
/// Fewer say nothing of what is long.
const FEWEST: usize = 20;
/// Of a hundred heads, so many came sooner than one that is waited for too long.
const SHARE: usize = 95;
/// Sooner than this nobody is asked: a head that is late by less is late by chance.
const LEAST: Duration = Duration::from_millis(5);
/// Requests for each that may be asked twice: one in twenty.
const EARNED: u32 = 20;
/// Second requests that may be saved up.
const MOST: u32 = 5;

/// Which of two brought the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winner {
    /// The one that was asked first.
    First,
    /// The one that was asked because the first took long.
    Second,
    /// Neither: what came was no use.
    Neither,
}

impl Winner {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::First, Self::Second, Self::Neither];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Neither => "neither",
        }
    }
}

/// What a service knows of its first upstream's heads, and its budget of second requests.
/// Some 2 KiB.
pub struct Hedge {
    state: Mutex<State>,
    /// Is told how each request ended that was asked twice.
    told: Box<dyn Fn(Winner) + Send + Sync>,
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// The latest last.
    heads: VecDeque<Duration>,
    /// In parts of a second request; none at the start.
    saved: u32,
}

impl Hedge {
    /// Nothing is known yet. `told` hears of each request that was asked twice.
    pub fn new(told: impl Fn(Winner) + Send + Sync + 'static) -> Self {
        Self { state: Mutex::default(), told: Box::new(told) }
    }

    /// A request is asked for the first time: how long its head may take before a second one may
    /// go out. None while too little is known.
    pub fn ask(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        state.saved = (state.saved + 1).min(MOST * EARNED);
        state.long()
    }

    /// What is long now, for reports.
    pub fn long(&self) -> Option<Duration> {
        self.state.lock().long()
    }

    /// Whether a second request may go out; it is counted then.
    pub fn spend(&self) -> bool {
        let mut state = self.state.lock();
        let suffices = state.saved >= EARNED;
        if suffices {
            state.saved -= EARNED;
        }
        suffices
    }

    /// The first upstream's head came after so long, or was waited for so long.
    pub fn took(&self, time: Duration) {
        let mut state = self.state.lock();
        if state.heads.len() == HEADS {
            state.heads.pop_front();
        }
        state.heads.push_back(time);
    }

    /// A request that was asked twice has ended.
    pub fn won(&self, winner: Winner) {
        (self.told)(winner);
    }
}

impl State {
    fn long(&self) -> Option<Duration> {
        let count = self.heads.len();
        if count < FEWEST {
            return None;
        }
        let mut sorted: Vec<Duration> = self.heads.iter().copied().collect();
        let at = (count * SHARE / 100).min(count - 1);
        let (_, long, _) = sorted.select_nth_unstable(at);
        Some((*long).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_is_what_nearly_all_were_faster_than() {
        let check = |heads: &[u64], expected: Option<u64>| {
            let hedge = Hedge::new(drop);
            for millis in heads {
                hedge.took(Duration::from_millis(*millis));
            }
            assert_eq!(hedge.long(), expected.map(Duration::from_millis), "{heads:?}");
        };
        check(&[10; 19], None);
        check(&[10; 20], Some(10));
        check(&[1; 20], Some(5));
        let hundred: Vec<u64> = (1..=100).collect();
        check(&hundred, Some(96));
        // Older ones are forgotten.
        let changed: Vec<u64> = [900; 100].into_iter().chain([10; 128]).collect();
        check(&changed, Some(10));
    }

    #[test]
    fn one_in_twenty() {
        let hedge = Hedge::new(drop);
        let mut spent = 0;
        for _ in 0..1000 {
            hedge.ask();
            spent += u32::from(hedge.spend());
        }
        assert_eq!(spent, 50);
        // What was not spent is saved, up to five.
        for _ in 0..1000 {
            hedge.ask();
        }
        assert_eq!((0..10).filter(|_| hedge.spend()).count(), 5);
    }
}
