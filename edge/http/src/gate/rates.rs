//! Token buckets for many clients in a table of one size. Where two need the same place the one
//! goes that has the most left, since forgetting it costs the least.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use weir_config_units::Prefix;

/// 8,192 clients in each table, 256 KiB.
const SETS: usize = 2048;
const WAYS: usize = 4;

/// How a bucket fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refill {
    second: f64,
    most: f64,
}

impl Refill {
    /// `second` tokens each second, and those of so many seconds at most.
    pub(crate) fn of(second: u32, seconds: u32) -> Self {
        let second = f64::from(second);
        Self { second, most: (second * f64::from(seconds)).max(1.0) }
    }
}

/// What somebody may still do. Full at the beginning.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Bucket {
    taken: f64,
    at: Duration,
}

impl Bucket {
    /// Tokens that are missing.
    fn missing(&self, refill: Refill, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        (self.taken - passed * refill.second).max(0.0)
    }

    /// False when there is none left, and nothing is taken then.
    pub(crate) fn take(&mut self, refill: Refill, now: Duration) -> bool {
        // Fewer than before a change of the limits: what was taken stays taken, within them.
        self.taken = self.missing(refill, now).min(refill.most);
        self.at = self.at.max(now);
        let left = self.taken + 1.0 <= refill.most;
        if left {
            self.taken += 1.0;
        }
        left
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    /// Whose it is; 0 is nobody.
    who: u64,
    bucket: Bucket,
}

/// The table.
#[derive(Debug)]
pub(super) struct Rates {
    sets: Box<[Mutex<[Slot; WAYS]>]>,
    // Of this process only: nobody outside can aim at a place.
    hasher: RandomState,
}

impl Default for Rates {
    fn default() -> Self {
        let sets = (0..SETS).map(|_| Mutex::default()).collect();
        Self { sets, hasher: RandomState::new() }
    }
}

impl Rates {
    /// Takes a token of `who`.
    pub(super) fn take(&self, who: Prefix, refill: Refill, now: Duration) -> bool {
        let who = self.hasher.hash_one(who).max(1);
        let mut set = self.sets[who as usize % SETS].lock();
        let known = set.iter().position(|slot| slot.who == who);
        let at = known.unwrap_or_else(|| {
            let missing = |slot: &Slot| slot.bucket.missing(refill, now);
            let fullest = (0..WAYS).min_by(|a, b| missing(&set[*a]).total_cmp(&missing(&set[*b])));
            let at = fullest.unwrap_or_default();
            set[at] = Slot { who, bucket: Bucket::default() };
            at
        });
        set[at].bucket.take(refill, now)
    }
}
