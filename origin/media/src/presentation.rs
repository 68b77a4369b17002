//! A packaged title as the manifests describe it: renditions and what their segments
//! measured. Filled from real fragments, never from what was asked of the encoder.

use crate::rate::FrameRate;

/// One title, ready to be described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    /// Rungs, highest first, all on one grid and one timescale.
    pub video: Vec<Rendition>,
    /// Sound, where there is any.
    pub audio: Vec<Rendition>,
}

/// One rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Name in keys and manifests.
    pub id: String,
    /// RFC 6381 name of the codec, from its init segment.
    pub codec: String,
    /// Ticks a second of every duration here.
    pub timescale: u32,
    /// In order.
    pub segments: Vec<SegmentFacts>,
    /// Picture or sound.
    pub kind: RenditionKind,
}

/// What only pictures or only sound have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenditionKind {
    /// Pictures.
    Video {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Frames a second.
        rate: FrameRate,
    },
    /// Sound.
    Audio {
        /// Samples a second.
        sample_rate: u32,
        /// Channels.
        channels: u32,
        /// Language tag, where known.
        language: Option<String>,
    },
}

/// What a segment measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Decode time of its first sample, in ticks.
    pub start: u64,
    /// Earliest time at which something of it is shown, in ticks.
    pub shown_from: u64,
    /// Sum of its samples' durations, in ticks.
    pub duration: u64,
    /// Samples in it.
    pub samples: u64,
    /// Bytes as stored.
    pub bytes: u64,
    /// It can be decoded without what went before.
    pub independent: bool,
}

impl Rendition {
    /// Length in ticks.
    pub fn duration(&self) -> u64 {
        self.segments.iter().map(|s| s.duration).sum()
    }

    /// Length in microseconds, to the nearest.
    pub fn duration_micros(&self) -> u64 {
        micros(self.duration(), self.timescale)
    }

    /// Samples in all segments.
    pub fn samples(&self) -> u64 {
        self.segments.iter().map(|s| s.samples).sum()
    }

    /// Mean bit rate over the whole rendition, in bits a second, rounded up.
    pub fn average_bits_per_second(&self) -> u64 {
        let bytes = self.segments.iter().map(|s| s.bytes).sum();
        bit_rate(bytes, self.duration(), self.timescale)
    }

    /// Highest bit rate over any run of segments that lasts between half and one and a half
    /// target durations, in bits a second, rounded up (RFC 8216 §4.1).
    pub fn peak_bits_per_second(&self) -> u64 {
        let target = target_duration(self) * u64::from(self.timescale);
        let mut peak = 0;
        for first in 0..self.segments.len() {
            let (mut bytes, mut ticks) = (0, 0);
            for segment in &self.segments[first..] {
                bytes += segment.bytes;
                ticks += segment.duration;
                if ticks * 2 > target * 3 {
                    break;
                }
                if ticks * 2 >= target {
                    peak = peak.max(bit_rate(bytes, ticks, self.timescale));
                }
            }
        }
        peak.max(self.average_bits_per_second())
    }
}

/// The longest segment in whole seconds: each duration, rounded to the nearest, must not
/// exceed it (RFC 8216 §4.3.3.1).
pub fn target_duration(rendition: &Rendition) -> u64 {
    let longest = rendition.segments.iter().map(|s| s.duration).max().unwrap_or(0);
    let timescale = u64::from(rendition.timescale).max(1);
    ((longest + timescale / 2) / timescale).max(1)
}

/// Ticks as microseconds, to the nearest.
pub fn micros(ticks: u64, timescale: u32) -> u64 {
    let timescale = u128::from(timescale.max(1));
    let micros = (u128::from(ticks) * 1_000_000 + timescale / 2) / timescale;
    u64::try_from(micros).unwrap_or(u64::MAX)
}

fn bit_rate(bytes: u64, ticks: u64, timescale: u32) -> u64 {
    let bits = u128::from(bytes) * 8 * u128::from(timescale);
    u64::try_from(bits.div_ceil(u128::from(ticks.max(1)))).unwrap_or(u64::MAX)
}
