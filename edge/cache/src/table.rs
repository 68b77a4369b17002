//! The metadata table in RAM: sharded, bounded, with second-chance eviction.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use crate::{chunk::ObjectId, object::StoredObject};

/// Enough that 64 cores seldom meet; readers share a shard's lock anyway.
const SHARDS_MAX: usize = 128;
/// A shard smaller than this evicts too unevenly.
const SHARD_OBJECTS_MIN: usize = 1024;

/// Ids are hashes already.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        // The upper half picks the shard.
        self.0 = id as u64;
    }
}

#[derive(Debug)]
struct Slot {
    object: Arc<StoredObject>,
    /// Read since the hand passed.
    touched: AtomicBool,
}

/// Objects of one shard in a ring that a clock hand sweeps.
#[derive(Debug, Default)]
struct Shard {
    places: HashMap<u128, u32, BuildHasherDefault<Identity>>,
    ring: Vec<Slot>,
    hand: usize,
}

/// Objects by id, at most the number given.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Box<[RwLock<Shard>]>,
    shard_objects_max: usize,
    bytes: AtomicU64,
    evicted: AtomicU64,
}

/// What an insertion pushed out.
#[derive(Debug, Default)]
pub(crate) struct Displaced {
    pub(crate) replaced: Option<Arc<StoredObject>>,
    pub(crate) evicted: Option<Arc<StoredObject>>,
}

impl Table {
    pub(crate) fn new(objects_max: usize) -> Self {
        let objects_max = objects_max.clamp(1, u32::MAX as usize);
        let wanted = (objects_max / SHARD_OBJECTS_MIN).clamp(1, SHARDS_MAX);
        // The next power of two below, so that the bound holds.
        let shards = 1 << wanted.ilog2();
        Self {
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            shard_objects_max: objects_max / shards,
            bytes: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, id: ObjectId) -> Option<Arc<StoredObject>> {
        let shard = self.shard(id).read();
        let slot = &shard.ring[*shard.places.get(&id.0)? as usize];
        // Only the first reader dirties the line.
        if !slot.touched.load(Ordering::Relaxed) {
            slot.touched.store(true, Ordering::Relaxed);
        }
        Some(slot.object.clone())
    }

    /// Looks without keeping it from eviction.
    pub(crate) fn peek(&self, id: ObjectId) -> Option<Arc<StoredObject>> {
        let shard = self.shard(id).read();
        Some(shard.ring[*shard.places.get(&id.0)? as usize].object.clone())
    }

    pub(crate) fn insert(&self, object: Arc<StoredObject>) -> Displaced {
        let id = object.id.0;
        let mut shard = self.shard(object.id).write();
        self.bytes.fetch_add(object.size, Ordering::Relaxed);
        let mut displaced = Displaced::default();
        let Shard { places, ring, .. } = &mut *shard;
        if let Entry::Occupied(place) = places.entry(id) {
            let slot = &mut ring[*place.get() as usize];
            displaced.replaced = Some(std::mem::replace(&mut slot.object, object));
        } else {
            if ring.len() >= self.shard_objects_max {
                displaced.evicted = shard.evict();
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
            shard.push(object);
        }
        for gone in [&displaced.replaced, &displaced.evicted].into_iter().flatten() {
            self.bytes.fetch_sub(gone.size, Ordering::Relaxed);
        }
        displaced
    }

    /// Removes an object, provided that `condition` holds for it.
    pub(crate) fn remove_if(
        &self,
        id: ObjectId,
        condition: impl FnOnce(&StoredObject) -> bool,
    ) -> Option<Arc<StoredObject>> {
        let mut shard = self.shard(id).write();
        let place = *shard.places.get(&id.0)? as usize;
        if !condition(&shard.ring[place].object) {
            return None;
        }
        let object = shard.take(place);
        self.bytes.fetch_sub(object.size, Ordering::Relaxed);
        Some(object)
    }

    /// Replaces an object, provided that there is one and `condition` holds for it.
    pub(crate) fn replace_if(
        &self,
        object: Arc<StoredObject>,
        condition: impl FnOnce(&StoredObject) -> bool,
    ) -> bool {
        let mut shard = self.shard(object.id).write();
        let Some(place) = shard.places.get(&object.id.0).map(|place| *place as usize) else {
            return false;
        };
        let slot = &mut shard.ring[place];
        if !condition(&slot.object) {
            return false;
        }
        self.bytes.fetch_add(object.size, Ordering::Relaxed);
        self.bytes.fetch_sub(slot.object.size, Ordering::Relaxed);
        slot.object = object;
        true
    }

    /// Objects in the table.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().ring.len()).sum()
    }

    /// Body bytes of the objects in the table, whether their chunks are there or not.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The objects of one shard.
    pub(crate) fn shard_objects(&self, shard: usize) -> Vec<Arc<StoredObject>> {
        self.shards[shard].read().ring.iter().map(|slot| slot.object.clone()).collect()
    }

    fn shard(&self, id: ObjectId) -> &RwLock<Shard> {
        let upper = (id.0 >> 64) as usize;
        // The number of shards is a power of two.
        &self.shards[upper & (self.shards.len() - 1)]
    }
}

impl Shard {
    fn push(&mut self, object: Arc<StoredObject>) {
        let place = u32::try_from(self.ring.len()).expect("a table holds at most u32::MAX objects");
        self.places.insert(object.id.0, place);
        self.ring.push(Slot { object, touched: AtomicBool::new(false) });
    }

