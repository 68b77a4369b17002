//! Writing a fragment: sound is cut where the picture is, which the encoder cannot do.

use super::fragment::Sample;

/// A media segment of one fragment: `styp`, `moof` and `mdat`.
///
/// All samples are sync samples shown when decoded, as AAC's are. `payload` is their bytes
/// one after the other.
pub fn segment(
    sequence: u32,
    track_id: u32,
    base_decode_time: u64,
    samples: &[Sample],
    payload: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + samples.len() * 8 + 128);
    framed(&mut out, b"styp", |out| {
        out.extend_from_slice(b"msdh\0\0\0\0msdhcmfs");
    });
    let moof_at = out.len();
    let mut offset_at = 0;
    framed(&mut out, b"moof", |out| {
        framed(out, b"mfhd", |out| words(out, &[0, sequence]));
        framed(out, b"traf", |out| {
            // default-base-is-moof: offsets count from the moof (CMAF requires it); samples
            // that depend on no other.
            framed(out, b"tfhd", |out| words(out, &[0x0002_0020, track_id, 0x0200_0000]));
            framed(out, b"tfdt", |out| {
                words(out, &[0x0100_0000]);
                out.extend_from_slice(&base_decode_time.to_be_bytes());
            });
            framed(out, b"trun", |out| {
                // Data offset, and each sample's duration and size.
                words(out, &[0x0000_0301, count(samples.len())]);
                offset_at = out.len();
                words(out, &[0]);
                for sample in samples {
                    words(out, &[sample.duration, sample.size]);
                }
            });
        });
    });
    let offset = count(out.len() - moof_at + 8);
    out[offset_at..offset_at + 4].copy_from_slice(&offset.to_be_bytes());
    framed(&mut out, b"mdat", |out| out.extend_from_slice(payload));
    out
}

fn framed(out: &mut Vec<u8>, kind: &[u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    words(out, &[0]);
    out.extend_from_slice(kind);
    body(out);
    let size = count(out.len() - at);
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// Segments are bounded far below 4 GiB by whoever cuts them.
fn count(value: usize) -> u32 {
    u32::try_from(value).expect("a segment is smaller than 4 GiB")
}
