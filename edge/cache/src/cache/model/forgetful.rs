//! A store in memory that forgets when told to, but for what is pinned. It outlives the
//! processes of its cache.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;

use crate::{
    chunk::{CHUNK_SIZE, Chunk, ChunkKey, ObjectId},
    store::{Admission, ChunkStore, PinnedChunks, Pinning, PinsHeld, StoreStats},
};

/// More than so many push others out.
const CHUNKS_MAX: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Forgetful(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    chunks: BTreeMap<ChunkKey, Chunk>,
    pins: HashMap<(ObjectId, u64), Range<u32>>,
}

impl Held {
    fn may_go(&self, key: &ChunkKey) -> bool {
        let pin = self.pins.get(&(key.object, key.generation));
        pin.is_none_or(|pinned| !pinned.contains(&key.index))
    }

    /// The nth of what is not pinned.
    fn nth(&self, nth: usize) -> Option<ChunkKey> {
        let free: Vec<_> = self.chunks.keys().filter(|key| self.may_go(key)).collect();
        free.get(nth.checked_rem(free.len())?).map(|key| **key)
    }
}

impl Forgetful {
    /// Forgets one that it has.
    pub(super) fn forget(&self, nth: usize) {
        let mut held = self.0.lock();
        let key = held.nth(nth);
        key.and_then(|key| held.chunks.remove(&key));
    }
}

impl ChunkStore for Forgetful {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        let found = self.0.lock().chunks.get(key).cloned();
        async move { found }.boxed()
    }

    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        let mut held = self.0.lock();
        if held.chunks.len() >= CHUNKS_MAX
            && let Some(first) = held.nth(0)
        {
            held.chunks.remove(&first);
        }
        held.chunks.insert(key, chunk);
        Admission::Accepted
    }

    fn remove(&self, key: &ChunkKey) {
        self.0.lock().chunks.remove(key);
    }

    fn contains(&self, key: &ChunkKey) -> bool {
        self.0.lock().chunks.contains_key(key)
    }

    fn stats(&self) -> StoreStats {
        let capacity_bytes = (CHUNKS_MAX * CHUNK_SIZE) as u64;
        StoreStats { capacity_bytes, ..StoreStats::default() }
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn pin(&self, object: &ObjectId, generation: u64, chunks: Range<u32>) -> Pinning {
        self.0.lock().pins.insert((*object, generation), chunks);
        Pinning::Pinned { chunks: 0 }
    }

    fn unpin(&self, object: &ObjectId, generation: u64) -> bool {
        self.0.lock().pins.remove(&(*object, generation)).is_some()
    }

    fn pins(&self) -> PinsHeld {
        self.0.lock().pins.keys().copied().collect()
    }

    fn align_pins(&self, held: &PinsHeld, wanted: &PinnedChunks) {
        let pins = &mut self.0.lock().pins;
        pins.retain(|pin, _| !held.contains(pin) || wanted.contains_key(pin));
        pins.extend(wanted.iter().map(|(object, chunks)| (*object, 0..*chunks)));
    }
}
