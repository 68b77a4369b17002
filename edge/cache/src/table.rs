//! The metadata table in RAM: sharded, bounded in objects and bytes, with second-chance
//! eviction.
//!
//! An object is a packed record of some 60 to 100 bytes; the few that are read all the time
//! are kept unpacked as well. Every change of a record happens under its shard's lock together
//! with that of the unpacked copy, so that nobody reads what was removed.
//!
//! While the state file is still being read, an object that is not here may be there: see
//! [`Table::awaits`].

mod arena;
mod cold;
mod dictionary;
mod hot;
mod list;
mod loading;
mod pack;
mod pins;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod usage;
mod value;
mod varint;

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::RwLock;

use self::{
    cold::Cold,
    hot::{Hot, Left},
    loading::Loading,
    pack::{Packer, Parsed},
};
pub use self::{
    list::{BadCursor, Cursor, Filter, Listing, PAGE_MAX, Row, Sort},
    pins::Pin,
};
pub(crate) use self::{loading::Load, usage::Usage};
use crate::{chunk::ObjectId, object::StoredObject};

/// RAM for an object, all inclusive; what the table is bounded by besides objects.
pub const OBJECT_BYTES: usize = 200;

/// So many that the lock and the copying of one shard are short at 10^7 objects, and that 64
/// cores seldom meet.
const SHARDS_MAX: usize = 1024;
/// A shard smaller than this evicts too unevenly.
const SHARD_OBJECTS_MIN: usize = 2048;
/// A table for few objects may hold them whatever they take.
const SHARD_BYTES_MIN: usize = 256 << 10;
/// One in so many is kept unpacked as well.
const HOT_SHARE: usize = 32;
const HOT_MIN: usize = 16;
/// Of [`OBJECT_BYTES`], what is left for unpacked objects and folders of keys.
const OTHER_BYTES: usize = 40;

#[derive(Debug, Default)]
struct Shard {
    hot: RwLock<Hot>,
    /// Locked before `hot` where both are.
    cold: RwLock<Cold>,
}

/// Objects by id, at most the number given.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Box<[Shard]>,
    packer: Packer,
    shard_objects_max: usize,
    shard_bytes_max: usize,
    shard_hot_max: usize,
    loading: Loading,
    /// The time that reads are noted with.
    now_seconds: AtomicU32,
    objects: AtomicUsize,
    bytes: AtomicU64,
    pinned_bytes: AtomicU64,
    /// When the next pin may end, Unix seconds.
    next_end: AtomicU32,
    evicted: AtomicU64,
}

/// An object that is not in the table any more, as far as its chunks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) id: ObjectId,
    pub(crate) generation: u64,
    pub(crate) size: u64,
    pub(crate) pinned: bool,
}

/// What an insertion pushed out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Displaced {
    pub(crate) replaced: Option<Gone>,
    pub(crate) evicted: Vec<Gone>,
}

/// An object in the table, as it lies there.
pub(crate) struct View<'a> {
    packer: &'a Packer,
    parsed: Parsed<'a>,
    pub(crate) id: ObjectId,
    pub(crate) usage: Usage,
    pub(crate) pinned: bool,
}

impl View<'_> {
    pub(crate) fn key(&self) -> Cow<'_, str> {
        self.packer.key(&self.parsed)
    }

    pub(crate) fn service<R>(&self, read: impl FnOnce(&str) -> R) -> R {
        self.packer.service(&self.parsed, read)
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = u64> {
        self.parsed.tags()
    }

    pub(crate) fn size(&self) -> u64 {
        self.parsed.size
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.parsed.epoch
    }

    pub(crate) fn response_millis(&self) -> u64 {
        self.parsed.response_millis
    }
}

impl Table {
    pub(crate) fn new(objects_max: usize) -> Self {
        let objects_max = objects_max.clamp(1, 1 << 30);
        let wanted = (objects_max / SHARD_OBJECTS_MIN).clamp(1, SHARDS_MAX);
        // The next power of two below, so that the bound holds.
        let shards = 1 << wanted.ilog2();
        let shard_objects_max = objects_max / shards;
        Self {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            packer: Packer::new(objects_max),
            shard_objects_max,
            shard_bytes_max: (shard_objects_max * (OBJECT_BYTES - OTHER_BYTES))
                .max(SHARD_BYTES_MIN),
            shard_hot_max: (shard_objects_max / HOT_SHARE).max(HOT_MIN),
            loading: Loading::default(),
            now_seconds: AtomicU32::new(0),
            objects: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            pinned_bytes: AtomicU64::new(0),
            next_end: AtomicU32::new(pins::NEVER),
            evicted: AtomicU64::new(0),
        }
    }

