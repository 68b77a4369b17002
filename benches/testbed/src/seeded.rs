//! Seeded misbehaviour: the same seed gives the same script.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::origin::{Act, BadHead, BadRange, Fault, Pace};

/// The kinds of misbehaviour that a campaign goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// RST in mid-body.
    Reset,
    /// A body that ends early, cleanly.
    Short,
    /// A body longer than declared.
    Long,
    /// Another version between two requests of one fill.
    ChangedValidator,
    /// A body that comes in drops.
    SlowDrip,
    /// No head, half a head, or half a body, and then nothing.
    Silence,
    /// A head that is no HTTP.
    BadHead,
    /// A 206 that is not what was asked.
    WrongRange,
    /// 5xx, or a connection closed without an answer.
    ServerError,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Reset,
        Self::Short,
        Self::Long,
        Self::ChangedValidator,
        Self::SlowDrip,
        Self::Silence,
        Self::BadHead,
        Self::WrongRange,
        Self::ServerError,
    ];

    /// As reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Short => "short",
            Self::Long => "long",
            Self::ChangedValidator => "changed_validator",
            Self::SlowDrip => "slow_drip",
            Self::Silence => "silence",
            Self::BadHead => "bad_head",
            Self::WrongRange => "wrong_range",
            Self::ServerError => "server_error",
        }
    }
}

/// Acts for the first requests of an object of `size` bytes. Most scripts go wrong once; some
/// go on going wrong in the same way. [`Kind::ChangedValidator`] begins with version 1 and
/// goes on with version 2: what is published ought to be [`published`].
pub fn acts(kind: Kind, seed: u64, size: u64) -> Vec<Act> {
    let mut rng = SmallRng::seed_from_u64(seed ^ (kind as u64) << 56);
    let times = *[1, 1, 1, 2, 3, 6].choose(&mut rng).expect("not empty");
    let mut acts = Vec::with_capacity(times);
    for _ in 0..times {
        acts.extend(one(kind, &mut rng, size));
    }
    acts
}

/// The version to publish under a script of this kind.
pub fn published(kind: Kind) -> u64 {
    if kind == Kind::ChangedValidator { 2 } else { 1 }
}

fn one(kind: Kind, rng: &mut SmallRng, size: u64) -> Vec<Act> {
    let chunked = rng.random_bool(0.3);
    let after = *[0, 1, size / 2, size.saturating_sub(1), rng.random_range(0..size.max(1))]
        .choose(rng)
        .expect("not empty");
    let broken = |fault| Act { chunked, ..Act::fault(fault) };
    match kind {
        Kind::Reset => vec![broken(Fault::Reset { after })],
        Kind::Short => vec![if rng.random_bool(0.3) {
            // Fewer bytes than its Content-Range names, under a length that says so.
            Act::fault(Fault::Understated { by: rng.random_range(1..=size.max(1)) })
        } else {
            broken(Fault::Short { after })
        }],
        Kind::Long => {
            let extra = *[1, 32, 4096, 1 << 20].choose(rng).expect("not empty");
            let forged = !chunked && rng.random_bool(0.5);
            vec![broken(Fault::Long { extra, forged })]
        }
        Kind::ChangedValidator => {
            // The body breaks off, and what would resume it is another version.
            let resumed = Act {
                ignore_conditions: rng.random_bool(0.5),
                no_validators: rng.random_bool(0.2),
                ..Act::version(2)
            };
            let broken = Fault::Reset { after: after.max(1) };
            vec![Act { fault: Some(broken), ..Act::version(1) }, resumed]
        }
        Kind::SlowDrip => {
            let pieces = rng.random_range(3..12u64);
            let piece = usize::try_from(size / pieces).unwrap_or(usize::MAX).max(1);
            let gap = Duration::from_millis(rng.random_range(10..150));
            let fault = rng.random_bool(0.4).then_some(Fault::Short { after });
            vec![Act { chunked, fault, ..Act::well().pace(Pace::Drip { piece, gap }) }]
        }
        Kind::Silence => vec![match rng.random_range(0..3) {
            0 => Act::fault(Fault::SilentBeforeHead),
            1 => Act::fault(Fault::SilentInHead),
            _ => broken(Fault::SilentInBody { after }),
        }],
        Kind::BadHead => {
            let bad = *BadHead::ALL.choose(rng).expect("not empty");
            vec![Act::fault(Fault::Head(bad))]
        }
        Kind::WrongRange => {
            let bad = *BadRange::ALL.choose(rng).expect("not empty");
            vec![broken(Fault::ContentRange(bad))]
        }
        Kind::ServerError => vec![match rng.random_range(0..4) {
            0 => Act::fault(Fault::CloseBeforeHead),
            1 => Act::status(500),
            2 => Act::status(503).header("retry-after", "1"),
            _ => Act::status(502),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_script_and_seeds_differ() {
        for kind in Kind::ALL {
            assert_eq!(acts(kind, 7, 1 << 20), acts(kind, 7, 1 << 20));
            assert!((0..50).any(|seed| acts(kind, seed, 1 << 20) != acts(kind, 7, 1 << 20)));
            for seed in 0..50 {
                assert!(!acts(kind, seed, 1).is_empty());
            }
        }
    }
}
