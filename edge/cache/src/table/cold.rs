//! The packed objects of one shard: records in an arena, a ring of slots that a clock hand
//! sweeps, and slots by id.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicU32, Ordering},
};

use hashbrown::HashTable;

use super::{
    arena::{Arena, Place},
    pins::Pin,
    usage::Usage,
};

/// Read since the hand passed.
const TOUCHED: u32 = 1 << 31;
/// Passed over by the hand.
const PINNED: u32 = 1 << 30;
const READS: u32 = PINNED - 1;

/// 28 bytes: the id as bytes, lest it be aligned to 16.
#[derive(Debug)]
struct Slot {
    id: [u8; 16],
    place: Place,
    /// Reads, and the two marks.
    reads: AtomicU32,
    read_seconds: AtomicU32,
}

#[derive(Debug, Default)]
pub(super) struct Cold {
    places: HashTable<u32>,
    ring: Vec<Slot>,
    arena: Arena,
    hand: usize,
    /// What is pinned; at most half of the shard.
    pins: HashMap<u128, Pin>,
    /// Ids that the state file may still have and that are not to be read from it any more.
    pub(super) gone: HashSet<u128>,
}

/// What a slot costs with its place in the hash table, which is half full or more.
const SLOT_BYTES: usize = size_of::<Slot>() + 10;

