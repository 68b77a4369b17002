//! How slow a client may be. Only the time counts in which it is the client that is waited for: a
//! slow upstream is nobody's fault here.

use std::time::Duration;

/// The least that a client takes of what we have for it, or sends of what it announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// 0 asks for nothing. 500, a thirtieth of what the lowest rung of a ladder takes.
    pub bytes_a_second: u64,
    /// So long a client is waited for before it is judged, and judged anew after it. 60 s.
    pub window: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes_a_second: 500, window: Duration::from_secs(60) }
    }
}

/// Parts of a window after which somebody looks.
const LOOKS: u32 = 8;

impl Pace {
    /// Between two looks at who is waited for.
    pub(crate) fn look_every(&self) -> Duration {
        (self.window / LOOKS).max(Duration::from_millis(10))
    }

    fn least(&self, time: Duration) -> u64 {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.bytes_a_second.saturating_mul(millis) / 1000
    }
}

/// How long one client was waited for, and what it had moved when that began.
#[derive(Debug, Default)]
pub(crate) struct Waited {
    time: Duration,
    from: u64,
}

impl Waited {
    pub(crate) fn from(moved: u64) -> Self {
        Self { time: Duration::ZERO, from: moved }
    }

    /// It was waited for `more`, and has moved `moved` bytes in all. True where it is too slow.
    pub(crate) fn is_too_slow(&mut self, more: Duration, moved: u64, pace: Pace) -> bool {
        self.time += more;
        if self.time < pace.window || pace.bytes_a_second == 0 {
            return false;
        }
        let slow = moved.saturating_sub(self.from) < pace.least(self.time);
        *self = Self::from(moved);
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_too_slow() {
        // Bytes moved after each ten seconds of waiting; in which of them it is found too slow.
        let check = |rate, moved: &[u64], expected: Option<usize>| {
            let pace = Pace { bytes_a_second: rate, ..Pace::default() };
            let mut waited = Waited::default();
            let slow = |moved: &u64| waited.is_too_slow(Duration::from_secs(10), *moved, pace);
            assert_eq!(moved.iter().position(slow), expected, "{rate} {moved:?}");
        };
        // Nothing, a byte now and then, a little less than enough, and enough.
        check(500, &[0; 9], Some(5));
        check(500, &[1, 1, 1, 2, 2, 2, 3, 3, 3], Some(5));
        check(500, &[4999, 9998, 14_997, 19_996, 24_995, 29_994], Some(5));
        check(500, &[5000, 10_000, 15_000, 20_000, 25_000, 30_000], None);
        // All at once is as good; and it is judged anew.
        check(500, &[30_000; 11], None);
        check(500, &[30_000; 12], Some(11));
        check(0, &[0; 100], None);
        check(1, &[60; 6], None);
    }
}