    /// Second chance: what was read since the last round stays for one more.
    fn evict(&mut self) -> Option<Arc<StoredObject>> {
        // Two rounds: after the first one nothing is touched, and nobody reads meanwhile.
        for _ in 0..2 * self.ring.len() {
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            let touched = self.ring.get(self.hand)?.touched.swap(false, Ordering::Relaxed);
            if !touched {
                return Some(self.take(self.hand));
            }
            self.hand += 1;
        }
        None
    }

    /// Takes one out; the last of the ring fills its place.
    fn take(&mut self, place: usize) -> Arc<StoredObject> {
        let slot = self.ring.swap_remove(place);
        self.places.remove(&slot.object.id.0);
        if let Some(moved) = self.ring.get(place) {
            let place = u32::try_from(place).expect("a place fits, its push checked");
            self.places.insert(moved.object.id.0, place);
        }
        slot.object
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::object::tests::object;

    #[derive(Debug, Clone)]
    enum Op {
        Put { key: u8, generation: u64 },
        Get { key: u8 },
        Remove { key: u8 },
        RemoveGeneration { key: u8, generation: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        let key = 0..40_u8;
        let generation = 0..4_u64;
        prop_oneof![
            4 => (key.clone(), generation.clone())
                .prop_map(|(key, generation)| Op::Put { key, generation }),
            4 => key.clone().prop_map(|key| Op::Get { key }),
            1 => key.clone().prop_map(|key| Op::Remove { key }),
            1 => (key, generation)
                .prop_map(|(key, generation)| Op::RemoveGeneration { key, generation }),
        ]
    }

    /// Runs the operations on a table and on a map; what the table evicts leaves the map.
    fn check(objects_max: usize, ops: &[Op]) {
        let table = Table::new(objects_max);
        let mut model: HashMap<u128, Arc<StoredObject>> = HashMap::new();
        for op in ops {
            match *op {
                Op::Put { key, generation } => {
                    let new = Arc::new(object(&key.to_string(), generation, u64::from(key)));
                    let displaced = table.insert(new.clone());
                    assert_eq!(displaced.replaced, model.insert(new.id.0, new));
                    if let Some(evicted) = displaced.evicted {
                        assert!(model.len() > objects_max, "evicted before it was full");
                        assert_eq!(model.remove(&evicted.id.0), Some(evicted));
                    }
                }
                Op::Get { key } => {
                    let id = ObjectId::of(&key.to_string());
                    assert_eq!(table.get(id), model.get(&id.0).cloned());
                }
                Op::Remove { key } => {
                    let id = ObjectId::of(&key.to_string());
                    assert_eq!(table.remove_if(id, |_| true), model.remove(&id.0));
                }
                Op::RemoveGeneration { key, generation } => {
                    let id = ObjectId::of(&key.to_string());
                    let expected = model.get(&id.0).is_some_and(|o| o.generation == generation);
                    let removed = table.remove_if(id, |object| object.generation == generation);
                    assert_eq!(removed.is_some(), expected);
                    if expected {
                        model.remove(&id.0);
                    }
                }
            }
            assert!(table.len() <= objects_max);
            assert_eq!(table.len(), model.len());
            assert_eq!(table.bytes(), model.values().map(|object| object.size).sum::<u64>());
        }
        for (id, object) in &model {
            assert_eq!(table.peek(ObjectId(*id)).as_ref(), Some(object));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(
            objects_max in 1..50_usize,
            ops in prop::collection::vec(op(), 1..300),
        ) {
            check(objects_max, &ops);
        }
    }

    #[test]
    fn what_is_read_outlives_what_is_not() {
        let table = Table::new(100);
        let hot = ObjectId::of("hot");
        table.insert(Arc::new(object("hot", 1, 1)));
        for number in 0..10_000 {
            table.insert(Arc::new(object(&format!("cold {number}"), 1, 1)));
            assert!(table.get(hot).is_some(), "after {number} others");
        }
        assert_eq!((table.len(), table.evicted()), (100, 9_901));
    }

    #[test]
    fn shards_keep_the_bound() {
        let table = Table::new(10_000);
        assert!(table.shards() > 1);
        for number in 0..50_000 {
            table.insert(Arc::new(object(&format!("{number}"), 1, 3)));
        }
        assert!(table.len() <= 10_000 && table.len() > 9_000, "{}", table.len());
        assert_eq!(table.bytes(), table.len() as u64 * 3);
        let listed: usize = (0..table.shards()).map(|n| table.shard_objects(n).len()).sum();
        assert_eq!(listed, table.len());
    }
}
