//! Reads from disk: many who want one chunk share one read, and whoever wants little of a chunk
//! that nobody else wants reads no more than that.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;

use crate::{
    cache::Cache,
    chunk::{self, Chunk, ChunkKey, GRAIN},
    disks::point,
    store::ChunkStore,
};

/// A read of at most this part of a chunk is one of its grains alone. Of more, the rest costs
/// little beside it, and whoever reads a film in ranges wants it next.
const PART: u32 = 4;
/// Chunks of which it is remembered that a part was read: 64 KiB of RAM.
const REMEMBERED: usize = 8192;

type Read = BoxFuture<'static, Option<Chunk>>;

#[derive(Debug, Default)]
struct UnderWay {
    reads: HashMap<ChunkKey, (u64, WeakShared<Read>)>,
    /// Tells a read from a later one of the same chunk.
    last: u64,
}

/// Bounded by those who wait: an entry goes with the last of them.
#[derive(Debug)]
pub(crate) struct Reads {
    under_way: Arc<Mutex<UnderWay>>,
    /// Of which chunks a part was read, each in the place of one that was before.
    parted: Box<[AtomicU64]>,
}

impl Default for Reads {
    fn default() -> Self {
        let parted = (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect();
        Self { under_way: Arc::default(), parted }
    }
}

impl Cache {
    /// A chunk from disk, verified and brought into RAM. Concurrent reads of one chunk are
    /// one read. Runs on any runtime; the store has its own.
    pub async fn disk_chunk(&self, key: &ChunkKey) -> Option<Chunk> {
        let store = self.store.as_ref()?;
        let (ram, landing) = (self.ram.clone(), *key);
        let read = self.reads.read(*key, store, move |chunk| {
            ram.insert(landing, chunk.clone(), true);
        });
        let chunk = read.await;
        self.count_read(chunk.is_some());
        chunk
    }

    /// These bytes of a chunk of `length` bytes from disk, verified. Where they are few, no
    /// more of it is read than the 64 KiB grains they touch, and RAM stays as it is: it gets
    /// the whole chunk when a part of it is wanted again. `None` also for a chunk that is
    /// shorter.
    pub async fn disk_part(&self, key: &ChunkKey, part: Range<u32>, length: u32) -> Option<Bytes> {
        if part.is_empty() || part.end > length {
            return None;
        }
        if !is_little(&part, length) || self.reads.wanted_again(key) {
            let chunk = self.disk_chunk(key).await?;
            let part = part.start as usize..part.end as usize;
            return (part.end <= chunk.data().len()).then(|| chunk.data().slice(part));
        }
        let bytes = self.store.as_ref()?.read_part(key, part).await;
        self.count_read(bytes.is_some());
        bytes.map(chunk::counted)
    }

    /// Whether this very chunk is in RAM or on a disk, where [`Cache::has_chunk`] may take
    /// another for it. `None` where its disk cannot tell now.
    pub async fn holds(&self, key: &ChunkKey) -> Option<bool> {
        match &self.store {
            _ if self.ram.contains(key) => Some(true),
            Some(store) => store.holds(key).await,
            None => Some(false),
        }
    }

    fn count_read(&self, found: bool) {
        let counter = if found { &self.disk_hits } else { &self.disk_misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the grains of a part are little of a chunk of `length` bytes.
fn is_little(part: &Range<u32>, length: u32) -> bool {
    let grain = GRAIN as u32;
    let from = part.start / grain * grain;
    part.end.div_ceil(grain).saturating_mul(grain).min(length) - from <= length / PART
}

impl Reads {
    /// Notes that a part of the chunk is wanted. Whether one was before, or all of it is being
    /// read. Others may have taken its place meanwhile: then another part of it is read alone.
    fn wanted_again(&self, key: &ChunkKey) -> bool {
        // Not 0, with which every place begins.
        let point = point(key) | 1;
        let place = (point >> 32) as usize % REMEMBERED;
        self.parted[place].swap(point, Ordering::Relaxed) == point
            || self.under_way.lock().reads.contains_key(key)
    }

    /// Joins the read of this chunk or starts one. `landed` is called once for a read that
    /// found something. Dropped by one waiter, the read goes on with the others.
    pub(crate) fn read(
        &self,
        key: ChunkKey,
        store: &Arc<dyn ChunkStore>,
        landed: impl FnOnce(&Chunk) + Send + 'static,
    ) -> Shared<Read> {
        let mut under_way = self.under_way.lock();
        if let Some(read) = under_way.reads.get(&key).and_then(|(_, read)| read.upgrade()) {
            return read;
        }
        under_way.last += 1;
        let number = under_way.last;
        let store = store.clone();
        let leave = Leave { key, number, under_way: self.under_way.clone() };
        let read = async move {
            let chunk = store.read(&key).await;
            if let Some(chunk) = &chunk {
                landed(chunk);
            }
            drop(leave);
            chunk
        }
        .boxed()
        .shared();
        let weak = read.downgrade().expect("a read that nobody polled has not ended");
        under_way.reads.insert(key, (number, weak));
        read
    }

    /// Reads under way.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.under_way.lock().reads.len()
    }
}

/// Takes the entry out when the read ends or nobody waits for it any more.
struct Leave {
    key: ChunkKey,
    number: u64,
    under_way: Arc<Mutex<UnderWay>>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let reads = &mut self.under_way.lock().reads;
        if reads.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            reads.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_little_of_a_chunk() {
        let check = |part: Range<u32>, length: u32, expected: bool| {
            assert_eq!(is_little(&part, length), expected, "{part:?} of {length}");
        };
        let (grain, whole) = (64 << 10, 1 << 20);
        check(0..1, whole, true);
        check(0..4 * grain, whole, true);
        check(0..4 * grain + 1, whole, false);
        // By the grains it touches, not by its bytes.
        check(grain - 1..4 * grain + 1, whole, false);
        check(15 * grain..whole, whole, true);
        check(0..whole, whole, false);
        // Small chunks are one read anyway.
        check(0..1, 4 * grain - 1, false);
        check(0..1, 4 * grain, true);
        check(4 * grain..4 * grain + 9, 4 * grain + 9, true);
        check(0..1, 1, false);
    }
}
