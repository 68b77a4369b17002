//! What must hold of measured segments before a title may be published, and where sound is
//! cut so that its segments follow the picture's.

use crate::{
    ladder::Plan,
    presentation::{Presentation, Rendition, micros},
    rate::FrameRate,
};

/// Samples in an AAC frame.
pub const AAC_FRAME: u64 = 1024;

/// Why a set of renditions is not fit to publish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// Nothing came out of the encoder.
    #[error("{rendition} has no segments")]
    Empty {
        /// Rung.
        rendition: String,
    },
    /// The film would start with a hole, or before zero.
    #[error("{rendition} starts at tick {start} instead of 0")]
    Start {
        /// Rung.
        rendition: String,
        /// Where it starts.
        start: u64,
    },
    /// Segments leave a hole or overlap.
    #[error(
        "{rendition} segment {number} starts at tick {start}, but the one before ends at {expected}"
    )]
    Hole {
        /// Rung.
        rendition: String,
        /// From 1.
        number: usize,
        /// Where it starts.
        start: u64,
        /// Where it should.
        expected: u64,
    },
    /// A player could not join there.
    #[error("{rendition} segment {number} does not start with a picture that decodes by itself")]
    NotIndependent {
        /// Rung.
        rendition: String,
        /// From 1.
        number: usize,
    },
    /// A rung is cut elsewhere than the plan says.
    #[error("{rendition} segment {number} lasts {got} ticks instead of {expected}")]
    OffGrid {
        /// Rung.
        rendition: String,
        /// From 1.
        number: usize,
        /// Measured.
        got: u64,
        /// Of the plan.
        expected: u64,
    },
    /// Two rungs are not cut at the same places.
    #[error("{rendition} is not cut at the same places as {other}")]
    Unequal {
        /// Rung.
        rendition: String,
        /// The rung it was compared with.
        other: String,
    },
    /// The source broke off, or lies about its length.
    #[error(
        "{rendition} came out {got_ms} ms long, but the file says {expected_ms} ms; it is cut \
         off or damaged: copy it again from where it came from"
    )]
    Length {
        /// Rung.
        rendition: String,
        /// Measured.
        got_ms: u64,
        /// Of the source.
        expected_ms: u64,
    },
}

/// Checks everything that can be told from the measurements alone.
pub fn check(presentation: &Presentation, plan: &Plan) -> Result<(), GridError> {
    for rendition in presentation.video.iter().chain(&presentation.audio) {
        contiguous(rendition)?;
    }
    let timescale = plan.rate.timescale();
    let segment = u64::from(plan.segment_frames) * u64::from(plan.rate.frame_ticks());
    for rendition in &presentation.video {
        let last = rendition.segments.len() - 1;
        for (at, facts) in rendition.segments.iter().enumerate() {
            let fits = facts.duration == segment || (at == last && facts.duration < segment);
            if !fits || rendition.timescale != timescale {
                return Err(GridError::OffGrid {
                    rendition: rendition.id.clone(),
                    number: at + 1,
                    got: facts.duration,
                    expected: segment,
                });
            }
        }
        same_cuts(rendition, &presentation.video[0])?;
        // One frame either way: containers round, and the last frame of a varying rate
        // lasts as long as one cares to say.
        length(rendition, plan, plan.rate.frame_micros() + 1000)?;
    }
    let audio_frame = AAC_FRAME * 1_000_000 / u64::from(crate::ladder::AUDIO_RATE);
    for rendition in &presentation.audio {
        length(rendition, plan, plan.rate.frame_micros() + audio_frame + 1000)?;
    }
    Ok(())
}

fn contiguous(rendition: &Rendition) -> Result<(), GridError> {
    let name = || rendition.id.clone();
    let Some(first) = rendition.segments.first() else {
        return Err(GridError::Empty { rendition: name() });
    };
    if first.start != 0 || first.shown_from != 0 {
        let start = first.start.max(first.shown_from);
        return Err(GridError::Start { rendition: name(), start });
    }
    let mut expected = 0;
    for (at, facts) in rendition.segments.iter().enumerate() {
        if facts.start != expected {
            let (number, start) = (at + 1, facts.start);
            return Err(GridError::Hole { rendition: name(), number, start, expected });
        }
        if !facts.independent {
            return Err(GridError::NotIndependent { rendition: name(), number: at + 1 });
        }
        expected += facts.duration;
    }
    Ok(())
}

fn same_cuts(rendition: &Rendition, other: &Rendition) -> Result<(), GridError> {
    let cuts = |r: &Rendition| r.segments.iter().map(|s| (s.start, s.duration)).collect::<Vec<_>>();
    if cuts(rendition) == cuts(other) {
        return Ok(());
    }
    Err(GridError::Unequal { rendition: rendition.id.clone(), other: other.id.clone() })
}

fn length(rendition: &Rendition, plan: &Plan, slack: u64) -> Result<(), GridError> {
    let got = micros(rendition.duration(), rendition.timescale);
    if got.abs_diff(plan.duration) <= slack {
        return Ok(());
    }
    Err(GridError::Length {
        rendition: rendition.id.clone(),
        got_ms: got / 1000,
        expected_ms: plan.duration / 1000,
    })
}

/// First AAC frame of sound segment `index` (from 0): the frame boundary nearest to where
/// the picture is cut.
pub fn audio_cut(index: u64, segment_frames: u32, rate: FrameRate) -> u64 {
    let ticks = u128::from(index) * u128::from(segment_frames) * u128::from(rate.den());
    let samples = ticks * u128::from(crate::ladder::AUDIO_RATE);
    let frame = u128::from(rate.num()) * u128::from(AAC_FRAME);
    u64::try_from((samples + frame / 2) / frame).unwrap_or(u64::MAX)
}
