//! The few objects of a shard that are read again and again, unpacked: reading one of them
//! allocates nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use hashbrown::HashTable;

use super::usage::Usage;
use crate::object::StoredObject;

/// What an entry takes besides key and fields: its object, the reference counts, its places,
/// the allocator's share.
const OVERHEAD: usize = size_of::<StoredObject>() + 112;
/// Mean of what an entry takes; a longer one takes the places of several.
const ENTRY_BYTES: usize = 768;

#[derive(Debug)]
struct Entry {
    object: Arc<StoredObject>,
    /// Reads since it came here.
    reads: AtomicU32,
    read_seconds: AtomicU32,
    /// Read since the hand passed.
    touched: AtomicBool,
}

/// Bounded by entries and by bytes.
#[derive(Debug, Default)]
pub(super) struct Hot {
    places: HashTable<u32>,
    ring: Vec<Entry>,
    hand: usize,
    bytes: usize,
}

/// Whoever left, and its reads, which the table has to note.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) id: u128,
    pub(super) usage: Usage,
}

impl Hot {
    pub(super) fn get(&self, id: u128, now_seconds: u32) -> Option<&Arc<StoredObject>> {
        let entry = &self.ring[self.find(id)?];
        // Exact is not worth a locked addition: threads that meet here count once.
        let reads = entry.reads.load(Ordering::Relaxed);
        entry.reads.store(reads.saturating_add(1), Ordering::Relaxed);
        // Only the first reader of a second dirties these.
        if entry.read_seconds.load(Ordering::Relaxed) != now_seconds {
            entry.read_seconds.store(now_seconds, Ordering::Relaxed);
        }
        if !entry.touched.load(Ordering::Relaxed) {
            entry.touched.store(true, Ordering::Relaxed);
        }
        Some(&entry.object)
    }

    /// Looks without counting.
    pub(super) fn peek(&self, id: u128) -> Option<&Arc<StoredObject>> {
        Some(&self.ring[self.find(id)?].object)
    }

    /// Reads that the table has not noted yet.
    pub(super) fn usage(&self, id: u128) -> Option<Usage> {
        Some(self.ring[self.find(id)?].usage())
    }

    /// Takes the reads that the table has not noted yet.
    pub(super) fn take_usage(&mut self, id: u128) -> Option<Usage> {
        let place = self.find(id)?;
        let entry = &self.ring[place];
        let usage = entry.usage();
        entry.reads.store(0, Ordering::Relaxed);
        Some(usage)
    }

    /// Puts an object in, or in the place of its predecessor.
    pub(super) fn insert(&mut self, object: Arc<StoredObject>, entries_max: usize) -> Vec<Left> {
        let id = object.id.0;
        let mut left = Vec::new();
        if let Some(place) = self.find(id) {
            self.bytes = self.bytes + cost(&object) - cost(&self.ring[place].object);
            self.ring[place].object = object;
        } else {
            let cost = cost(&object);
            // A block of fields that would push out a quarter of the others is unpacked each
            // time.
            if cost > ENTRY_BYTES * entries_max.div_ceil(4) {
                return left;
            }
            self.bytes += cost;
            let place = self.ring.len() as u32;
            if self.ring.len() == self.ring.capacity() {
                self.ring.reserve_exact(self.ring.len() / 4 + 4);
            }
            self.ring.push(Entry {
                object,
                reads: AtomicU32::new(0),
                read_seconds: AtomicU32::new(0),
                touched: AtomicBool::new(false),
            });
            let ring = &self.ring;
            self.places
                .insert_unique(id as u64, place, |place| ring[*place as usize].object.id.0 as u64);
        }
        while self.ring.len() > entries_max || self.bytes > ENTRY_BYTES * entries_max {
            let Some(gone) = self.evict(id) else { break };
            left.push(gone);
        }
        left
    }

    pub(super) fn remove(&mut self, id: u128) -> Option<Left> {
        self.find(id).map(|place| self.take(place))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.ring.capacity() * size_of::<Entry>() + self.places.allocation_size()
    }

    fn find(&self, id: u128) -> Option<usize> {
        let same = |place: &u32| self.ring[*place as usize].object.id.0 == id;
        self.places.find(id as u64, same).map(|place| *place as usize)
    }

    /// Second chance; `newest` stays.
    fn evict(&mut self, newest: u128) -> Option<Left> {
        for _ in 0..=2 * self.ring.len() {
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            let entry = self.ring.get(self.hand)?;
            if entry.touched.swap(false, Ordering::Relaxed) || entry.object.id.0 == newest {
                self.hand += 1;
            } else {
                return Some(self.take(self.hand));
            }
        }
        None
    }

    fn take(&mut self, place: usize) -> Left {
        let last = self.ring.len() - 1;
        let id = self.ring[place].object.id.0;
        let entry = self.places.find_entry(id as u64, |other| *other as usize == place);
        entry.expect("every entry has its place").remove();
        if place != last {
            let moved = self.ring[last].object.id.0 as u64;
            let entry = self.places.find_mut(moved, |other| *other as usize == last);
            *entry.expect("every entry has its place") = place as u32;
        }
        let entry = self.ring.swap_remove(place);
        self.bytes -= cost(&entry.object);
        Left { id, usage: entry.usage() }
    }
}

impl Entry {
    fn usage(&self) -> Usage {
        Usage {
            reads: self.reads.load(Ordering::Relaxed),
            read_seconds: self.read_seconds.load(Ordering::Relaxed),
        }
    }
}

fn cost(object: &StoredObject) -> usize {
    OVERHEAD + object.key.len() + object.fields.as_bytes().len() + size_of_val(&*object.tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::tests::object;

    fn id(name: &str) -> u128 {
        crate::chunk::ObjectId::of(name).0
    }

    #[test]
    fn what_is_read_stays_and_what_leaves_tells_its_reads() {
        let mut hot = Hot::default();
        hot.insert(Arc::new(object("read", 1, 1)), 4);
        for number in 0..100 {
            assert!(hot.get(id("read"), 7).is_some());
            let left = hot.insert(Arc::new(object(&format!("{number}"), 1, 1)), 4);
            assert!(left.iter().all(|left| left.id != id("read") && left.usage.reads == 0));
        }
        let left = hot.remove(id("read")).unwrap();
        assert_eq!(left.usage, Usage { reads: 100, read_seconds: 7 });
        assert!(hot.get(id("read"), 7).is_none());
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let mut hot = Hot::default();
        for number in 0..1000 {
            let name = format!("{number}{}", "x".repeat(number % 2000));
            hot.insert(Arc::new(object(&name, 1, 1)), 32);
            assert!(hot.bytes <= ENTRY_BYTES * 32 && hot.ring.len() <= 32);
            let sum: usize = hot.ring.iter().map(|entry| cost(&entry.object)).sum();
            assert_eq!(hot.bytes, sum);
        }
        let giant = "x".repeat(ENTRY_BYTES * 8);
        assert!(hot.insert(Arc::new(object(&giant, 1, 1)), 32).is_empty());
        assert!(hot.peek(id(&giant)).is_none());
    }
}
