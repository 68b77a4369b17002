//! When a disk is given up: a pure judgement over what was seen of it.
//!
//! One failed call says that one place of the disk is bad, and costs one chunk. Whether the
//! disk is, a probe of it tells at once: that is asked after every failure. So a dead disk is
//! known within two probes of its first failed call, and a bad sector costs a miss. A disk
//! whose probes go well and whose calls fail again and again is given up as well.

use std::{collections::VecDeque, io, time::Duration};

use tokio::time::Instant;

use super::cause::Cause;

/// Bounds of the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Failed calls within the window that end a disk whose probes go well.
    pub errors: usize,
    /// How long a failed call counts.
    pub window: Duration,
    /// Nobody waits longer for a read; one that takes longer counts as a failed call.
    pub read_deadline: Duration,
    /// A read of this age, or a write queue that stood still for so long, is reason to probe.
    pub suspicious: Duration,
    /// A probe asked for by a suspicion that takes longer ends the disk.
    pub probe_deadline: Duration,
    /// Between two probes of a disk of which nothing is known.
    pub probe_every: Duration,
    /// Between two probes of a disk that is not as it should be.
    pub probe_again: Duration,
    /// Bytes free on the file system below which failing writes mean a full disk.
    pub full_below: u64,
    /// Bytes free above which a full disk is written to again.
    pub free_above: u64,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            errors: 5,
            window: Duration::from_secs(60),
            read_deadline: Duration::from_secs(2),
            suspicious: Duration::from_secs(1),
            probe_deadline: Duration::from_secs(1),
            probe_every: Duration::from_secs(10),
            probe_again: Duration::from_millis(100),
            full_below: 64 << 20,
            free_above: 128 << 20,
        }
    }
}

/// What a probe that went well found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the file system.
    pub total_bytes: u64,
    /// Bytes of it that we could still write.
    pub free_bytes: u64,
    /// Bytes of it that our folder takes.
    pub held_bytes: u64,
}

/// What to do with a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Go on.
    Keep,
    /// Probe once more, soon.
    Again,
    /// Stop writing, go on reading.
    Full,
    /// Write again.
    Free,
    /// Take it offline.
    Drop(Cause, String),
}

/// What is remembered of one disk.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Failed calls within the window, oldest first; no more than the rule's bound.
    failed: VecDeque<Instant>,
    /// Failed calls that no probe has looked into yet.
    fresh: usize,
    /// Reads among these that took too long.
    slow: usize,
    /// Calls among these that failed for want of room.
    no_room: usize,
    /// Probes in a row that failed.
    probes_failed: u32,
    full: bool,
}

impl Signs {
    /// Calls failed, or took too long.
    pub(super) fn failed(&mut self, calls: usize, slow: bool) {
        self.fresh = self.fresh.saturating_add(calls);
        if slow {
            self.slow = self.slow.saturating_add(calls);
        }
    }

    /// Writes failed because there is no room on the file system.
    pub(super) fn no_room(&mut self, calls: usize) {
        self.failed(calls, false);
        self.no_room = self.no_room.saturating_add(calls);
    }

    /// Whether there is anything a probe should look into.
    pub(super) fn any(&self) -> bool {
        self.fresh > 0 || self.probes_failed > 0
    }

    /// A probe ended.
    pub(super) fn probed(
        &mut self,
        now: Instant,
        rule: &Rule,
        probe: &io::Result<Space>,
    ) -> Judgement {
        match probe {
            Ok(space) => self.went_well(now, rule, space),
            Err(error) => self.went_wrong(error),
        }
    }

    fn went_wrong(&mut self, error: &io::Error) -> Judgement {
        self.probes_failed += 1;
        let cause = Cause::of(error);
        let at_once = matches!(cause, Cause::ReadOnly | Cause::Gone);
        if at_once || self.probes_failed > 1 {
            return Judgement::Drop(cause, format!("its probe failed: {error}"));
        }
        Judgement::Again
    }

