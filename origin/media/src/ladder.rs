//! The ladder: which rungs a source gets, and the one grid that all of them share.
//!
//! A pure function of the probe. Rungs never exceed the source, keep its shape, have even
//! sides (4:2:0 needs them), and all of them cut at the same frames, so that a player may
//! change rung at any segment.

use crate::{
    probe::Source,
    rate::{self, FrameRate},
};

/// What a person chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Length of a segment that is aimed at, in microseconds.
    pub segment_micros: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_micros: 4_000_000 }
    }
}

/// Everything an encoder must know, the same for every run over the same source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Constant rate of every video rung.
    pub rate: FrameRate,
    /// The source's own rate varies.
    pub rate_varied: bool,
    /// Frames between two IDR pictures.
    pub gop_frames: u32,
    /// Frames in a segment, a whole number of GOPs.
    pub segment_frames: u32,
    /// Length of the title in microseconds.
    pub duration: u64,
    /// How long the last picture is held because the sound goes on, in microseconds.
    pub hold_last: u64,
    /// How much silence may follow the sound, in microseconds.
    pub pad_audio: u64,
    /// Highest first; never empty.
    pub video: Vec<VideoRung>,
    /// None for a silent source.
    pub audio: Option<AudioRung>,
}

impl Plan {
    /// Frames of every video rung: the film's length, to the nearest.
    pub fn frames(&self) -> u64 {
        self.rate.frames_in_micros(self.duration)
    }
}

/// One step of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoRung {
    /// Name in keys and manifests, such as `v720`.
    pub id: String,
    /// Pixels across, even.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// Ceiling of the encoder, in bits a second.
    pub max_bits_per_second: u32,
}

/// The sound of the title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioRung {
    /// Name in keys and manifests, such as `a128`.
    pub id: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// One or two; more are mixed down.
    pub channels: u32,
    /// Aim of the encoder.
    pub bits_per_second: u32,
}

/// Why a source gets no ladder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Less than a macroblock.
    #[error(
        "its picture is {width}x{height}; the smallest that players decode everywhere is \
         {SMALLEST_SIDE}x{SMALLEST_SIDE}"
    )]
    TooSmall {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// A strip: what is scaled to a size that decoders take is less than a macroblock high.
    #[error(
        "its picture is {width}x{height}: scaled to at most {LARGEST_LABEL} lines, its short side \
         is less than {SMALLEST_SIDE}; crop or pad it first"
    )]
    TooFlat {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Not a moving picture.
    #[error("its video stream has no frame rate, as a still picture has none; give a film")]
    NoRate,
    /// Nothing to show.
    #[error("its length is unknown or less than a frame")]
    NoLength,
    /// A grid of such segments makes no sense.
    #[error(
        "segments of {0} µs were asked for; between 1 s and 12 s is sensible (4s is the default)"
    )]
    Segment(u64),
}

/// A macroblock: decoders refuse less.
pub const SMALLEST_SIDE: u32 = 16;
/// AAC in frames of 1,024 samples at this rate, whatever the source has.
pub const AUDIO_RATE: u32 = 48_000;
/// H.264 level 6.2 allows more, but no browser's decoder does.
const LARGEST_LABEL: u32 = 2160;
const LABELS: [u32; 7] = [2160, 1440, 1080, 720, 480, 360, 240];
/// An IDR picture at least so often: seeking and joining wait for one.
const GOP_MICROS: u64 = 2_000_000;
/// Sound that ends so little after the picture is an encoder's tail.
const AUDIO_TAIL: u64 = 1_000_000;

