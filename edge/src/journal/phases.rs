//! When the phases of a request ended: one read of the clock each.

use std::time::Duration;

use weir_config_admin::TracePhase;

use super::{Finished, millis};
use crate::record::Outcome;

/// Phases that a request passes one after the other. What follows them is the head, which is
/// ready with the time to the first byte, and the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Host and path have found a service.
    Admit,
    /// Its token was looked at.
    Authorize,
    /// The cache was asked, and answered or did not.
    Lookup,
    /// What the object is now is known: waited for a fill, or for an upstream's own answer.
    Fill,
    /// Its first bytes are there, of whichever tier.
    Open,
}

const PHASES: [(Phase, &str); 5] = [
    (Phase::Admit, "admit"),
    (Phase::Authorize, "authorize"),
    (Phase::Lookup, "lookup"),
    (Phase::Fill, "fill"),
    (Phase::Open, "open"),
];

/// Microseconds from the request's begin to the end of each phase; 0 where it was not reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks([u32; PHASES.len()]);

impl Marks {
    /// A phase has ended, so long after the request began. Where it comes again, the last counts.
    pub fn set(&mut self, phase: Phase, after: Duration) {
        self.0[phase as usize] = u32::try_from(after.as_micros()).unwrap_or(u32::MAX).max(1);
    }
}

/// The phases of a finished request, in order.
pub fn phases(finished: &Finished) -> Vec<TracePhase> {
    let mut told: Vec<TracePhase> = Vec::new();
    let mut begun = 0.0;
    let mut next = |name: &str, ended: f64, note: Option<&str>| {
        // The clock of the log rounds otherwise.
        let took = (ended - begun).max(0.0);
        let phase = TracePhase {
            name: name.to_owned(),
            at_ms: millis(begun),
            took_ms: millis(took),
            note: note.map(str::to_owned),
        };
        told.push(phase);
        begun = ended.max(begun);
    };
    for (phase, name) in PHASES {
        let micros = finished.marks.0[phase as usize];
        if micros > 0 {
            next(name, f64::from(micros) / 1e6, note(phase, finished));
        }
    }
    if finished.status == crate::record::CLIENT_GONE {
        next("left", finished.total, Some("the client left before there was an answer"));
        return told;
    }
    next("head", finished.ttfb, None);
    let cut = (!finished.whole).then_some("it was cut before its end");
    next("body", finished.total, cut);
    told
}

fn note(phase: Phase, finished: &Finished) -> Option<&'static str> {
    let outcome = finished.outcome;
    match phase {
        Phase::Lookup if finished.asked.is_none() => match outcome {
            Outcome::HitMem => Some("everything was in RAM"),
            _ => None,
        },
        Phase::Lookup => Some("the cache alone could not answer"),
        Phase::Fill => match outcome {
            Outcome::Miss => Some("this request had the upstream asked"),
            Outcome::Collapsed => Some("another request had the upstream asked"),
            Outcome::Revalidated => Some("the upstream was asked whether it still holds"),
            Outcome::Stale => Some("a stale answer may be served"),
            Outcome::Bypass => Some("the upstream was asked for this request alone"),
            Outcome::HitMem | Outcome::HitDisk => Some("what is stored holds"),
            Outcome::Own | Outcome::Error => None,
        },
        Phase::Open => match outcome {
            Outcome::HitMem => Some("the first chunk from RAM"),
            Outcome::HitDisk => Some("the first chunk from disk, and checked"),
            Outcome::Collapsed | Outcome::Miss => Some("the first bytes of the fill"),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Marks, Phase};
    use std::time::Duration;

    #[test]
    fn marks_are_bounded() {
        let mut marks = Marks::default();
        marks.set(Phase::Admit, Duration::ZERO);
        marks.set(Phase::Open, Duration::MAX);
        assert_eq!(marks, Marks([1, 0, 0, 0, u32::MAX]));
    }
}
