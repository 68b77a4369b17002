//! A chunk: at most 1 MiB of one object, with the checksums made when it was filled.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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
    /// Of the whole key: service, authority, path, the query keys that count.
    pub fn of(key: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(key.as_bytes()))
    }
}

/// Names a chunk in every tier. A purge or a changed object gets a new generation, so that
/// no chunk of the old one can be found any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkKey {
    /// Whose chunk it is.
    pub object: ObjectId,
    /// Of which fill; never used twice.
    pub generation: u64,
    /// Place in the object: it starts at byte `index * CHUNK_SIZE`.
    pub index: u32,
}

/// How many chunks an object of `size` bytes has.
pub fn chunks_of(size: u64) -> u32 {
    u32::try_from(size.div_ceil(CHUNK_SIZE as u64)).unwrap_or(u32::MAX)
}

/// Bytes of a chunk and a CRC-32C for each 64 KiB of them. Cloning is two counter increments.
#[derive(Debug, Clone)]
pub struct Chunk {
    data: Bytes,
    sums: Arc<[u32]>,
}

/// Bytes of all chunks of this process that somebody holds: a tier, a fill, or a reader that
/// has only a slice of one. The memory is the process's, and so is the count.
static HELD: AtomicU64 = AtomicU64::new(0);

/// Bytes of chunks that are in memory now, whoever holds them.
pub(crate) fn held_bytes() -> u64 {
    HELD.load(Ordering::Relaxed)
}

/// Counts a part of a chunk that was read alone with the chunks that are held.
pub(crate) fn counted(part: Bytes) -> Bytes {
    Counted::bytes(part)
}

/// Bytes that are counted until the last slice of them is dropped.
struct Counted(Bytes);

impl Counted {
    fn bytes(data: Bytes) -> Bytes {
        HELD.fetch_add(data.len() as u64, Ordering::Relaxed);
        Bytes::from_owner(Self(data))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0.len() as u64, Ordering::Relaxed);
    }
}

impl Chunk {
    /// Seals what a fill received. `data` is 1 to `CHUNK_SIZE` bytes and owns no more memory
    /// than that: a short slice of a big buffer would keep the whole buffer in the cache.
    pub fn seal(data: Bytes) -> Self {
        let sums = data.chunks(GRAIN).map(crc32c).collect();
        Self { data: Counted::bytes(data), sums }
    }

    /// Rebuilds a chunk from what a store kept; `None` when any checksum does not hold.
    pub fn verified(data: Bytes, sums: impl Into<Arc<[u32]>>) -> Option<Self> {
        let sums = sums.into();
        let holds = data.chunks(GRAIN).len() == sums.len()
            && data.chunks(GRAIN).zip(sums.iter()).all(|(part, sum)| crc32c(part) == *sum);
        holds.then(|| Self { data: Counted::bytes(data), sums })
    }

    /// The bytes.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// CRC-32C of each 64 KiB, the last one of what remains.
    pub fn sums(&self) -> &[u32] {
        &self.sums
    }
}

/// 57 GB/s on 64 KiB grains where the CPU multiplies carry-less in 512 bits (AMD Zen 5): 18 µs
/// for a chunk. The `crc32c` crate uses the CRC instruction, 8 bytes a cycle at best, and so
/// cannot get there.
pub(crate) fn crc32c(part: &[u8]) -> u32 {
    // Truncation keeps the 32 bits a CRC-32C has.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, part) as u32
}
