//! A store in memory that forgets when told to. It outlives the processes of its cache.

use std::collections::BTreeMap;

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;

use crate::{
    chunk::{Chunk, ChunkKey},
    store::{Admission, ChunkStore, StoreStats},
};

/// More than so many push others out.
const CHUNKS_MAX: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Forgetful(Mutex<BTreeMap<ChunkKey, Chunk>>);

impl Forgetful {
    /// Forgets one that it has.
    pub(super) fn forget(&self, nth: usize) {
        let mut chunks = self.0.lock();
        let Some(place) = nth.checked_rem(chunks.len()) else { return };
        let key = chunks.keys().nth(place).copied();
        key.and_then(|key| chunks.remove(&key));
    }
}

impl ChunkStore for Forgetful {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        let found = self.0.lock().get(key).cloned();
        async move { found }.boxed()
    }

    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        let mut chunks = self.0.lock();
        if chunks.len() >= CHUNKS_MAX {
            chunks.pop_first();
        }
        chunks.insert(key, chunk);
        Admission::Accepted
    }

    fn remove(&self, key: &ChunkKey) {
        self.0.lock().remove(key);
    }

    fn contains(&self, key: &ChunkKey) -> bool {
        self.0.lock().contains_key(key)
    }

    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
