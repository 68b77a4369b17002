//! How many requests may be asked again: a share of those that are asked for the first time, and
//! a few at any time, so that an upstream in trouble does not get a multiple of its load. Pure.

use std::time::{Duration, Instant};

/// First requests for each that may be repeated.
const EARNED: u32 = 5;
/// Repeats that may be saved up.
const MOST: u32 = 20;

/// A budget of repeated requests; full at the start.
#[derive(Debug, Clone)]
pub struct Budget {
    /// In parts of a repeat.
    saved: u32,
    /// Up to when what time brings has been counted.
    counted: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { saved: MOST * EARNED, counted: None }
    }
}

impl Budget {
    /// Time brings a repeat each: where nothing is asked for the first time, bodies that broke
    /// off together are still asked for again, one after the other.
    pub const EVERY: Duration = Duration::from_millis(100);

    /// A request that is asked for the first time.
    pub fn earn(&mut self) {
        self.saved = (self.saved + 1).min(MOST * EARNED);
    }

    /// Whether one more may be repeated.
    pub fn suffices(&mut self, now: Instant) -> bool {
        let part = Self::EVERY / EARNED;
        let counted = *self.counted.get_or_insert(now);
        let parts = now.saturating_duration_since(counted).as_millis() / part.as_millis();
        // More than can be saved is as much as can be saved.
        let parts = u32::try_from(parts).map_or(MOST * EARNED, |parts| parts.min(MOST * EARNED));
        self.counted = Some(if parts < MOST * EARNED { counted + part * parts } else { now });
        self.saved = (self.saved + parts).min(MOST * EARNED);
        self.saved >= EARNED
    }

    /// The same; it is counted then.
    pub fn spend(&mut self, now: Instant) -> bool {
        let suffices = self.suffices(now);
        if suffices {
            self.saved -= EARNED;
        }
        suffices
    }
}
