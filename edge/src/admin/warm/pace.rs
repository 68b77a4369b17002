//! How fast: a bucket of bits that fills with time and is emptied by what came. It goes into
//! debt, since nobody knows how much comes before it is there; the rate holds on average.

use std::time::Duration;

use tokio::time::Instant;

/// What may be in it: so much time's worth.
const BURST: Duration = Duration::from_millis(250);

/// A rate, and what is left of it. The time comes from outside.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bits a second.
    rate: u64,
    /// Bits times nanoseconds-in-a-second, so that no time is lost; below 0 in debt.
    level: i128,
    at: Instant,
}

const SECOND: i128 = 1_000_000_000;

impl Pace {
    /// Full at `now`. A rate is at least one bit in a second.
    pub(super) fn new(bits_per_second: u64, now: Instant) -> Self {
        let rate = bits_per_second.max(1);
        Self { rate, level: Self::most(rate), at: now }
    }

    fn most(rate: u64) -> i128 {
        i128::from(rate) * nanos(BURST)
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.level =
            (self.level + i128::from(self.rate) * nanos(passed)).min(Self::most(self.rate));
        self.at = self.at.max(now);
    }

    /// How long to wait before more is asked for; nothing is now.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.fill(now);
        if self.level >= 0 {
            return Duration::ZERO;
        }
        let nanos = (-self.level).div_euclid(i128::from(self.rate)) + 1;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// So many bytes came.
    pub(super) fn took(&mut self, bytes: u64, now: Instant) {
        self.fill(now);
        self.level -= i128::from(bytes) * 8 * SECOND;
    }

    /// What to ask for at once of something large, in whole chunks: about a second's worth.
    pub(super) fn window(&self, chunk: u64) -> u64 {
        (self.rate / 8 / chunk).clamp(1, 16) * chunk
    }

    /// Requests at once: a slow line is not asked for four segments in one moment.
    pub(super) fn parallel(&self, most: usize) -> usize {
        usize::try_from(self.rate / 50_000_000).unwrap_or(most).clamp(1, most)
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX >> 66)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        // 8 kbit/s: a byte a millisecond.
        let mut pace = Pace::new(8000, start);
        assert_eq!(pace.wait(at(0)), Duration::ZERO);
        pace.took(250, at(0));
        assert_eq!(pace.wait(at(0)), Duration::ZERO, "the burst is used up, and no debt made");
        pace.took(1000, at(0));
        let wait = |pace: &mut Pace, millis| pace.wait(at(millis)).as_millis();
        assert_eq!(wait(&mut pace, 0), 1000);
        assert_eq!(wait(&mut pace, 400), 600);
        assert_eq!(wait(&mut pace, 1001), 0);
        // Waiting longer saves no more than the burst.
        pace.took(500, at(60_000));
        assert_eq!(wait(&mut pace, 60_000), 250);
        // A clock that steps back gives nothing.
        assert_eq!(wait(&mut pace, 100), 250);
    }

    #[test]
    fn extremes() {
        let now = Instant::now();
        let mut slowest = Pace::new(0, now);
        slowest.took(u64::MAX, now);
        assert!(slowest.wait(now) > Duration::from_secs(1 << 32));
        let mut fastest = Pace::new(u64::MAX, now);
        fastest.took(1 << 40, now);
        assert_eq!(fastest.wait(now), Duration::ZERO);
        assert_eq!((slowest.window(10), fastest.window(10)), (10, 160));
        assert_eq!((slowest.parallel(4), fastest.parallel(4)), (1, 4));
    }
}