impl Cold {
    pub(super) fn find(&self, id: u128) -> Option<usize> {
        let bytes = id.to_ne_bytes();
        let same = |place: &u32| self.ring[*place as usize].id == bytes;
        self.places.find(id as u64, same).map(|place| *place as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn id(&self, slot: usize) -> u128 {
        u128::from_ne_bytes(self.ring[slot].id)
    }

    pub(super) fn record(&self, slot: usize) -> &[u8] {
        self.arena.get(self.ring[slot].place)
    }

    /// False when the arena is full; nothing changed then.
    pub(super) fn push(&mut self, id: u128, record: &[u8]) -> bool {
        let Some(place) = self.arena.push(record) else { return false };
        let number = u32::try_from(self.ring.len()).expect("a shard is far smaller than that");
        // Doubling would leave a third of the ring empty on average.
        if self.ring.len() == self.ring.capacity() {
            self.ring.reserve_exact(self.ring.len() / 16 + 16);
        }
        self.ring.push(Slot {
            id: id.to_ne_bytes(),
            place,
            reads: AtomicU32::new(0),
            read_seconds: AtomicU32::new(0),
        });
        let ring = &self.ring;
        self.places.insert_unique(id as u64, number, |slot| {
            u128::from_ne_bytes(ring[*slot as usize].id) as u64
        });
        true
    }

    /// Another record in the same slot. False when the arena is full.
    pub(super) fn replace(&mut self, slot: usize, record: &[u8]) -> bool {
        let Some(place) = self.arena.push(record) else { return false };
        let old = std::mem::replace(&mut self.ring[slot].place, place);
        self.arena.forget(old);
        self.compact();
        true
    }

    /// Takes a slot out; the last of the ring gets its number.
    pub(super) fn remove(&mut self, slot: usize) {
        let last = self.ring.len() - 1;
        let id = self.id(slot);
        let entry = self.places.find_entry(id as u64, |other| *other as usize == slot);
        entry.expect("every slot has its place").remove();
        if slot != last {
            let moved = self.id(last) as u64;
            let place = self.places.find_mut(moved, |other| *other as usize == last);
            // It was there before, so it fits.
            *place.expect("every slot has its place") = slot as u32;
        }
        let gone = self.ring.swap_remove(slot);
        if gone.reads.into_inner() & PINNED != 0 {
            self.pins.remove(&id);
        }
        self.arena.forget(gone.place);
        self.compact();
    }

    /// Whether one more record would be too much.
    pub(super) fn is_full(&self, record: usize, objects_max: usize, bytes_max: usize) -> bool {
        // An eighth of the arena may be dead.
        let bytes = (self.ring.len() + 1) * SLOT_BYTES + (self.arena.live() + record) / 8 * 9;
        self.ring.len() >= objects_max || bytes > bytes_max
    }

    /// Second chance: what was read since the last round stays for one more. `read` tells
    /// whether it was read elsewhere since. `None` when all is pinned.
    pub(super) fn victim(&mut self, mut read: impl FnMut(u128) -> Option<Usage>) -> Option<usize> {
        // Two rounds: after the first one nothing is touched, and nobody reads meanwhile.
        for _ in 0..=2 * self.ring.len() {
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            self.ring.get(self.hand)?;
            if let Some(usage) = read(self.id(self.hand)) {
                self.note(self.hand, usage);
            }
            let reads = &self.ring[self.hand].reads;
            let before = reads.fetch_and(!TOUCHED, Ordering::Relaxed);
            if before & (TOUCHED | PINNED) == 0 {
                return Some(self.hand);
            }
            self.hand += 1;
        }
        None
    }

    /// Adds reads to those of a slot.
    pub(super) fn note(&self, slot: usize, usage: Usage) {
        if usage.reads == 0 {
            return;
        }
        let slot = &self.ring[slot];
        let add = |old: u32| {
            let reads = (old & READS).saturating_add(usage.reads).min(READS);
            Some(old & PINNED | TOUCHED | reads)
        };
        // It never refuses.
        let _ = slot.reads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        slot.read_seconds.fetch_max(usage.read_seconds, Ordering::Relaxed);
    }

    pub(super) fn usage(&self, slot: usize) -> Usage {
        let slot = &self.ring[slot];
        Usage {
            reads: slot.reads.load(Ordering::Relaxed) & READS,
            read_seconds: slot.read_seconds.load(Ordering::Relaxed),
        }
    }

    pub(super) fn is_pinned(&self, slot: usize) -> bool {
        self.ring[slot].reads.load(Ordering::Relaxed) & PINNED != 0
    }

    /// Pins or unpins; false when that many are pinned already.
    pub(super) fn pin(&mut self, slot: usize, pin: Option<Pin>, pinned_max: usize) -> bool {
        let id = self.id(slot);
        let Some(pin) = pin else {
            self.ring[slot].reads.fetch_and(!PINNED, Ordering::Relaxed);
            self.pins.remove(&id);
            return true;
        };
        if !self.is_pinned(slot) && self.pins.len() >= pinned_max {
            return false;
        }
        self.ring[slot].reads.fetch_or(PINNED, Ordering::Relaxed);
        self.pins.insert(id, pin);
        true
    }

    pub(super) fn pin_of(&self, id: u128) -> Option<Pin> {
        self.pins.get(&id).copied()
    }

    pub(super) fn pinned(&self) -> usize {
        self.pins.len()
    }

    pub(super) fn pinned_ids(&self) -> impl Iterator<Item = u128> {
        self.pins.keys().copied()
    }

    /// RAM of all of it.
    pub(super) fn bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Slot>()
            + self.places.allocation_size()
            + self.arena.bytes()
            + self.gone.capacity() * 2 * size_of::<u128>()
            + self.pins.capacity() * size_of::<(u128, Pin)>()
    }

    /// Copies what lives where too much is dead; some tenths of a millisecond, once for many
    /// records.
    fn compact(&mut self) {
        if !self.arena.is_wasteful() {
            return;
        }
        let old = std::mem::take(&mut self.arena);
        for slot in &mut self.ring {
            let place = self.arena.push(old.get(slot.place));
            slot.place = place.expect("what lives takes fewer pages than before");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stay_small() {
        assert_eq!(size_of::<Slot>(), 28);
    }

    #[test]
    fn a_shard_that_churns_stays_as_big_as_what_lives() {
        let mut cold = Cold::default();
        let record = |n: u128| vec![n as u8; 50 + (n as usize * 7) % 100];
        for n in 0..100_000_u128 {
            assert!(cold.push(n << 64 | n, &record(n)));
            if cold.len() > 2000 {
                let victim = cold.victim(|_| None).unwrap();
                cold.remove(victim);
            }
            if n % 3 == 0 {
                let slot = (n as usize) % cold.len();
                let again = record(u128::from(cold.id(slot) as u64));
                assert!(cold.replace(slot, &again));
            }
        }
        for slot in 0..cold.len() {
            let id = cold.id(slot);
            assert_eq!(cold.find(id), Some(slot));
            assert_eq!(cold.record(slot), record(u128::from(id as u64)));
        }
        assert!(cold.bytes() < 2000 * 200, "{}", cold.bytes());
    }

    #[test]
    fn the_hand_passes_over_pins() {
        let mut cold = Cold::default();
        for n in 0..4 {
            assert!(cold.push(n, b"record"));
        }
        let pin = Some(Pin::FOR_GOOD);
        assert!(cold.pin(0, pin, 2) && cold.pin(2, pin, 2) && cold.pin(2, pin, 2));
        assert!(!cold.pin(1, pin, 2), "that many are pinned already");
        for _ in 0..2 {
            let victim = cold.victim(|_| None).unwrap();
            assert!(!cold.is_pinned(victim));
            cold.remove(victim);
        }
        assert_eq!(cold.victim(|_| None), None);
        assert!(cold.pin(0, None, 2));
        assert_eq!((cold.pinned(), cold.victim(|_| None)), (1, Some(0)));
    }
}
