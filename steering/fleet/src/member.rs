//! Which reports of a node are believed, and what they say of it. Pure: time comes with each call.

use std::{collections::VecDeque, time::Duration};

use weir_steering_api::{CLOCK_JUDGED_MS, CLOCK_TOLD_MS, Report};

/// A report that took longer to come here than the fastest one by so much is of the past.
pub const STALE: Duration = Duration::from_secs(10);
/// Processes of a node that are remembered, so that what they said is known when it comes again.
const BOOTS: usize = 16;
/// Reports at once that a node may have saved up, and how fast it gets them back.
const BURST: f64 = 10.0;
const PER_SECOND: f64 = 4.0;
/// After so long without a report it is late: three are missing.
pub const LATE: Duration = Duration::from_millis(3_500);
/// And after so long it is gone.
pub const GONE: Duration = Duration::from_secs(5);
/// How often it may come and go within [`FLAP_WINDOW`] before it is said to flap.
pub const FLAPS: usize = 3;
/// See [`FLAPS`].
pub const FLAP_WINDOW: Duration = Duration::from_secs(600);
/// Reports of a host that slept are all late by the same time; so many show that it is awake.
const AWAKE: u32 = 3;

/// Now, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since this process began; nobody sets this one.
    pub steady: Duration,
    /// Unix time.
    pub unix_ms: u64,
}

/// Why a report is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its number was here already.
    #[error("report {got} of this process came after report {had}")]
    Replayed {
        /// The newest that was taken.
        had: u64,
        /// This one.
        got: u64,
    },
    /// It is of a process that another one has replaced.
    #[error(
        "an earlier process of the node reports again: either this is a copy of an old report, or \
         two machines have the same certificate"
    )]
    Replaced,
    /// It was on its way for too long.
    #[error("the report is {late_ms} ms older than the way here takes")]
    Stale {
        /// By how much.
        late_ms: u64,
    },
    /// More than a node has to say.
    #[error("more than four reports a second")]
    TooMany,
}

/// How a node's clock goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clockwork {
    /// Within [`CLOCK_TOLD_MS`].
    #[default]
    Right,
    /// Off by more, which it is told.
    Off,
    /// Off by more than [`CLOCK_JUDGED_MS`]: it would refuse good tokens or take bad ones.
    Wrong,
}

/// Whether a node is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Not since it joined.
    Unheard,
    /// Now.
    Present,
    /// Three reports are missing.
    Late,
    /// No more.
    Gone,
}

impl Presence {
    /// As answers and events write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Present => "present",
            Self::Late => "late",
            Self::Gone => "gone",
        }
    }
}

/// When a report of a process came that was the fastest on its way, and when it was made.
#[derive(Debug, Clone, Copy)]
struct Pace {
    came: Duration,
    up: Duration,
}

/// Reports that were all late by about the same time.
#[derive(Debug, Clone, Copy)]
struct Sleep {
    count: u32,
    came: Duration,
    late: Duration,
}

/// What is known of a node by its reports.
#[derive(Debug, Clone, Default)]
pub struct Member {
    boots: VecDeque<u64>,
    sequence: u64,
    pace: Option<Pace>,
    sleep: Option<Sleep>,
    /// When the last one came; since this process began.
    heard: Option<Duration>,
    heard_ms: u64,
    clock_off_ms: i64,
    allowance: Option<(Duration, f64)>,
    report: Option<Report>,
    gone: bool,
    returns: VecDeque<Duration>,
}

impl Member {
    /// One that an earlier process of the control plane has known. It counts as heard of now, so
    /// that nobody is gone because the control plane was.
    pub fn known(
        boot: u64,
        sequence: u64,
        seen_ms: u64,
        report: Option<Report>,
        now: Moment,
    ) -> Self {
        Self {
            boots: VecDeque::from([boot]),
            sequence,
            heard: Some(now.steady),
            heard_ms: seen_ms,
            report,
            ..Self::default()
        }
    }

