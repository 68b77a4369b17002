//! The last quarter of an hour, a sample a second, so that a page that is opened is not empty.

use std::{collections::VecDeque, time::Duration};

use super::{Bounds, Sample, figures};
use weir_config_admin::Overview;

/// Seconds of a point of a curve.
pub const STEP: u64 = 5;
/// Points of a curve: 15 minutes.
pub const STEPS: u64 = 180;

/// A row for each step, oldest first.
pub type Row = [Option<f64>; 8];

/// Samples, the oldest of which makes room for the newest: 300 bytes each, 270 KiB in all.
#[derive(Debug)]
pub struct Ring {
    samples: VecDeque<Sample>,
    /// How many there were ever: the last one's number.
    count: u64,
    room: usize,
}

impl Default for Ring {
    /// Room for all points of a curve.
    fn default() -> Self {
        let room = usize::try_from(STEP * STEPS + STEP).expect("some hundreds");
        Self { samples: VecDeque::with_capacity(room), count: 0, room }
    }
}

impl Ring {
    /// One second later.
    pub fn push(&mut self, sample: Sample) {
        if self.samples.len() == self.room {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.count += 1;
    }

    /// The newest.
    pub fn last(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// The sample of that number, the first one's being 1.
    fn numbered(&self, number: u64) -> Option<&Sample> {
        let gone = self.count - self.samples.len() as u64;
        let at = number.checked_sub(gone + 1)?;
        self.samples.get(usize::try_from(at).ok()?)
    }

    /// The newest, and the one that is so long before it, or the oldest.
    pub fn pair(&self, over: Duration) -> Option<(&Sample, &Sample)> {
        let to = self.samples.back()?;
        let last = self.samples.len() - 1;
        let back = usize::try_from(over.as_secs()).unwrap_or(usize::MAX).min(last);
        (back > 0).then(|| (&self.samples[last - back], to))
    }

    /// The figures of the last while; none before there are two samples.
    pub fn over(&self, over: Duration, bounds: &Bounds) -> Option<Overview> {
        let (from, to) = self.pair(over)?;
        Some(figures::overview(from, to, bounds))
    }

    /// Number of the last step that is whole; 0 before the first.
    pub fn last_step(&self) -> u64 {
        self.count.saturating_sub(1) / STEP
    }

    /// The figures of one step; none where it is not there any more, or not yet.
    pub fn step(&self, number: u64, bounds: &Bounds) -> Option<Row> {
        let from = self.numbered(number.checked_sub(1)? * STEP + 1)?;
        let to = self.numbered(number * STEP + 1)?;
        Some(figures::row(&figures::overview(from, to, bounds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many seconds, in each of which as many bytes were sent as its number says.
    fn ring(seconds: u64) -> Ring {
        let mut ring = Ring::default();
        for second in 0..seconds {
            let bytes = second * (second + 1) / 2;
            ring.push(Sample { at_ms: second * 1_000, bytes, ..Sample::default() });
        }
        ring
    }

    fn steps(ring: &Ring) -> Vec<Row> {
        let last = ring.last_step();
        (0..=last).filter_map(|number| ring.step(number, &Bounds::default())).collect()
    }

    #[test]
    fn curves_grow_a_step_at_a_time() {
        let check = |seconds, wanted: &[f64]| {
            let ring = ring(seconds);
            let told: Vec<_> = steps(&ring).iter().map(|row| row[0]).collect();
            assert_eq!(told, wanted.iter().copied().map(Some).collect::<Vec<_>>(), "{seconds}");
            assert_eq!(ring.last_step() as usize, wanted.len(), "{seconds}");
        };
        check(0, &[]);
        check(5, &[]);
        check(6, &[3.0]);
        check(10, &[3.0]);
        check(11, &[3.0, 8.0]);
    }

    #[test]
    fn the_oldest_go() {
        let ring = ring(100_000);
        let steps = steps(&ring);
        assert_eq!((steps.len() as u64, ring.samples.len()), (STEPS, ring.room));
        // Of the seconds 99,991 to 99,995.
        assert_eq!(steps.last().unwrap()[0], Some(99_990.0));
        assert_eq!(ring.step(ring.last_step() + 1, &Bounds::default()), None);
        assert_eq!(ring.step(1, &Bounds::default()), None);
        assert_eq!(ring.step(0, &Bounds::default()), None);
    }

    #[test]
    fn the_last_while() {
        let over = |seconds, over| {
            let ring = ring(seconds);
            let seen = ring.over(Duration::from_secs(over), &Bounds::default());
            seen.map(|seen| (seen.over_s, seen.traffic))
        };
        assert_eq!(over(0, 10), None);
        assert_eq!(over(1, 10), None);
        assert_eq!(over(2, 10), Some((1.0, 1.0)));
        assert_eq!(over(60, 10), Some((10.0, 54.5)));
        assert_eq!(over(60, 0), None);
    }
}
