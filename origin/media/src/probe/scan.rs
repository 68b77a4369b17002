//! Where streams really end, from their packets: containers round, guess, or still state the
//! length that they had before they were cut off.
//!
//! The input is the lines of `ffprobe -show_entries
//! packet=stream_index,pts_time,dts_time,duration_time,flags -of compact=p=0`.

use super::{Source, signed_micros};

/// What the packets say, gathered line by line in constant memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    picture: Stream,
    sound: Stream,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stream {
    packets: u64,
    end: Option<i64>,
}

/// The file ends before its own header says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// By the lengths.
    #[error(
        "it is cut off: its header promises {stated_ms} ms, but the pictures and sounds in it \
         end after {found_ms} ms; copy it again from where it came from"
    )]
    CutOff {
        /// By the container.
        stated_ms: u64,
        /// By the packets.
        found_ms: u64,
    },
    /// A video stream without a packet.
    #[error("its video stream holds no pictures; the file is cut off or was never finished")]
    NoPictures,
}

/// How much less than stated may be there: lengths of last frames are anybody's guess, and
/// some containers count the longest of all their streams.
const SLACK: u64 = 500_000;

impl Scan {
    /// Takes one line; what is not understood is passed over.
    pub fn line(&mut self, source: &Source, line: &str) {
        let (mut index, mut pts, mut dts, mut lasts, mut dropped) = (None, None, None, None, false);
        for field in line.trim_end().split('|') {
            let Some((name, value)) = field.split_once('=') else { continue };
            match name {
                "stream_index" => index = value.parse::<u32>().ok(),
                "pts_time" => pts = signed_micros(value),
                "dts_time" => dts = signed_micros(value),
                "duration_time" => lasts = signed_micros(value),
                // Outside of what an edit list shows.
                "flags" => dropped = value.contains('D'),
                _ => {}
            }
        }
        let sound = source.audio.as_ref().map(|audio| audio.index);
        let stream = match index {
            Some(index) if index == source.video.index => &mut self.picture,
            Some(index) if Some(index) == sound => &mut self.sound,
            _ => return,
        };
        if dropped {
            return;
        }
        stream.packets = stream.packets.saturating_add(1);
        if let Some(end) = pts.or(dts).and_then(|at| at.checked_add(lasts.unwrap_or(0))) {
            stream.end = stream.end.max(Some(end));
        }
    }

    /// Puts the real ends into the source, unless they fall short of what it states.
    pub fn apply(&self, source: &mut Source) -> Result<(), ScanError> {
        if self.picture.packets == 0 {
            return Err(ScanError::NoPictures);
        }
        let since_start = |end: i64| u64::try_from(end.saturating_sub(source.start)).ok();
        let picture = self.picture.end.and_then(since_start);
        let sound = self.sound.end.and_then(since_start);
        let stated = source.video.end.max(if states_length(&source.container) {
            source.duration
        } else {
            None
        });
        if let (Some(stated), Some(found)) = (stated, picture.max(sound))
            && found + SLACK < stated
        {
            return Err(ScanError::CutOff { stated_ms: stated / 1000, found_ms: found / 1000 });
        }
        source.video.end = picture.or(source.video.end);
        if let Some(audio) = &mut source.audio {
            audio.end = sound;
            if self.sound.packets == 0 {
                source.audio = None;
            }
        }
        Ok(())
    }
}

/// Containers whose header holds the length; for others ffprobe guesses it from bit rates.
fn states_length(container: &str) -> bool {
    container.split(',').any(|name| matches!(name, "mov" | "mp4" | "matroska" | "webm" | "nut"))
}
