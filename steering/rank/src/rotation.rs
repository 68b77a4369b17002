//! When a node leaves the rotation and when it comes back: hysteresis over its health reports, as
//! a function from a state and a sample to the next state.
//!
//! The newest sample alone decides nothing (decision 0025). Whoever takes reports in keeps the
//! state beside the node and puts it into the snapshot; ranking only reads it.

use serde::{Deserialize, Serialize};

use crate::snapshot::{Rules, SHARE};

/// Why a node is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// It has no room left.
    #[default]
    Load,
    /// It says that something of it is broken.
    Health,
}

/// What one report says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken in, by the clock of who judges, Unix milliseconds.
    pub at_ms: u64,
    /// Spare share of the node's tightest resource, of [`SHARE`].
    pub spare: u16,
    /// Nothing of it is broken.
    pub fit: bool,
}

/// Where a node stands. The next state is [`Rotation::after`] a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Takes clients.
    pub serving: bool,
    /// Why it does not.
    #[serde(default)]
    pub cause: Cause,
    /// Samples in a row below the lower threshold, while serving.
    #[serde(default)]
    pub below: u8,
    /// Samples in a row above the upper threshold, while not.
    #[serde(default)]
    pub above: u8,
    /// When the first of those came.
    #[serde(default)]
    pub above_since_ms: u64,
    /// When it last left or came back.
    pub since_ms: u64,
    /// How often it left soon after it had come back; each makes the next wait longer.
    #[serde(default)]
    pub relapses: u8,
}

impl Rotation {
    /// Of a node that nobody knew: serving, from a small share upwards.
    pub fn new(at_ms: u64) -> Self {
        Self {
            serving: true,
            cause: Cause::Load,
            below: 0,
            above: 0,
            above_since_ms: 0,
            since_ms: at_ms,
            relapses: 0,
        }
    }

    /// The state after a sample. Samples older than the last change are taken as of its moment.
    #[must_use]
    pub fn after(self, rules: &Rules, sample: Sample) -> Self {
        if self.serving { self.in_use(rules, sample) } else { self.out(rules, sample) }
    }

    fn in_use(mut self, rules: &Rules, sample: Sample) -> Self {
        let bad = !sample.fit || sample.spare < rules.leave_below;
        if !bad {
            self.below = 0;
            if sample.at_ms.saturating_sub(self.since_ms) >= rules.forget_after_ms {
                self.relapses = 0;
            }
            return self;
        }
        self.below = self.below.saturating_add(1);
        if self.below < rules.leave_samples {
            return self;
        }
        let served = sample.at_ms.saturating_sub(self.since_ms);
        let relapsed = served < rules.relapse_within_ms && self.since_ms > 0;
        Self {
            serving: false,
            cause: if sample.fit { Cause::Load } else { Cause::Health },
            below: 0,
            above: 0,
            above_since_ms: 0,
            since_ms: sample.at_ms.max(self.since_ms),
            relapses: if relapsed { self.relapses.saturating_add(1) } else { self.relapses },
        }
    }

    fn out(mut self, rules: &Rules, sample: Sample) -> Self {
        let good = sample.fit && sample.spare > rules.return_above;
        if !good {
            self.above = 0;
            self.cause = if sample.fit { Cause::Load } else { Cause::Health };
            return self;
        }
        if self.above == 0 {
            self.above_since_ms = sample.at_ms;
        }
        self.above = self.above.saturating_add(1);
        let long = sample.at_ms.saturating_sub(self.above_since_ms) >= self.dwell_ms(rules);
        if self.above < rules.return_samples || !long {
            return self;
        }
        Self {
            serving: true,
            above: 0,
            above_since_ms: 0,
            since_ms: sample.at_ms.max(self.since_ms),
            ..self
        }
    }

    /// How long a node has to stay above the upper threshold before it comes back: a minute and
    /// twice as long for each relapse, so that one that flaps changes less than once a minute.
    fn dwell_ms(&self, rules: &Rules) -> u64 {
        match self.relapses {
            0 => rules.return_after_ms,
            relapses => {
                let longer =
                    rules.relapse_dwell_ms.saturating_mul(1 << u32::from(relapses - 1).min(16));
                longer.clamp(rules.return_after_ms, rules.dwell_max_ms.max(rules.return_after_ms))
            }
        }
    }

