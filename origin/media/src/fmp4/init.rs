//! What an init segment declares of its only track.

use super::{
    Mp4Error,
    boxes::{Fields, Fourcc, descend, find},
};

/// An init segment with one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Number of the track.
    pub track_id: u32,
    /// Ticks a second; never zero.
    pub timescale: u32,
    /// RFC 6381 name of the codec: `avc1.PPCCLL` or `mp4a.40.N`.
    pub codec: String,
    /// Picture or sound.
    pub track: Track,
    /// Defaults of `trex` for samples that say nothing themselves.
    pub(super) default_duration: u32,
    pub(super) default_size: u32,
    pub(super) default_flags: u32,
}

/// What the sample entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// H.264.
    Video {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes of the length before each NAL unit: 1, 2 or 4.
        nal_length: usize,
    },
    /// AAC.
    Audio {
        /// Channels.
        channels: u32,
        /// Samples a second.
        sample_rate: u32,
    },
}

impl Init {
    /// Reads an init segment (`ftyp` and `moov`).
    pub fn parse(bytes: &[u8]) -> Result<Self, Mp4Error> {
        let moov = find(bytes, b"moov")?.body;
        let trak = find(moov, b"trak")?.body;
        let mut tkhd = Fields::new(b"tkhd", find(trak, b"tkhd")?.body);
        let (version, _) = tkhd.full()?;
        tkhd.wide(version)?;
        tkhd.wide(version)?;
        let track_id = tkhd.u32()?;
        let mut mdhd = Fields::new(b"mdhd", descend(trak, &[b"mdia", b"mdhd"])?);
        let (version, _) = mdhd.full()?;
        mdhd.wide(version)?;
        mdhd.wide(version)?;
        let timescale = mdhd.u32()?;
        if timescale == 0 {
            return Err(Mp4Error::Invalid(Fourcc(*b"mdhd"), "has a timescale of zero"));
        }
        let stsd = descend(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
        let (codec, track) = sample_entry(stsd)?;
        let mut trex = Fields::new(b"trex", descend(moov, &[b"mvex", b"trex"])?);
        trex.full()?;
        trex.take(8)?;
        Ok(Self {
            track_id,
            timescale,
            codec,
            track,
            default_duration: trex.u32()?,
            default_size: trex.u32()?,
            default_flags: trex.u32()?,
        })
    }
}

fn sample_entry(stsd: &[u8]) -> Result<(String, Track), Mp4Error> {
    let mut fields = Fields::new(b"stsd", stsd);
    fields.full()?;
    if fields.u32()? != 1 {
        return Err(Mp4Error::Invalid(Fourcc(*b"stsd"), "must have exactly one sample entry"));
    }
    if let Ok(entry) = find(fields.rest(), b"avc1") {
        return avc(entry.body);
    }
    aac(find(fields.rest(), b"mp4a")?.body)
}

/// ISO/IEC 14496-15 §5.3.3 (avcC), RFC 6381 §3.3 (its name).
fn avc(entry: &[u8]) -> Result<(String, Track), Mp4Error> {
    let mut fields = Fields::new(b"avc1", entry);
    fields.take(24)?;
    let (width, height) = (fields.u16()?, fields.u16()?);
    fields.take(50)?;
    let mut config = Fields::new(b"avcC", find(fields.rest(), b"avcC")?.body);
    config.u8()?;
    let (profile, constraints, level) = (config.u8()?, config.u8()?, config.u8()?);
    let nal_length = usize::from(config.u8()? & 3) + 1;
    let track = Track::Video { width: width.into(), height: height.into(), nal_length };
    Ok((format!("avc1.{profile:02X}{constraints:02X}{level:02X}"), track))
}

/// ISO/IEC 14496-14 §5.6 (esds), ISO/IEC 14496-1 §7.2.6 (its descriptors).
fn aac(entry: &[u8]) -> Result<(String, Track), Mp4Error> {
    let mut fields = Fields::new(b"mp4a", entry);
    fields.take(16)?;
    let channels = fields.u16()?;
    fields.take(6)?;
    let sample_rate = u32::from(fields.u16()?);
    fields.take(2)?;
    let mut esds = Fields::new(b"esds", find(fields.rest(), b"esds")?.body);
    esds.full()?;
    let elementary = descriptor(&mut esds, 3)?;
    let mut elementary = Fields::new(b"esds", elementary);
    elementary.u16()?;
    let flags = elementary.u8()?;
    // Depends on another stream, has a URL, has a clock of another: each adds a field.
    if flags & 0x80 != 0 {
        elementary.u16()?;
    }
    if flags & 0x40 != 0 {
        let length = elementary.u8()?;
        elementary.take(usize::from(length))?;
    }
    if flags & 0x20 != 0 {
        elementary.u16()?;
    }
    let mut decoder = Fields::new(b"esds", descriptor(&mut elementary, 4)?);
    let object_type = decoder.u8()?;
    decoder.take(12)?;
    let specific = descriptor(&mut decoder, 5)?;
    let first = *specific.first().ok_or(Mp4Error::Short(Fourcc(*b"esds")))?;
    let track = Track::Audio { channels: channels.into(), sample_rate };
    Ok((format!("mp4a.{object_type:02x}.{}", first >> 3), track))
}

/// The body of the next descriptor, which must have that tag. Lengths are up to four bytes
/// of seven bits.
fn descriptor<'a>(fields: &mut Fields<'a>, tag: u8) -> Result<&'a [u8], Mp4Error> {
    if fields.u8()? != tag {
        return Err(Mp4Error::Invalid(Fourcc(*b"esds"), "holds its descriptors out of order"));
    }
    let mut length = 0usize;
    for _ in 0..4 {
        let byte = fields.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    fields.take(length)
}
