//! The RAM tier: foyer's in-memory cache, weighed in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use foyer::{CacheBuilder, Event, EventListener, S3FifoConfig};

use crate::{
    chunk::{self, Chunk, ChunkKey},
    counter::Counter,
};

/// What an entry costs besides its data: foyer's record (about 150 B), the two reference
/// counts and the sums.
const OVERHEAD: usize = 320;
/// A shard holds at least this much, lest a few 1 MiB chunks fill it.
const SHARD_BYTES_MIN: u64 = 32 << 20;
const SHARDS_MAX: u64 = 64;
/// Parts of the bound in which it makes room for chunks that are held elsewhere.
const STEPS: u64 = 16;
/// It keeps this part of its bound in any case.
const LEAST: u64 = 4;

/// A chunk, and whether the disk tier was offered it.
#[derive(Debug)]
struct Held {
    chunk: Chunk,
    offered: AtomicBool,
}

#[derive(Debug)]
struct Leavers {
    evicted: Arc<AtomicU64>,
}

impl EventListener for Leavers {
    type Key = ChunkKey;
    type Value = Held;

    fn on_leave(&self, reason: Event, _: &ChunkKey, _: &Held) {
        if reason == Event::Evict {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ram {
    chunks: foyer::Cache<ChunkKey, Held>,
    /// The bound: of what is in the tier, and of what has left it while somebody reads on.
    bytes: u64,
    /// What the tier has of it now; foyer goes on telling the first one.
    size: AtomicU64,
    evicted: Arc<AtomicU64>,
    written: AtomicU64,
    hits: Counter,
    misses: Counter,
}

impl Ram {
    pub(crate) fn new(bytes: u64) -> Self {
        let evicted = Arc::<AtomicU64>::default();
        let shards = (bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let chunks = CacheBuilder::new(usize::try_from(bytes).unwrap_or(usize::MAX))
            .with_shards(1 << shards.ilog2())
            // Scan resistant: a film watched once leaves by the small queue.
            .with_eviction_config(S3FifoConfig::default())
            .with_weighter(|_: &ChunkKey, held: &Held| held.chunk.data().len() + OVERHEAD)
            .with_event_listener(Arc::new(Leavers { evicted: evicted.clone() }))
            .build();
        let (hits, misses) = (Counter::default(), Counter::default());
        Self {
            chunks,
            bytes,
            size: AtomicU64::new(bytes),
            evicted,
            written: AtomicU64::new(0),
            hits,
            misses,
        }
    }

    pub(crate) fn get(&self, key: &ChunkKey) -> Option<Chunk> {
        self.look(key, |held| held.chunk.clone())
    }

    /// The same for somebody who asks for it anew; and whether the disk tier has not been
    /// offered it, which is said once.
    pub(crate) fn get_again(&self, key: &ChunkKey) -> Option<(Chunk, bool)> {
        self.look(key, |held| {
            // Read first: a hit writes to no line that others read.
            let first = !held.offered.load(Ordering::Relaxed)
                && !held.offered.swap(true, Ordering::Relaxed);
            (held.chunk.clone(), first)
        })
    }

    fn look<T>(&self, key: &ChunkKey, take: impl FnOnce(&Held) -> T) -> Option<T> {
        let found = self.chunks.get(key).map(|entry| take(entry.value()));
        if found.is_some() {
            self.hits.add(1);
        } else {
            self.misses.add(1);
        }
        found
    }

    /// Looks without counting and without telling the eviction.
    pub(crate) fn contains(&self, key: &ChunkKey) -> bool {
        self.chunks.contains(key)
    }

    /// `offered`: whether the disk tier has it, or had the choice.
    pub(crate) fn insert(&self, key: ChunkKey, chunk: Chunk, offered: bool) {
        let length = chunk.data().len() as u64;
        let before = self.written.fetch_add(length, Ordering::Relaxed);
        self.chunks.insert(key, Held { chunk, offered: AtomicBool::new(offered) });
        let step = self.step();
        if before / step != (before + length) / step {
            self.make_room();
        }
    }

    fn step(&self) -> u64 {
        (self.bytes / STEPS).max(1)
    }

    /// A chunk that is evicted stays in memory while a fill or a reader holds it: two hundred
    /// readers of cold objects hold two hundred chunks. So the tier has the less. Looked at once
    /// for each step of bytes that came in, since foyer starts a thread a shard to resize.
    fn make_room(&self) {
        let step = self.step();
        let elsewhere = chunk::held_bytes().saturating_sub(self.used_bytes());
        let wanted = self.bytes.saturating_sub(elsewhere / step * step).max(self.bytes / LEAST);
        let now = self.size.load(Ordering::Relaxed);
        // Down at once; up only when it is worth the while.
        if wanted < now || wanted > now.saturating_add(step) {
            self.size.store(wanted, Ordering::Relaxed);
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            if let Err(error) = self.chunks.resize(wanted) {
                tracing::warn!(%error, "RAM tier: cannot change its size");
            }
        }
    }

    pub(crate) fn remove(&self, key: &ChunkKey) {
        self.chunks.remove(key);
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.chunks.usage() as u64
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.chunks.entries() as u64
    }

    pub(crate) fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.sum()
    }

    pub(crate) fn misses(&self) -> u64 {
        self.misses.sum()
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::chunk::ObjectId;

    const MIB: u64 = 1 << 20;

    /// Brings a chunk of 1 MiB, and hands out what a reader would have of it.
    fn bring(ram: &Ram, object: u128, index: u32) -> Bytes {
        let chunk = Chunk::seal(Bytes::from(vec![7; 1 << 20]));
        let slice = chunk.data().slice(5..6);
        ram.insert(ChunkKey { object: ObjectId(object), generation: 1, index }, chunk, true);
        slice
    }

    #[test]
    fn chunks_that_are_read_on_after_they_left_take_room_from_the_tier() {
        let ram = Ram::new(64 * MIB);
        (0..100).for_each(|index| drop(bring(&ram, 1, index)));
        assert!(ram.used_bytes() > 55 * MIB, "{}", ram.used_bytes());
        let read: Vec<Bytes> = (0..32).map(|index| bring(&ram, 2, index)).collect();
        (0..100).for_each(|index| drop(bring(&ram, 3, index)));
        assert!(ram.used_bytes() < 42 * MIB, "{}", ram.used_bytes());
        assert_eq!(ram.capacity_bytes(), 64 * MIB, "it is told by its bound");
        drop(read);
        (0..100).for_each(|index| drop(bring(&ram, 4, index)));
        assert!(ram.used_bytes() > 55 * MIB, "{}", ram.used_bytes());
    }
}
