//! The RAM tier: foyer's in-memory cache, weighed in bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
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

/// What the tier has of its bound now; foyer goes on telling the first one.
#[derive(Debug)]
struct Room {
    size: AtomicU64,
    /// It is being changed.
    changing: AtomicBool,
}

/// Held while the room is changed.
struct Changing(Arc<Room>);

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.changing.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
pub(crate) struct Ram {
    chunks: foyer::Cache<ChunkKey, Held>,
    /// The bound: of what is in the tier, of what has left it while somebody reads on, and of
    /// what is lent.
    bytes: u64,
    lent: AtomicU64,
    room: Arc<Room>,
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
            lent: AtomicU64::new(0),
            room: Arc::new(Room { size: AtomicU64::new(bytes), changing: AtomicBool::new(false) }),
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

    /// Leaves bytes of the bound to others, for as long as they are told: what chunks on disk
    /// are found by. In whole MiB, so that a disk that fills does not move it all the time.
    pub(crate) fn lend(&self, bytes: u64) {
        let lent = bytes.next_multiple_of(1 << 20);
        if self.lent.swap(lent, Ordering::Relaxed) != lent {
            self.make_room();
        }
    }

    /// A chunk that is evicted stays in memory while a fill or a reader holds it: two hundred
    /// readers of cold objects hold two hundred chunks. So the tier has the less. Looked at once
    /// for each step of bytes that came in.
    fn make_room(&self) {
        let step = self.step();
        let elsewhere = chunk::held_bytes().saturating_sub(self.used_bytes());
        let taken = elsewhere / step * step + self.lent.load(Ordering::Relaxed);
        let wanted = self.bytes.saturating_sub(taken).max(self.bytes / LEAST);
        let now = self.room.size.load(Ordering::Relaxed);
        // Down at once; up only when it is worth the while.
        let worth = wanted < now || wanted > now.saturating_add(step);
        // Where somebody else is at it, the next step looks again.
        if worth && !self.room.changing.swap(true, Ordering::Acquire) {
            let changing = Changing(Arc::clone(&self.room));
            let chunks = self.chunks.clone();
            // foyer starts a thread a shard, waits for all of them, and panics where it gets
            // none. Whoever fills has no part in that.
            let resize = move || match chunks.resize(usize::try_from(wanted).unwrap_or(usize::MAX))
            {
                Ok(()) => changing.0.size.store(wanted, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "RAM tier: cannot change its size"),
            };
            let started = thread::Builder::new().name("ram-room".into()).spawn(resize);
            if let Err(error) = started {
                tracing::warn!(%error, "RAM tier: no thread to change its size");
            }
        }
    }

    /// Waits until nobody changes its room.
    #[cfg(test)]
    fn settle(&self) {
        while self.room.changing.load(Ordering::Acquire) {
            thread::yield_now();
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
        ram.settle();
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

    #[test]
    fn what_is_lent_is_not_used() {
        let ram = Ram::new(64 * MIB);
        (0..100).for_each(|index| drop(bring(&ram, 1, index)));
        let check = |lent: u64, within: std::ops::Range<u64>| {
            ram.lend(lent);
            ram.settle();
            (0..100).for_each(|index| drop(bring(&ram, lent.into(), index)));
            let used = ram.used_bytes() / MIB;
            assert!(within.contains(&used), "{lent} lent: {used} MiB");
        };
        check(20 * MIB - 5, 36..44);
        check(0, 55..64);
        // It keeps a quarter.
        check(1 << 40, 8..17);
    }
}
