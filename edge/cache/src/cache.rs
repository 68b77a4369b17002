//! The cache as others see it: objects, and chunks by tier.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub mod keep;
mod left;
pub mod select;
mod stats;

use self::left::LeftBehind;
pub use self::stats::{CacheStats, Purged, TierStats};
use crate::{
    chunk::{Chunk, ChunkKey, ObjectId, chunks_of},
    disks::point,
    doorkeeper::Doorkeeper,
    generation::Generations,
    object::StoredObject,
    purge::{Ledger, guard, sweep::Counts},
    ram::Ram,
    reads::Reads,
    state::{self, Opener, State},
    store::{Admission, ChunkStore, OFFERS_MAX},
    table::{Gone, Load, Table},
};

/// Bounds of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// RAM tier: chunk bytes and what foyer needs to hold them; and, out of the same bytes,
    /// the chunks that somebody still reads, and what chunks on disk are found by.
    pub memory_bytes: u64,
    /// The state file (redb); `None` forgets all metadata at exit.
    pub state: Option<PathBuf>,
    /// Objects in the metadata table, [`OBJECT_BYTES`](crate::OBJECT_BYTES) of RAM each. Where
    /// they have more in their headers than media has, the table holds fewer and not more RAM.
    pub metadata_objects_max: usize,
}

/// Why a cache cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the state file open.
    #[error("state file {path} is in use by another process; stop it, or set another cache.state")]
    InUse {
        /// The state file.
        path: PathBuf,
    },
    /// The state file can be neither opened nor made.
    #[error("cannot open state file {path}; check that its directory exists and can be written")]
    State {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// In memory.
    Ram,
    /// On a disk.
    Disk,
}

/// Objects and their chunks. Share it in an `Arc`; every method may be called from any
/// thread.
#[derive(Debug)]
pub struct Cache {
    pub(crate) table: Arc<Table>,
    pub(crate) state: Option<State>,
    pub(crate) ram: Arc<Ram>,
    pub(crate) store: Option<Arc<dyn ChunkStore>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) swept: Counts,
    pub(crate) reads: Reads,
    pub(crate) disk_hits: AtomicU64,
    pub(crate) disk_misses: AtomicU64,
    generations: Arc<Generations>,
    /// None lets everything onto the disks.
    doorkeeper: Option<Doorkeeper>,
    not_admitted: AtomicU64,
    wishes: Arc<keep::Wishes>,
    left: LeftBehind,
}

impl Cache {
    /// Opens a cache: recovers the metadata table where a state file is configured. The time
    /// now, in Unix nanoseconds, comes from outside.
    pub fn open_at(
        config: &CacheConfig,
        store: Option<Arc<dyn ChunkStore>>,
        unix_nanos: u64,
    ) -> Result<Self, OpenError> {
        Self::open_with(config, store, unix_nanos, state::on_disk())
    }

    pub(crate) fn open_with(
        config: &CacheConfig,
        store: Option<Arc<dyn ChunkStore>>,
        unix_nanos: u64,
        opener: Opener,
    ) -> Result<Self, OpenError> {
        let table = Arc::new(Table::new(config.metadata_objects_max));
        let opened = config.state.as_deref().map(|path| state::open(path, opener)).transpose()?;
        let reserved = opened.as_ref().map_or(0, |opened| opened.found.reserved);
        let generations = Arc::new(Generations::new(unix_nanos, reserved));
        let (purges, opened) = match opened {
            Some(mut opened) => (std::mem::take(&mut opened.found.purges), Some(opened)),
            None => Default::default(),
        };
        let ledger = Arc::new(Ledger::recovered(purges.epoch, purges.orders, purges.rotten));
        let state =
            opened.map(|opened| opened.start(table.clone(), generations.clone(), ledger.clone()));
        table.tick(u32::try_from(unix_nanos / 1_000_000_000).unwrap_or(u32::MAX));
        Ok(Self {
            table,
            state,
            ram: Arc::new(Ram::new(config.memory_bytes)),
            store,
            ledger,
            swept: Counts::default(),
            reads: Reads::default(),
            disk_hits: AtomicU64::new(0),
            disk_misses: AtomicU64::new(0),
            generations,
            doorkeeper: None,
            not_admitted: AtomicU64::new(0),
            wishes: Arc::default(),
            left: LeftBehind::default(),
        })
    }

    /// Offers the store only what is wanted twice: a chunk that is hit in RAM, or filled again
    /// while it is remembered. `chunks` is how many chunks to remember, as many as the disks
    /// hold. Without it everything is offered.
    pub fn second_hit(mut self, chunks: u64) -> Self {
        self.doorkeeper = Some(Doorkeeper::new(chunks));
        self
    }

    /// The object of this id; `None` also when another key has the same hash, and for what
    /// was purged. What was purged softly is stale since then.
    pub fn object(&self, id: &ObjectId, key: &str) -> Option<Arc<StoredObject>> {
        guard::find(&self.ledger, || {
            let object = self.known(id, |table| table.get(*id));
            object.filter(|object| *object.key == *key)
        })
    }

