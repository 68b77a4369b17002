//! What ffprobe says of a source, read into the little that a ladder needs.
//!
//! The input is `ffprobe -show_format -show_streams -of json`. Times are microseconds from
//! the container's own start, which ffmpeg makes zero too.

mod scan;

use serde::Deserialize;

use crate::rate::FrameRate;

pub use scan::{Scan, ScanError};

/// A film as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// ffprobe's name of the container.
    pub container: String,
    /// The container's first timestamp, in microseconds; ends count from it.
    pub start: i64,
    /// Whole length that the container states, in microseconds.
    pub duration: Option<u64>,
    /// The picture.
    pub video: Video,
    /// The sound, where there is any.
    pub audio: Option<Audio>,
}

/// The picture of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// Stream number in the container.
    pub index: u32,
    /// ffprobe's name of the codec.
    pub codec: String,
    /// Pixels across as shown: rotated, and squeezed to square pixels, never stretched.
    pub width: u32,
    /// Pixels down as shown.
    pub height: u32,
    /// Frames over time.
    pub average_rate: Option<FrameRate>,
    /// Lowest rate that hits every timestamp.
    pub base_rate: Option<FrameRate>,
    /// Where the picture ends, in microseconds, where the container says so.
    pub end: Option<u64>,
    /// Two fields woven into a frame.
    pub interlaced: bool,
    /// Transfer of high dynamic range (PQ or HLG).
    pub hdr: bool,
}

/// The sound of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Stream number in the container.
    pub index: u32,
    /// ffprobe's name of the codec.
    pub codec: String,
    /// Channels.
    pub channels: u32,
    /// BCP 47 or ISO 639 tag where one is set and well formed.
    pub language: Option<String>,
    /// Where the sound ends, in microseconds, where the container says so.
    pub end: Option<u64>,
}

/// Why a probe result describes no film.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Not what ffprobe writes.
    #[error("ffprobe's answer cannot be read: {0}")]
    NotJson(String),
    /// Sound, subtitles or nothing.
    #[error(
        "no video stream in it (found: {found}); a title needs moving pictures, so give a file \
         that has them"
    )]
    NoVideo {
        /// The streams that are there.
        found: String,
    },
    /// The codec is unknown, or the header too damaged to tell the size.
    #[error(
        "the video stream ({codec}) states no picture size; the file is damaged or encoded in a way this ffmpeg cannot read"
    )]
    NoSize {
        /// ffprobe's name of the codec.
        codec: String,
    },
}