    /// Says what time it is, for the reads from now on.
    pub(crate) fn tick(&self, unix_seconds: u32) {
        self.now_seconds.store(unix_seconds, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, id: ObjectId) -> Option<Arc<StoredObject>> {
        let shard = self.shard(id);
        let now_seconds = self.now_seconds.load(Ordering::Relaxed);
        if let Some(object) = shard.hot.read().get(id.0, now_seconds) {
            return Some(object.clone());
        }
        // Held to the end: a removal meanwhile would leave the copy behind.
        let cold = shard.cold.read();
        let slot = cold.find(id.0)?;
        cold.note(slot, Usage { reads: 1, read_seconds: now_seconds });
        let object = Arc::new(self.packer.unpack(id, cold.record(slot)));
        self.keep_unpacked(shard, &cold, object.clone());
        Some(object)
    }

    /// Looks without keeping it from eviction.
    pub(crate) fn peek(&self, id: ObjectId) -> Option<Arc<StoredObject>> {
        let shard = self.shard(id);
        let cold = shard.cold.read();
        if let Some(object) = shard.hot.read().peek(id.0) {
            return Some(object.clone());
        }
        let slot = cold.find(id.0)?;
        Some(Arc::new(self.packer.unpack(id, cold.record(slot))))
    }

    pub(crate) fn contains(&self, id: ObjectId) -> bool {
        self.shard(id).cold.read().find(id.0).is_some()
    }

    pub(crate) fn insert(&self, object: Arc<StoredObject>) -> Displaced {
        let record = self.packer.pack(&object);
        let mut displaced = Displaced::default();
        let shard = self.shard(object.id);
        let mut cold = shard.cold.write();
        if let Some(slot) = cold.find(object.id.0) {
            displaced.replaced = Some(gone(&cold, slot));
            self.replace(shard, &mut cold, slot, object, &record);
        } else {
            self.make_room(shard, &mut cold, record.len(), &mut displaced.evicted);
            if cold.push(object.id.0, &record) {
                self.objects.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(object.size, Ordering::Relaxed);
                self.keep_unpacked(shard, &cold, object);
            } else {
                self.packer.release(&record);
                self.loading.removed(&mut cold, object.id);
            }
        }
        displaced
    }

    /// Puts a new record in a slot; with no page left for it, the object goes.
    fn replace(
        &self,
        shard: &Shard,
        cold: &mut Cold,
        slot: usize,
        object: Arc<StoredObject>,
        record: &[u8],
    ) {
        let old = gone(cold, slot);
        let words = cold.record(slot).to_vec();
        if cold.replace(slot, record) {
            self.packer.release(&words);
            self.bytes.fetch_add(object.size, Ordering::Relaxed);
            self.bytes.fetch_sub(old.size, Ordering::Relaxed);
            if old.pinned {
                self.pinned_bytes.fetch_add(object.size, Ordering::Relaxed);
                self.pinned_bytes.fetch_sub(old.size, Ordering::Relaxed);
            }
            self.keep_unpacked(shard, cold, object);
        } else {
            self.packer.release(record);
            self.take(shard, cold, slot);
        }
    }

    fn keep_unpacked(&self, shard: &Shard, cold: &Cold, object: Arc<StoredObject>) {
        let left = shard.hot.write().insert(object, self.shard_hot_max);
        note(cold, left);
    }

    /// Removes an object, provided that `condition` holds for it. One that the state file may
    /// still have is not read from there any more.
    pub(crate) fn remove_if(
        &self,
        id: ObjectId,
        condition: impl FnOnce(&StoredObject) -> bool,
    ) -> Option<Arc<StoredObject>> {
        let shard = self.shard(id);
        let mut cold = shard.cold.write();
        let Some(slot) = cold.find(id.0) else {
            self.loading.removed(&mut cold, id);
            return None;
        };
        let known = shard.hot.read().peek(id.0).cloned();
        let object = known.unwrap_or_else(|| Arc::new(self.packer.unpack(id, cold.record(slot))));
        if !condition(&object) {
            return None;
        }
        self.take(shard, &mut cold, slot);
        Some(object)
    }

    /// Replaces an object, provided that there is one and `condition` holds for it.
    pub(crate) fn replace_if(
        &self,
        object: Arc<StoredObject>,
        condition: impl FnOnce(&StoredObject) -> bool,
    ) -> bool {
        let record = self.packer.pack(&object);
        let shard = self.shard(object.id);
        let mut cold = shard.cold.write();
        let slot = cold.find(object.id.0);
        let same = |slot: &usize| condition(&self.packer.unpack(object.id, cold.record(*slot)));
        let Some(slot) = slot.filter(same) else {
            self.packer.release(&record);
            return false;
        };
        self.replace(shard, &mut cold, slot, object, &record);
        true
    }

    /// Objects in the table.
    pub(crate) fn len(&self) -> usize {
        self.objects.load(Ordering::Relaxed)
    }

    /// Body bytes of the objects in the table, whether their chunks are there or not.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// RAM of all of it.
    pub(crate) fn ram_bytes(&self) -> u64 {
        let shards = self.shards.iter();
        let shards =
            shards.map(|s| size_of::<Shard>() + s.cold.read().bytes() + s.hot.read().bytes());
        (self.packer.bytes() + shards.sum::<usize>()) as u64
    }

    /// Objects it may hold.
    pub(crate) fn objects_max(&self) -> u64 {
        (self.shard_objects_max * self.shards.len()) as u64
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Ids of the objects of one shard.
    pub(crate) fn shard_ids(&self, shard: usize) -> Vec<ObjectId> {
        let cold = self.shards[shard].cold.read();
        (0..cold.len()).map(|slot| ObjectId(cold.id(slot))).collect()
    }

    /// Shows the objects of one shard as they lie there; the shard does not change meanwhile.
    pub(crate) fn scan(&self, shard: usize, mut show: impl FnMut(&View<'_>)) {
        let shard = &self.shards[shard];
        let cold = shard.cold.read();
        for slot in 0..cold.len() {
            let id = cold.id(slot);
            let read = shard.hot.read().usage(id).unwrap_or_default();
            show(&View {
                packer: &self.packer,
                parsed: Parsed::of(cold.record(slot)),
                id: ObjectId(id),
                usage: cold.usage(slot).and(read),
                pinned: cold.is_pinned(slot),
            });
        }
    }

    fn make_room(&self, shard: &Shard, cold: &mut Cold, record: usize, evicted: &mut Vec<Gone>) {
        while cold.is_full(record, self.shard_objects_max, self.shard_bytes_max) {
            let mut hot = shard.hot.write();
            let Some(slot) = cold.victim(|id| hot.take_usage(id)) else { break };
            drop(hot);
            evicted.push(self.take(shard, cold, slot));
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes an object out of its shard.
    fn take(&self, shard: &Shard, cold: &mut Cold, slot: usize) -> Gone {
        let gone = gone(cold, slot);
        self.packer.release(cold.record(slot));
        cold.remove(slot);
        shard.hot.write().remove(gone.id.0);
        self.loading.removed(cold, gone.id);
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(gone.size, Ordering::Relaxed);
        if gone.pinned {
            self.pinned_bytes.fetch_sub(gone.size, Ordering::Relaxed);
        }
        gone
    }

    fn shard(&self, id: ObjectId) -> &Shard {
        let upper = (id.0 >> 64) as usize;
        // The number of shards is a power of two.
        &self.shards[upper & (self.shards.len() - 1)]
    }
}

fn gone(cold: &Cold, slot: usize) -> Gone {
    let parsed = Parsed::of(cold.record(slot));
    Gone {
        id: ObjectId(cold.id(slot)),
        generation: parsed.generation,
        size: parsed.size,
        pinned: cold.is_pinned(slot),
    }
}

/// Keeps the reads of those that are only packed from now on.
fn note(cold: &Cold, left: Vec<Left>) {
    for left in left {
        if let Some(slot) = cold.find(left.id) {
            cold.note(slot, left.usage);
        }
    }
}