    /// Inserts or replaces the object of this id, unless it was purged since its fill began
    /// (its epoch, see [`Cache::begin`]). Chunks of a replaced generation become unreachable
    /// and leave RAM.
    pub fn put_object(&self, object: StoredObject) -> Arc<StoredObject> {
        if self.table.awaits(object.id) && !self.table.contains(object.id) {
            // It may be pinned there.
            self.recall(&object.id);
        }
        self.forget_purged_pin(&object.id);
        let (object, displaced) = guard::put(&self.ledger, &*self.table, object);
        let Some(displaced) = displaced else { return object };
        self.mark(&object.id);
        if let Some(old) = displaced.replaced.filter(|old| old.generation != object.generation) {
            if let Some(store) = self.store.as_ref().filter(|_| old.pinned) {
                let (old, new) = (old.generation, object.generation);
                store.pin_instead(&object.id, old, new, 0..object.chunks());
            }
            self.forget_ram(old.id, old.generation, old.size);
        }
        self.forget_evicted(&displaced.evicted);
        self.came(&object);
        object
    }

    /// Brings an object up to date where `same` holds for what lies there, at that moment, and
    /// it was not purged since its ticket: what was removed or replaced between a look and this
    /// stays so. Gives the object as it is, or would be, stored. `same` must not come back here,
    /// and holds for objects of the same generation only.
    pub fn replace_object(
        &self,
        object: StoredObject,
        same: impl FnOnce(&StoredObject) -> bool,
    ) -> Arc<StoredObject> {
        let (object, replaced) = guard::replace(&self.ledger, &*self.table, object, same);
        if replaced {
            self.mark(&object.id);
        }
        object
    }

    /// Removes the object of this id. Its chunks become unreachable and leave RAM, and
    /// the disks a while later (see [`Cache::tick`]).
    pub fn remove_object(&self, id: &ObjectId) -> Option<Arc<StoredObject>> {
        let object = self.take_object(id, |_| true)?;
        self.forget_ram(object.id, object.generation, object.size);
        Some(object)
    }

    /// Says what time it is, Unix milliseconds: reads are noted with it, pins end, and chunks that
    /// nobody can reach for a while leave the disks. Once a second is enough.
    pub fn tick(&self, unix_millis: u64) {
        self.table.tick(u32::try_from(unix_millis / 1000).unwrap_or(u32::MAX));
        self.end_pins();
        if let Some(store) = &self.store {
            self.left.tick(&**store, unix_millis);
        }
        self.ram.lend(self.store.as_ref().map_or(0, |store| store.stats().index_bytes));
    }

    /// Resolves when all that the state file knew is in the table. Nobody needs to wait for it
    /// but those who count.
    pub async fn recovered(&self) {
        if let Some(state) = &self.state {
            state.recovered().await;
        }
    }

    /// A number that no fill had before, also not before a crash, a lost state file or a
    /// clock set back.
    pub fn next_generation(&self) -> u64 {
        self.generations.next()
    }

    /// A chunk from RAM. The hot path: one lock of one foyer shard. Being wanted again lets
    /// it onto the disks.
    pub fn ram_chunk(&self, key: &ChunkKey) -> Option<Chunk> {
        let (chunk, first) = self.ram.get_again(key)?;
        if first && let Some(store) = &self.store {
            let _ = store.offer(*key, chunk.clone());
        }
        Some(chunk)
    }

    /// The same for whoever it was filled for: that it is read then is no second hit.
    pub fn ram_chunk_awaited(&self, key: &ChunkKey) -> Option<Chunk> {
        self.ram.get(key)
    }

    /// Puts a chunk that somebody asked for into RAM, and offers it to the store where it was
    /// asked for before.
    pub fn insert_chunk(&self, key: ChunkKey, chunk: Chunk) {
        let admitted = self.doorkeeper.as_ref().is_none_or(|known| known.seen(point(&key)));
        if admitted || self.is_kept(&key.object) {
            return self.insert_kept(key, chunk);
        }
        self.not_admitted.fetch_add(chunk.data().len() as u64, Ordering::Relaxed);
        self.ram.insert(key, chunk, false);
    }

    /// Puts a chunk into RAM and offers it to the store: what is pinned or warmed need not be
    /// asked for first.
    pub fn insert_kept(&self, key: ChunkKey, chunk: Chunk) {
        if let Some(store) = &self.store {
            // What it refuses it counts; the chunk can be fetched again.
            let _ = store.offer(key, chunk.clone());
        }
        self.ram.insert(key, chunk, true);
    }

    /// The same for a chunk that cannot be fetched again: waits for room where the store has
    /// none at the moment. A store that is full or offline is not waited for: `false`.
    pub async fn insert_for_good(&self, key: ChunkKey, chunk: Chunk) -> bool {
        let mut offered = None;
        if let Some(store) = &self.store {
            // On disk before RAM: it must not leave the one before it is in the other.
            // Others may take the room first.
            for _ in 0..OFFERS_MAX {
                offered = Some(store.offer(key, chunk.clone()));
                if offered != Some(Admission::Busy) {
                    break;
                }
                store.flush().await;
            }
        }
        self.ram.insert(key, chunk, true);
        offered == Some(Admission::Accepted)
    }