/// Makes the plan for a source.
pub fn plan(source: &Source, settings: Settings) -> Result<Plan, PlanError> {
    if !(1_000_000..=12_000_000).contains(&settings.segment_micros) {
        return Err(PlanError::Segment(settings.segment_micros));
    }
    let video = &source.video;
    if video.width.min(video.height) < SMALLEST_SIDE {
        return Err(PlanError::TooSmall { width: video.width, height: video.height });
    }
    let constant = rate::constant(video.average_rate, video.base_rate).ok_or(PlanError::NoRate)?;
    let picture = video.end.or(source.duration).ok_or(PlanError::NoLength)?;
    let sound = source.audio.as_ref().and_then(|audio| audio.end);
    let duration = sound.filter(|end| *end > picture + AUDIO_TAIL).unwrap_or(picture);
    if duration == 0 || constant.rate.frames_in_micros(duration) == 0 {
        return Err(PlanError::NoLength);
    }
    let (gop_frames, segment_frames) = grid(constant.rate, settings.segment_micros);
    let rungs = rungs(video.width, video.height, constant.rate);
    if rungs.is_empty() {
        return Err(PlanError::TooFlat { width: video.width, height: video.height });
    }
    Ok(Plan {
        rate: constant.rate,
        rate_varied: constant.varied,
        gop_frames,
        segment_frames,
        duration,
        hold_last: duration - picture,
        // One second more than the container's own account of it: a sound track that turns
        // out shorter still was cut off, and silence must not cover that up.
        pad_audio: duration.saturating_sub(sound.unwrap_or(0)) + AUDIO_TAIL,
        video: rungs,
        audio: source.audio.as_ref().map(|audio| audio_rung(audio.channels)),
    })
}

/// Frames of a GOP and of a segment.
fn grid(rate: FrameRate, segment_micros: u64) -> (u32, u32) {
    let gops = ((segment_micros + GOP_MICROS / 2) / GOP_MICROS).max(1);
    let gop = rate.frames_in_micros(segment_micros / gops).max(1);
    let cut = |frames: u64| u32::try_from(frames).unwrap_or(u32::MAX);
    (cut(gop), cut(gop * gops))
}

/// Rungs for a picture of that size, highest first.
fn rungs(width: u32, height: u32, rate: FrameRate) -> Vec<VideoRung> {
    let label = label(width, height);
    let mut rungs: Vec<VideoRung> = Vec::new();
    let top = std::iter::once(label.min(LARGEST_LABEL));
    // Two rungs closer than a fifth cost a whole encode and show no difference.
    let below = LABELS.into_iter().filter(|l| u64::from(*l) * 5 <= u64::from(label) * 4);
    for step in top.chain(below) {
        let (w, h) = fitted(width, height, step, label);
        let smaller = rungs.last().is_none_or(|above| w < above.width && h < above.height);
        if w.min(h) >= SMALLEST_SIDE && smaller {
            let max_bits_per_second = ceiling(w, h, rate);
            rungs.push(VideoRung {
                id: format!("v{step}"),
                width: w,
                height: h,
                max_bits_per_second,
            });
        }
    }
    rungs
}

/// The lines of the 16:9 box, upright or lying, that the picture fills: 1920x800 is called
/// 1080, and so is 1080x1920.
fn label(width: u32, height: u32) -> u32 {
    let (long, short) = (width.max(height), width.min(height));
    let by_long = u32::try_from(u64::from(long) * 9 / 16).unwrap_or(u32::MAX);
    short.max(by_long)
}

/// The picture scaled from its own label to another, sides cut down to even numbers.
fn fitted(width: u32, height: u32, step: u32, label: u32) -> (u32, u32) {
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(step) / u64::from(label);
        u32::try_from(side).unwrap_or(u32::MAX) & !1
    };
    if step >= label { (width & !1, height & !1) } else { (scaled(width), scaled(height)) }
}

/// 2.8 Mbit/s for 1280x720 at up to 30 frames; 0.75 of a doubling for twice the pixels, and
/// half of a doubling for twice the frames, since neighbouring frames are more alike.
fn ceiling(width: u32, height: u32, rate: FrameRate) -> u32 {
    let pixels = f64::from(width) * f64::from(height) / (1280.0 * 720.0);
    let frames = (rate.as_f64() / 30.0).clamp(1.0, 2.0).sqrt();
    let kilobits = (2800.0 * pixels.powf(0.75) * frames).clamp(64.0, 40_000.0);
    // Whole tens of kbit/s: a last bit of floating point must not change the plan.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
    let tens = (kilobits / 10.0).round() as u32;
    tens * 10_000
}

fn audio_rung(channels: u32) -> AudioRung {
    let (channels, kilobits) = if channels == 1 { (1, 64) } else { (2, 128) };
    AudioRung {
        id: format!("a{kilobits}"),
        sample_rate: AUDIO_RATE,
        channels,
        bits_per_second: kilobits * 1000,
    }
}
