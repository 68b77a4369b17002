//! What a fragment (`moof` and the `mdat` after it) holds.

use super::{
    Init, Mp4Error,
    boxes::{Fields, Fourcc, find, walk},
};

/// One sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// In ticks.
    pub duration: u32,
    /// In bytes.
    pub size: u32,
    /// How much later than its decode time it is shown, in ticks; may be negative.
    pub shown_after: i64,
    /// Decodes without any other.
    pub sync: bool,
}

/// A fragment's samples in decode order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Decode time of the first sample, in ticks.
    pub base_decode_time: u64,
    /// Never empty.
    pub samples: Vec<Sample>,
}

/// Samples in one fragment: a minute at 60 frames, a quarter of an hour of AAC. More is no
/// fragment of ours.
const MOST_SAMPLES: usize = 65_536;

/// `sample_is_non_sync_sample`, ISO/IEC 14496-12 §8.8.3.1.
const NON_SYNC: u32 = 0x0001_0000;

impl Fragment {
    /// Reads the body of a `moof` box whose track is that of `init`.
    pub fn parse(init: &Init, moof: &[u8]) -> Result<Self, Mp4Error> {
        let traf = find(moof, b"traf")?.body;
        let mut defaults = Defaults::of(init);
        defaults.refine(find(traf, b"tfhd")?.body, init.track_id)?;
        let mut tfdt = Fields::new(b"tfdt", find(traf, b"tfdt")?.body);
        let (version, _) = tfdt.full()?;
        let base_decode_time = tfdt.wide(version)?;
        let mut samples = Vec::new();
        for item in walk(traf) {
            let item = item?;
            if item.kind.0 == *b"trun" {
                run(item.body, &defaults, &mut samples)?;
            }
        }
        if samples.is_empty() {
            return Err(Mp4Error::Invalid(Fourcc(*b"moof"), "holds no samples"));
        }
        Ok(Self { base_decode_time, samples })
    }

    /// Sum of the durations, in ticks.
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.duration)).sum()
    }

    /// Sum of the sizes, in bytes.
    pub fn payload(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.size)).sum()
    }

    /// Earliest time at which one of the samples is shown, in ticks; zero where that would
    /// lie before zero.
    pub fn shown_from(&self) -> u64 {
        let mut decode = i128::from(self.base_decode_time);
        let mut earliest = i128::MAX;
        for sample in &self.samples {
            earliest = earliest.min(decode + i128::from(sample.shown_after));
            decode += i128::from(sample.duration);
        }
        u64::try_from(earliest.max(0)).unwrap_or(u64::MAX)
    }
}

struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    fn of(init: &Init) -> Self {
        Self { duration: init.default_duration, size: init.default_size, flags: init.default_flags }
    }

    /// `tfhd`, ISO/IEC 14496-12 §8.8.7.
    fn refine(&mut self, tfhd: &[u8], track_id: u32) -> Result<(), Mp4Error> {
        let mut fields = Fields::new(b"tfhd", tfhd);
        let (_, flags) = fields.full()?;
        if fields.u32()? != track_id {
            return Err(Mp4Error::Invalid(Fourcc(*b"tfhd"), "belongs to another track"));
        }
        if flags & 0x01 != 0 {
            fields.u64()?;
        }
        if flags & 0x02 != 0 {
            fields.u32()?;
        }
        if flags & 0x08 != 0 {
            self.duration = fields.u32()?;
        }
        if flags & 0x10 != 0 {
            self.size = fields.u32()?;
        }
        if flags & 0x20 != 0 {
            self.flags = fields.u32()?;
        }
        Ok(())
    }
}

/// `trun`, ISO/IEC 14496-12 §8.8.8.
fn run(trun: &[u8], defaults: &Defaults, samples: &mut Vec<Sample>) -> Result<(), Mp4Error> {
    let mut fields = Fields::new(b"trun", trun);
    let (version, flags) = fields.full()?;
    let count = usize::try_from(fields.u32()?).unwrap_or(usize::MAX);
    // A run without fields per sample may claim any count in no bytes at all.
    if count > MOST_SAMPLES - samples.len().min(MOST_SAMPLES) {
        return Err(Mp4Error::Invalid(Fourcc(*b"trun"), "claims more samples than a fragment has"));
    }
    if flags & 0x01 != 0 {
        fields.u32()?;
    }
    let first_flags = if flags & 0x04 != 0 { Some(fields.u32()?) } else { None };
    for at in 0..count {
        let duration = if flags & 0x100 != 0 { fields.u32()? } else { defaults.duration };
        let size = if flags & 0x200 != 0 { fields.u32()? } else { defaults.size };
        let own = if flags & 0x400 != 0 { Some(fields.u32()?) } else { None };
        let sample_flags = own.or(first_flags.filter(|_| at == 0)).unwrap_or(defaults.flags);
        let shown_after = match (flags & 0x800 != 0, version) {
            (false, _) => 0,
            (true, 0) => i64::from(fields.u32()?),
            (true, _) => i64::from(fields.u32()?.cast_signed()),
        };
        samples.push(Sample { duration, size, shown_after, sync: sample_flags & NON_SYNC == 0 });
    }
    Ok(())
}

/// Whether the first coded picture in a sample is an IDR picture (ISO/IEC 14496-10 §7.4.1.2.4):
/// the container's word for it is not enough.
pub fn starts_with_idr(sample: &[u8], nal_length: usize) -> bool {
    let mut rest = sample;
    while let Some((length, after)) = rest.split_at_checked(nal_length) {
        let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let Some((unit, next)) = after.split_at_checked(length) else { return false };
        match unit.first().map(|byte| byte & 0x1f) {
            Some(5) => return true,
            Some(1..=4) | None => return false,
            Some(_) => rest = next,
        }
        if nal_length == 0 {
            return false;
        }
    }
    false
}