    /// Where a chunk is, without reading or counting it.
    pub fn has_chunk(&self, key: &ChunkKey) -> Option<Tier> {
        if self.ram.contains(key) {
            return Some(Tier::Ram);
        }
        self.store.as_ref()?.contains(key).then_some(Tier::Disk)
    }

    /// Undoes a fill that turned out wrong: removes the object if it is of this generation,
    /// and the first `chunks` chunks of it from every tier.
    pub fn discard_generation(&self, id: &ObjectId, generation: u64, chunks: u32) {
        let pin = self.pin_of(id);
        let object = self.take_object(id, |object| object.generation == generation);
        if let (Some(object), Some(pin)) = (object, pin) {
            self.await_again(&object, pin);
        }
        self.discard_chunks(id, generation, 0..chunks);
    }

    /// Undoes a part of a fill: removes these chunks from every tier and leaves the object.
    pub fn discard_chunks(&self, id: &ObjectId, generation: u64, chunks: std::ops::Range<u32>) {
        for index in chunks {
            let key = ChunkKey { object: *id, generation, index };
            self.ram.remove(&key);
            if let Some(store) = &self.store {
                store.remove(&key);
            }
        }
    }

    /// Removes the object of this id now, without an order: a fill that is under way may bring
    /// it back. Survives a kill once [`Cache::flush`] returned.
    pub fn purge(&self, id: &ObjectId) -> Option<Purged> {
        let object = self.remove_object(id)?;
        Some(Purged { objects: 1, bytes: object.size })
    }

    /// Resolves when every chunk accepted so far is on its disk and all metadata so far is
    /// durable, or could not be written (see [`StateStats::errors`]).
    pub async fn flush(&self) {
        if let Some(store) = &self.store {
            store.flush().await;
        }
        if let Some(state) = &self.state {
            state.flush().await;
        }
    }

    /// Resolves when all metadata so far is durable, or could not be written.
    pub async fn flush_metadata(&self) {
        if let Some(state) = &self.state {
            state.flush().await;
        }
    }

    /// Flushes and lets go of state file and store. A cache closed so loses nothing; what
    /// changes afterwards is not kept. Blocks for the last write of metadata, some
    /// milliseconds.
    pub async fn close(&self) {
        self.flush().await;
        if let Some(store) = &self.store {
            store.close().await;
        }
        if let Some(state) = &self.state {
            state.close();
        }
    }

    pub(crate) fn mark(&self, id: &ObjectId) {
        if let Some(state) = &self.state {
            state.mark(*id);
        }
    }

    /// Looks an object up, in the state file too where that was not read yet.
    pub(crate) fn known(
        &self,
        id: &ObjectId,
        look: impl Fn(&Table) -> Option<Arc<StoredObject>>,
    ) -> Option<Arc<StoredObject>> {
        // Asked first: an object that is loaded between a look and the question is in neither.
        let loading = self.table.is_loading();
        look(&self.table)
            .or_else(|| loading.then(|| self.recall(id)).and_then(|()| look(&self.table)))
    }

    /// Brings an object into the table that the state file has and the table does not have
    /// yet.
    #[cold]
    fn recall(&self, id: &ObjectId) {
        if !self.table.awaits(*id) {
            return;
        }
        let recalled = self.state.as_ref().and_then(|state| state.recall(*id));
        let Some((object, pin)) = recalled else { return };
        if let Load::Taken(displaced) = self.table.load(&object, pin, true) {
            self.forget_evicted(&displaced.evicted);
        }
    }

    /// Takes an object out of table and state file, provided that `condition` holds for it.
    fn take_object(
        &self,
        id: &ObjectId,
        condition: impl FnOnce(&StoredObject) -> bool,
    ) -> Option<Arc<StoredObject>> {
        let awaited = self.table.awaits(*id);
        if awaited && !self.table.contains(*id) {
            self.recall(id);
        }
        let pinned = self.table.is_pinned(*id);
        let object = self.table.remove_if(*id, condition);
        if let Some(object) = object.as_ref().filter(|_| pinned) {
            self.unpinned(id, object.generation);
        }
        if object.is_some() || (awaited && !self.table.contains(*id)) {
            self.mark(id);
        }
        object
    }

    fn forget_evicted(&self, evicted: &[Gone]) {
        for old in evicted {
            if old.pinned {
                self.unpinned(&old.id, old.generation);
            }
            self.mark(&old.id);
            self.forget_ram(old.id, old.generation, old.size);
        }
    }

    /// Frees the RAM of chunks that nobody can reach any more, and in a while their disks.
    fn forget_ram(&self, object: ObjectId, generation: u64, size: u64) {
        if self.store.is_some() {
            self.left.leave(object, generation, chunks_of(size));
        }
        for index in 0..chunks_of(size) {
            self.ram.remove(&ChunkKey { object, generation, index });
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