    /// The share of its weight that a serving node gets, of [`SHARE`]: all of it above the knee,
    /// less and less below, and growing for a while after it has come back. Never nothing.
    pub fn share(&self, rules: &Rules, spare: u16, now_ms: u64) -> u16 {
        let full = u64::from(SHARE);
        let (spare, knee) = (u64::from(spare), u64::from(rules.knee.max(1)));
        let smooth = if spare >= knee { full } else { full * spare / knee };
        let grown = now_ms.saturating_sub(self.since_ms);
        let ramp = if grown >= rules.ramp_ms || rules.ramp_ms == 0 {
            full
        } else {
            full * grown / rules.ramp_ms
        };
        let share = smooth * ramp / full;
        u16::try_from(share.max(full / 100)).expect("no more than SHARE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: u16 = 5000;
    const BAD: u16 = 300;

    /// One sample a second; what the node is after each.
    fn check(samples: &[(u16, usize)], changes: &[(u64, bool)]) {
        let rules = Rules::default();
        let start = 1_000_000;
        let mut rotation = Rotation::new(start);
        let mut seen = Vec::new();
        let all = samples.iter().flat_map(|(spare, times)| vec![*spare; *times]);
        for (second, spare) in (1_u64..).zip(all) {
            let sample = Sample { at_ms: start + second * 1000, spare, fit: true };
            let next = rotation.after(&rules, sample);
            if next.serving != rotation.serving {
                seen.push((second, next.serving));
            }
            rotation = next;
        }
        assert_eq!(seen, changes);
    }

    #[test]
    fn one_bad_sample_changes_nothing() {
        check(&[(GOOD, 10), (BAD, 1), (GOOD, 10), (BAD, 1), (GOOD, 1)], &[]);
    }

    #[test]
    fn two_bad_samples_take_it_out_and_fifteen_good_seconds_bring_it_back() {
        check(&[(GOOD, 200), (BAD, 2), (GOOD, 30)], &[(202, false), (218, true)]);
    }

    #[test]
    fn between_the_thresholds_nothing_changes() {
        check(&[(1000, 100)], &[]);
        check(&[(GOOD, 200), (BAD, 2), (1000, 100)], &[(202, false)]);
        check(
            &[(GOOD, 200), (BAD, 2), (GOOD, 14), (1000, 1), (GOOD, 16)],
            &[(202, false), (233, true)],
        );
    }

    #[test]
    fn who_relapses_waits_longer_each_time() {
        let twenty = [(GOOD, 20), (BAD, 2)];
        let flapping: Vec<_> = twenty.into_iter().cycle().take(2 * 82).collect();
        let (rules, start) = (Rules::default(), 1_000_000);
        let (mut rotation, mut changes) = (Rotation::new(start), Vec::new());
        let samples = flapping.iter().flat_map(|(spare, times)| vec![*spare; *times]);
        for (second, spare) in (1_u64..=1800).zip(samples) {
            let at_ms = start + second * 1000;
            let next = rotation.after(&rules, Sample { at_ms, spare, fit: true });
            if next.serving != rotation.serving {
                changes.push(second);
            }
            rotation = next;
        }
        // Half an hour of a node that is bad for two seconds of every 22.
        assert!(changes.len() <= 30, "{changes:?}");
    }

    #[test]
    fn what_is_broken_leaves_for_its_health() {
        let rules = Rules::default();
        let mut rotation = Rotation::new(1000);
        for at_ms in [2000, 3000] {
            rotation = rotation.after(&rules, Sample { at_ms, spare: GOOD, fit: false });
        }
        assert!(!rotation.serving && rotation.cause == Cause::Health);
    }

    #[test]
    fn the_share_falls_below_the_knee_and_grows_after_a_return() {
        let rules = Rules::default();
        let back = Rotation { since_ms: 100_000, ..Rotation::new(0) };
        for (spare, now_ms, share) in [
            (10_000, 200_000, 10_000),
            (3_000, 200_000, 10_000),
            (1_500, 200_000, 5_000),
            (10_000, 115_000, 5_000),
            (1_500, 115_000, 2_500),
            (0, 200_000, 100),
            (10_000, 100_000, 100),
        ] {
            assert_eq!(back.share(&rules, spare, now_ms), share, "{spare} at {now_ms}");
        }
    }
}