#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Default, Deserialize)]
struct Format {
    #[serde(default)]
    format_name: String,
    duration: Option<String>,
    start_time: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stream {
    index: u32,
    codec_type: String,
    codec_name: String,
    width: u32,
    height: u32,
    sample_aspect_ratio: Option<String>,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    field_order: Option<String>,
    color_transfer: Option<String>,
    channels: u32,
    duration: Option<String>,
    start_time: Option<String>,
    disposition: Disposition,
    tags: Tags,
    side_data_list: Vec<SideData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Disposition {
    default: u8,
    attached_pic: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tags {
    language: Option<String>,
    #[serde(rename = "DURATION")]
    duration: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SideData {
    rotation: Option<f64>,
}

/// Reads ffprobe's JSON.
pub fn parse(json: &[u8]) -> Result<Source, ProbeError> {
    let answer: Answer =
        serde_json::from_slice(json).map_err(|error| ProbeError::NotJson(error.to_string()))?;
    let start = answer.format.start_time.as_deref().and_then(signed_micros).unwrap_or(0);
    let of_kind = |kind: &'static str| {
        let fits = move |s: &&Stream| s.codec_type == kind && s.disposition.attached_pic == 0;
        // The default stream, else the first.
        let mut streams = answer.streams.iter().filter(fits);
        let first = streams.next();
        first
            .filter(|s| s.disposition.default == 1)
            .or_else(|| streams.find(|s| s.disposition.default == 1).or(first))
    };
    let Some(picture) = of_kind("video") else {
        return Err(ProbeError::NoVideo { found: listed(&answer.streams) });
    };
    Ok(Source {
        start,
        duration: answer.format.duration.as_deref().and_then(micros),
        video: video(picture, start)?,
        audio: of_kind("audio").filter(|s| s.channels > 0).map(|s| audio(s, start)),
        container: answer.format.format_name,
    })
}

fn video(stream: &Stream, start: i64) -> Result<Video, ProbeError> {
    let (width, height) = shown(stream);
    if width == 0 || height == 0 {
        return Err(ProbeError::NoSize { codec: stream.codec_name.clone() });
    }
    Ok(Video {
        index: stream.index,
        codec: stream.codec_name.clone(),
        width,
        height,
        average_rate: stream.avg_frame_rate.as_deref().and_then(FrameRate::parse),
        base_rate: stream.r_frame_rate.as_deref().and_then(FrameRate::parse),
        end: end(stream, start),
        interlaced: matches!(stream.field_order.as_deref(), Some("tt" | "bb" | "tb" | "bt")),
        hdr: matches!(stream.color_transfer.as_deref(), Some("smpte2084" | "arib-std-b67")),
    })
}

fn audio(stream: &Stream, start: i64) -> Audio {
    Audio {
        index: stream.index,
        codec: stream.codec_name.clone(),
        channels: stream.channels,
        language: stream.tags.language.as_deref().and_then(language),
        end: end(stream, start),
    }
}

/// Size on a screen of square pixels. Non-square pixels are squeezed, because stretching
/// them would be an upscale.
fn shown(stream: &Stream) -> (u32, u32) {
    let (mut width, mut height) = (stream.width, stream.height);
    let aspect = stream.sample_aspect_ratio.as_deref().and_then(|text| {
        let (across, down) = text.split_once(':')?;
        FrameRate::new(across.parse().ok()?, down.parse().ok()?)
    });
    if let Some(aspect) = aspect {
        let part = |size: u32, num: u32, den: u32| {
            let scaled = u64::from(size) * u64::from(num) / u64::from(den);
            u32::try_from(scaled).unwrap_or(size)
        };
        if aspect.num() > aspect.den() {
            height = part(height, aspect.den(), aspect.num());
        } else {
            width = part(width, aspect.num(), aspect.den());
        }
    }
    let turned = stream.side_data_list.iter().filter_map(|s| s.rotation).next_back();
    match turned {
        Some(degrees) if ((degrees.abs() / 90.0).round() % 2.0) == 1.0 => (height, width),
        _ => (width, height),
    }
}

fn end(stream: &Stream, container_start: i64) -> Option<u64> {
    let own = stream.start_time.as_deref().and_then(signed_micros).unwrap_or(container_start);
    let lasts = match stream.duration.as_deref().and_then(micros) {
        Some(lasts) => lasts,
        // Matroska: where the stream ends, counted from zero.
        None => {
            return stream.tags.duration.as_deref().and_then(clock_micros).and_then(|end| {
                u64::try_from(i64::try_from(end).ok()?.saturating_sub(container_start)).ok()
            });
        }
    };
    u64::try_from(own.saturating_sub(container_start).checked_add(i64::try_from(lasts).ok()?)?).ok()
}

fn listed(streams: &[Stream]) -> String {
    if streams.is_empty() {
        return "no streams".into();
    }
    let names = streams.iter().map(|s| {
        let still = if s.disposition.attached_pic == 1 { "cover picture" } else { &s.codec_type };
        format!("{still} {}", s.codec_name)
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A tag that may stand in a playlist; `und` says nothing.
fn language(tag: &str) -> Option<String> {
    let plain = (2..=35).contains(&tag.len())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && tag.as_bytes()[0].is_ascii_alphabetic();
    (plain && tag != "und").then(|| tag.to_owned())
}

fn micros(text: &str) -> Option<u64> {
    signed_micros(text).and_then(|m| u64::try_from(m).ok())
}

/// Decimal seconds, without a detour over floating point.
fn signed_micros(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !part.bytes().all(|b| b.is_ascii_digit()) || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut micros = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let mut worth = 100_000;
    for digit in part.bytes().take(6) {
        micros = micros.checked_add(i64::from(digit - b'0') * worth)?;
        worth /= 10;
    }
    Some(if negative { -micros } else { micros })
}

/// `HH:MM:SS.nnnnnnnnn`.
fn clock_micros(text: &str) -> Option<u64> {
    let mut parts = text.trim().splitn(3, ':');
    let hours: u64 = parts.next()?.parse().ok()?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let seconds = micros(parts.next()?)?;
    hours
        .checked_mul(3600)?
        .checked_add(minutes.checked_mul(60)?)?
        .checked_mul(1_000_000)?
        .checked_add(seconds)
}
