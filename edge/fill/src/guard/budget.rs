//! How many requests may be asked again: a share of those that are asked for the first time, so
//! that an upstream in trouble does not get a multiple of its load. Pure.

/// First requests for each that may be repeated.
const EARNED: u32 = 5;
/// Repeats that may be saved up.
const MOST: u32 = 20;

/// A budget of repeated requests; full at the start.
#[derive(Debug, Clone)]
pub struct Budget {
    /// In parts of a repeat.
    saved: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { saved: MOST * EARNED }
    }
}

impl Budget {
    /// A request that is asked for the first time.
    pub fn earn(&mut self) {
        self.saved = (self.saved + 1).min(MOST * EARNED);
    }

    /// Whether one more may be repeated; it is counted then.
    pub fn spend(&mut self) -> bool {
        let left = self.saved.checked_sub(EARNED);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}
