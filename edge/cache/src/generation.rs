//! Generation numbers: never used twice, whatever happens to the state file or the clock.
//!
//! A store may outlive the state file (deleted, set aside), and a reused number would let an
//! object find another fill's chunks: wrong bytes under valid checksums. So numbers start at
//! the wall clock in nanoseconds, which no process outruns by counting, and never below what
//! the state file says was reserved, which holds when the clock was set back.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers reserved in the state file ahead of use, at least.
pub(crate) const RESERVE: u64 = 1 << 32;

#[derive(Debug)]
pub(crate) struct Generations {
    next: AtomicU64,
}

impl Generations {
    /// `reserved`: first number that no earlier process can have used, as far as the state
    /// file knows.
    pub(crate) fn new(unix_nanos: u64, reserved: u64) -> Self {
        Self { next: AtomicU64::new(unix_nanos.max(reserved).max(1)) }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// First number not handed out yet.
    pub(crate) fn peek(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_at_the_later_of_clock_and_reservation() {
        for (clock, reserved, first) in [(5, 0, 5), (5, 9, 9), (9, 5, 9), (0, 0, 1)] {
            let generations = Generations::new(clock, reserved);
            assert_eq!(generations.next(), first, "clock {clock}, reserved {reserved}");
            assert_eq!(generations.next(), first + 1);
            assert_eq!(generations.peek(), first + 2);
        }
    }
}