    fn went_well(&mut self, now: Instant, rule: &Rule, space: &Space) -> Judgement {
        self.probes_failed = 0;
        let fresh = std::mem::take(&mut self.fresh);
        let slow = std::mem::take(&mut self.slow);
        let no_room = std::mem::take(&mut self.no_room);
        // That is no fault of the disk's.
        if space.free_bytes < rule.full_below && no_room > 0 {
            return match std::mem::replace(&mut self.full, true) {
                true => Judgement::Keep,
                false => Judgement::Full,
            };
        }
        while self.failed.front().is_some_and(|then| now.duration_since(*then) > rule.window) {
            self.failed.pop_front();
        }
        for _ in 0..fresh.min(rule.errors) {
            self.failed.push_back(now);
        }
        while self.failed.len() > rule.errors {
            self.failed.pop_front();
        }
        if self.failed.len() >= rule.errors {
            let (cause, what) =
                if slow > 0 { (Cause::Slow, "too slow") } else { (Cause::Errors, "failed") };
            let window = rule.window.as_secs();
            let what = format!("{} calls {what} within {window} s", self.failed.len());
            return Judgement::Drop(cause, what);
        }
        if self.full && space.free_bytes > rule.free_above {
            self.full = false;
            return Judgement::Free;
        }
        Judgement::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: Space = Space { total_bytes: 1 << 40, free_bytes: 1 << 39, held_bytes: 0 };
    const TIGHT: Space = Space { total_bytes: 1 << 40, free_bytes: 1 << 20, held_bytes: 0 };

    enum Seen {
        Failed(usize),
        NoRoom(usize),
        Slow(usize),
        Well(Space),
        Wrong(i32),
        Seconds(u64),
    }
    use Seen::*;

    #[tokio::test(start_paused = true)]
    async fn what_ends_a_disk() {
        let check = async |seen: &[Seen], expected: &str| {
            let (rule, mut signs) = (Rule::default(), Signs::default());
            let mut said = Vec::new();
            for seen in seen {
                let probe = match seen {
                    Failed(calls) => {
                        signs.failed(*calls, false);
                        continue;
                    }
                    NoRoom(calls) => {
                        signs.no_room(*calls);
                        continue;
                    }
                    Slow(calls) => {
                        signs.failed(*calls, true);
                        continue;
                    }
                    Seconds(seconds) => {
                        tokio::time::advance(Duration::from_secs(*seconds)).await;
                        continue;
                    }
                    Well(space) => Ok(*space),
                    Wrong(errno) => Err(io::Error::from_raw_os_error(*errno)),
                };
                said.push(match signs.probed(Instant::now(), &rule, &probe) {
                    Judgement::Drop(cause, _) => format!("drop {cause:?}"),
                    other => format!("{other:?}"),
                });
            }
            assert_eq!(said.join(", "), expected);
        };
        // Nothing, one bad sector, four of them.
        check(&[Well(ROOMY)], "Keep").await;
        check(&[Failed(1), Well(ROOMY)], "Keep").await;
        check(&[Failed(4), Well(ROOMY), Well(ROOMY)], "Keep, Keep").await;
        // Five within a minute; over a longer time they are forgotten.
        check(&[Failed(4), Well(ROOMY), Failed(1), Well(ROOMY)], "Keep, drop Errors").await;
        check(&[Failed(4), Well(ROOMY), Seconds(61), Failed(4), Well(ROOMY)], "Keep, Keep").await;
        check(&[Failed(2), Slow(3), Well(ROOMY)], "drop Slow").await;
        // A dead disk: the first failed probe is tried again, the second ends it.
        check(&[Failed(1), Wrong(libc::EIO)], "Again").await;
        check(&[Failed(1), Wrong(libc::EIO), Wrong(libc::EIO)], "Again, drop Errors").await;
        check(&[Wrong(libc::EIO), Well(ROOMY), Wrong(libc::EIO)], "Again, Keep, Again").await;
        check(&[Wrong(libc::EROFS)], "drop ReadOnly").await;
        check(&[Wrong(libc::ENODEV)], "drop Gone").await;
        // A full one is not broken, however often its writes fail, and gets its space back.
        check(&[Well(TIGHT)], "Keep").await;
        check(&[NoRoom(9), Well(TIGHT), NoRoom(9), Well(TIGHT)], "Full, Keep").await;
        check(&[NoRoom(9), Well(TIGHT), Well(ROOMY), Well(ROOMY)], "Full, Free, Keep").await;
        // A store that has all its room beforehand leaves none: that says nothing.
        check(&[Failed(9), Well(TIGHT)], "drop Errors").await;
        check(&[Slow(5), Well(TIGHT)], "drop Slow").await;
    }
}
