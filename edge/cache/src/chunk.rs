//! A chunk: at most 1 MiB of one object, with the checksums made when it was filled.

use bytes::Bytes;

/// Bytes in every chunk of an object but its last.
/// 256 KiB costs 40 % more CPU a GB from disk and quadruples the index; whole segments
/// forbid sub-range reads.
pub const CHUNK_SIZE: usize = 1 << 20;
/// Grain of the checksums.
pub const GRAIN: usize = 64 << 10;

/// Hash of an object's whole cache key (XXH3, 128 bit). Two keys with the same hash are told
/// apart by the key kept in the metadata table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u128);

impl ObjectId {
    pub fn of(key: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(key.as_bytes()))
    }
}

/// Names a chunk in every tier. A purge or a changed object gets a new generation, so that
/// no chunk of the old one can be found any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkKey {
    pub object: ObjectId,
    pub generation: u64,
    pub index: u32,
}

/// Bytes of a chunk and a CRC-32C for each 64 KiB of them. Cloning is free.
#[derive(Debug, Clone)]
pub struct Chunk {
    data: Bytes,
    sums: Box<[u32]>,
}

impl Chunk {
    /// Seals what a fill received. `data` is 1 to `CHUNK_SIZE` bytes.
    pub fn seal(data: Bytes) -> Self {
        let sums = data.chunks(GRAIN).map(crc32c).collect();
        Self { data, sums }
    }

    /// Rebuilds a chunk from what a store kept; `None` when any checksum does not hold.
    pub fn verified(data: Bytes, sums: Box<[u32]>) -> Option<Self> {
        let holds = data.chunks(GRAIN).len() == sums.len()
            && data.chunks(GRAIN).zip(&sums).all(|(part, sum)| crc32c(part) == *sum);
        holds.then_some(Self { data, sums })
    }

    pub fn data(&self) -> &Bytes {
        &self.data
    }

    pub fn sums(&self) -> &[u32] {
        &self.sums
    }
}

fn crc32c(part: &[u8]) -> u32 {
    // Truncation keeps the 32 bits a CRC-32C has.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, part) as u32
}