    /// Takes a report, or leaves everything as it was. Whether the node has come back with it.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn take(&mut self, report: &Report, now: Moment) -> Result<bool, Refusal> {
        self.allow(now.steady)?;
        let identity = &report.identity;
        let same = self.boots.back() == Some(&identity.boot);
        if !same && self.boots.contains(&identity.boot) {
            return Err(Refusal::Replaced);
        }
        if same && identity.sequence <= self.sequence {
            return Err(Refusal::Replayed { had: self.sequence, got: identity.sequence });
        }
        let up = Duration::from_millis(identity.up_ms);
        self.pace = Some(self.on_time(same, up, now.steady)?);
        self.sleep = None;
        if !same {
            if self.boots.len() == BOOTS {
                self.boots.pop_front();
            }
            self.boots.push_back(identity.boot);
        }
        self.sequence = identity.sequence;
        self.heard = Some(now.steady);
        self.heard_ms = now.unix_ms;
        let off = i128::from(identity.clock_ms) - i128::from(now.unix_ms);
        self.clock_off_ms = i64::try_from(off).unwrap_or(i64::MAX);
        self.report = Some(report.clone());
        let back = std::mem::take(&mut self.gone);
        if back {
            self.returns.push_back(now.steady);
            if self.returns.len() > FLAPS {
                self.returns.pop_front();
            }
        }
        Ok(back)
    }

    fn allow(&mut self, now: Duration) -> Result<(), Refusal> {
        let (since, left) = self.allowance.unwrap_or((now, BURST));
        let earned = now.saturating_sub(since).as_secs_f64() * PER_SECOND;
        let left = (left + earned).min(BURST);
        let enough = left >= 1.0;
        self.allowance = Some((now, if enough { left - 1.0 } else { left }));
        if enough { Ok(()) } else { Err(Refusal::TooMany) }
    }

    /// The fastest way so far, this one included.
    fn on_time(&mut self, same: bool, up: Duration, now: Duration) -> Result<Pace, Refusal> {
        let fresh = Pace { came: now, up };
        let Some(pace) = self.pace.filter(|_| same) else { return Ok(fresh) };
        let (here, there) = (now.saturating_sub(pace.came), up.saturating_sub(pace.up));
        if here <= there {
            return Ok(fresh);
        }
        let late = here - there;
        if late <= STALE {
            return Ok(pace);
        }
        // A host that slept has a clock that stood still meanwhile: from then on everything is late
        // by the same time, and comes at the pace of a clock. What was held up somewhere comes at
        // once, each less late than the one before.
        let again = self.sleep.filter(|sleep| {
            sleep.late.abs_diff(late) < Duration::from_secs(1)
                && now.saturating_sub(sleep.came) >= Duration::from_millis(500)
        });
        let count = again.map_or(1, |sleep| sleep.count + 1);
        if count >= AWAKE {
            return Ok(fresh);
        }
        self.sleep = Some(Sleep { count, came: now, late });
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        Err(Refusal::Stale { late_ms })
    }

    /// Whether it is heard of; none where that has not changed to or from `gone` since the last
    /// call.
    pub fn look(&mut self, now: Duration) -> Option<Presence> {
        let presence = self.presence(now);
        let left = presence == Presence::Gone && !self.gone;
        self.gone |= left;
        left.then_some(presence)
    }

    /// Whether it is heard of.
    pub fn presence(&self, now: Duration) -> Presence {
        let Some(heard) = self.heard else { return Presence::Unheard };
        match now.saturating_sub(heard) {
            silent if silent >= GONE => Presence::Gone,
            silent if silent >= LATE => Presence::Late,
            _ => Presence::Present,
        }
    }

    /// Whether it came back [`FLAPS`] times within [`FLAP_WINDOW`].
    pub fn flaps(&self, now: Duration) -> bool {
        let lately = |at: &&Duration| now.saturating_sub(**at) < FLAP_WINDOW;
        self.returns.iter().filter(lately).count() >= FLAPS
    }

    /// How its clock goes, as of the last report.
    pub fn clockwork(&self) -> Clockwork {
        match self.clock_off_ms.unsigned_abs() {
            off if off > CLOCK_JUDGED_MS => Clockwork::Wrong,
            off if off > CLOCK_TOLD_MS => Clockwork::Off,
            _ => Clockwork::Right,
        }
    }

    /// How far its clock is ahead.
    pub fn clock_off_ms(&self) -> i64 {
        self.clock_off_ms
    }

    /// What it said last.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Unix time at which it was heard of last; 0: never.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// How long it has been silent.
    pub fn silent(&self, now: Duration) -> Option<Duration> {
        self.heard.map(|heard| now.saturating_sub(heard))
    }

    /// Its process, and which of its reports was the last.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.boots.back().map(|boot| (*boot, self.sequence))
    }
}

#[cfg(test)]
mod tests;
