//! From fingerprint to slot: a table of slot numbers with open addressing, 4 bytes each, at
//! most 4 of 5 places taken. The fingerprints stand with the slots and are asked for.

use super::geometry::Slot;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Index {
    places: Vec<u32>,
    taken: usize,
}

impl Index {
    /// For `chunks` without growing.
    pub(super) fn new(chunks: usize) -> Self {
        Self { places: vec![NONE; (chunks / 4 * 5).max(64)], taken: 0 }
    }

    fn home(&self, fingerprint: u32) -> usize {
        // Multiplying spreads as well as dividing, and any table size will do.
        ((u64::from(fingerprint) * self.places.len() as u64) >> 32) as usize
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }

    fn locate(&self, fingerprint: u32, of: impl Fn(Slot) -> u32) -> Option<usize> {
        let mut place = self.home(fingerprint);
        loop {
            match self.places[place] {
                NONE => return None,
                slot if of(Slot(slot)) == fingerprint => return Some(place),
                _ => place = self.after(place),
            }
        }
    }

    pub(super) fn find(&self, fingerprint: u32, of: impl Fn(Slot) -> u32) -> Option<Slot> {
        self.locate(fingerprint, of).map(|place| Slot(self.places[place]))
    }

    /// Puts in a fingerprint that is not there yet.
    pub(super) fn insert(&mut self, fingerprint: u32, slot: Slot, of: impl Fn(Slot) -> u32) {
        if (self.taken + 1) * 5 > self.places.len() * 4 {
            // A quarter more: what is empty is a little more than half of what is taken at most.
            let larger = vec![NONE; self.places.len() / 4 * 5 + 64];
            let before = std::mem::replace(&mut self.places, larger);
            for slot in before.into_iter().filter(|slot| *slot != NONE) {
                self.put(of(Slot(slot)), Slot(slot));
            }
        }
        self.put(fingerprint, slot);
        self.taken += 1;
    }

    fn put(&mut self, fingerprint: u32, slot: Slot) {
        let mut place = self.home(fingerprint);
        while self.places[place] != NONE {
            place = self.after(place);
        }
        self.places[place] = slot.0;
    }

    pub(super) fn remove(&mut self, fingerprint: u32, of: impl Fn(Slot) -> u32) {
        let Some(mut hole) = self.locate(fingerprint, &of) else { return };
        self.taken -= 1;
        // Whoever probed past the hole moves into it, so that no search ends there too early.
        let mut place = hole;
        loop {
            place = self.after(place);
            let slot = self.places[place];
            if slot == NONE {
                break;
            }
            let home = self.home(of(Slot(slot)));
            let length = self.places.len();
            let from_home = (place + length - home) % length;
            if from_home >= (place + length - hole) % length {
                self.places[hole] = slot;
                hole = place;
            }
        }
        self.places[hole] = NONE;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.places.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(
            steps in prop::collection::vec((any::<bool>(), 0_u32..400), 1..2000),
            spread in prop_oneof![Just(1_u32), Just(10_000_000)],
        ) {
            // Neighbouring fingerprints collide in every run of places, the last one included.
            let fingerprint = |n: u32| u32::MAX - n * spread;
            let (mut index, mut model) = (Index::new(0), HashMap::new());
            for (insert, n) in steps {
                let of = |slot: Slot| fingerprint(slot.0);
                if insert && !model.contains_key(&n) {
                    index.insert(fingerprint(n), Slot(n), of);
                    model.insert(n, ());
                } else if !insert {
                    index.remove(fingerprint(n), of);
                    model.remove(&n);
                }
            }
            for n in 0..400 {
                let found = index.find(fingerprint(n), |slot| fingerprint(slot.0));
                prop_assert_eq!(found.is_some(), model.contains_key(&n));
                prop_assert!(found.is_none_or(|slot| slot == Slot(n)));
            }
        }
    }
}
