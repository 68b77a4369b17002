//! The head that stands in front of a chunk's bytes on disk.
//!
//! Little endian: magic (4), CRC-32C of all that follows (4), object (16), generation (8),
//! index (4), length (4), then a CRC-32C for each 64 KiB of data. The CRC also covers the
//! disk's id and the slot's number: a head of another disk, or at another place, does not hold.

use std::sync::Arc;

use super::geometry::{HEAD, Slot, head_bytes};
use crate::chunk::{CHUNK_SIZE, ChunkKey, ObjectId};

const MAGIC: [u8; 4] = *b"wchk";

/// What a head says, after its CRC was found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) key: ChunkKey,
    pub(super) length: u32,
    pub(super) sums: Arc<[u32]>,
}

/// Writes a head to the end of `out`.
pub(super) fn write(
    out: &mut Vec<u8>,
    disk: u128,
    slot: Slot,
    key: &ChunkKey,
    length: u32,
    sums: &[u32],
) {
    let start = out.len();
    out.extend(MAGIC);
    out.extend([0; 4]);
    out.extend(key.object.0.to_le_bytes());
    out.extend(key.generation.to_le_bytes());
    out.extend(key.index.to_le_bytes());
    out.extend(length.to_le_bytes());
    for sum in sums {
        out.extend(sum.to_le_bytes());
    }
    let crc = seal(disk, slot, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads a head of data of `length` bytes; `None` when it is none, or not of this place.
pub(super) fn parse(bytes: &[u8], disk: u128, slot: Slot, length: u32) -> Option<Head> {
    if length == 0 || length as usize > CHUNK_SIZE {
        return None;
    }
    let bytes = bytes.get(..head_bytes(length))?;
    let crc = u32::from_le_bytes(*bytes[4..].first_chunk()?);
    if bytes[..4] != MAGIC || crc != seal(disk, slot, &bytes[8..]) {
        return None;
    }
    let key = ChunkKey {
        object: ObjectId(u128::from_le_bytes(*bytes[8..].first_chunk()?)),
        generation: u64::from_le_bytes(*bytes[24..].first_chunk()?),
        index: u32::from_le_bytes(*bytes[32..].first_chunk()?),
    };
    if u32::from_le_bytes(*bytes[36..].first_chunk()?) != length {
        return None;
    }
    let (sums, _) = bytes[HEAD..].as_chunks();
    Some(Head { key, length, sums: sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect() })
}

/// CRC-32C of what follows a CRC, bound to the disk and a place on it.
fn seal(disk: u128, slot: Slot, bytes: &[u8]) -> u32 {
    sealed(disk, u64::from(slot.0), bytes)
}

/// CRC-32C of bytes bound to a disk and a place on it, so that bytes of elsewhere do not pass.
pub(super) fn sealed(disk: u128, place: u64, bytes: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&disk.to_le_bytes());
    digest.update(&place.to_le_bytes());
    digest.update(bytes);
    // Truncation keeps the 32 bits a CRC-32C has.
    digest.finalize() as u32
}

/// What a chunk is found by: of 2^32, so that two chunks of a disk of 10 TB share one with a
/// probability of 1 in 400. Then the later one takes the place of the earlier.
pub(super) fn fingerprint(key: &ChunkKey) -> u32 {
    let mut bytes = [0; 28];
    bytes[..16].copy_from_slice(&key.object.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&key.generation.to_le_bytes());
    bytes[24..].copy_from_slice(&key.index.to_le_bytes());
    (xxhash_rust::xxh3::xxh3_64(&bytes) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_holds_at_its_own_place_only() {
        let key = ChunkKey { object: ObjectId(7 << 90), generation: 1 << 60, index: 3 };
        let mut bytes = Vec::new();
        write(&mut bytes, 5, Slot(9), &key, 70_000, &[1, 2]);
        assert_eq!(bytes.len(), head_bytes(70_000));
        let head = Head { key, length: 70_000, sums: [1, 2].into() };
        assert_eq!(parse(&bytes, 5, Slot(9), 70_000), Some(head));
        for (disk, slot, length) in [(4, 9, 70_000), (5, 8, 70_000), (5, 9, 70_001), (5, 9, 0)] {
            assert_eq!(parse(&bytes, disk, Slot(slot), length), None);
        }
        for place in 0..bytes.len() {
            bytes[place] ^= 4;
            assert_eq!(parse(&bytes, 5, Slot(9), 70_000), None, "byte {place}");
            bytes[place] ^= 4;
            assert_eq!(parse(&bytes[..place], 5, Slot(9), 70_000), None, "{place} bytes");
        }
    }
}
