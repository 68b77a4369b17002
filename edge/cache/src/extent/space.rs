//! Where chunks lie: which slots are free, taken and live, and what is found in them. No I/O.
//!
//! RAM a chunk: 8 bytes for its entry, 5 to 6.5 in the index, 2 for a ghost, and 4 for every
//! eighth in the queue of those on probation.

mod evict;
mod replay;

use std::collections::VecDeque;

use super::{
    entry::Entry,
    geometry::{CLASSES, Class, Geometry, Slot},
    index::Index,
    manifest::Change,
};

/// Slots of a region that is not for full chunks.
#[derive(Debug)]
struct Small {
    region: u32,
    class: Class,
    free: u32,
    /// Whether it stands in the list of regions with free slots.
    listed: bool,
    entries: Box<[Entry]>,
}

/// Counters of a space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Live chunks.
    pub(super) chunks: u64,
    /// Bytes of their slots.
    pub(super) used: u64,
    /// Bytes of slots that are pinned.
    pub(super) pinned: u64,
    /// Chunks pushed out by others.
    pub(super) evicted: u64,
}

#[derive(Debug)]
pub(super) struct Space {
    geometry: Geometry,
    /// A full chunk's entry, or where a region's small slots are.
    regions: Vec<Entry>,
    smalls: Vec<Option<Small>>,
    smalls_free: Vec<u32>,
    /// Slots of all of them.
    small_slots: usize,
    /// Regions nobody uses: those from here on, and those that were given back.
    fresh: u32,
    free: Vec<u32>,
    /// By class: small regions with free slots, and how many slots these are.
    open: [Vec<u32>; CLASSES],
    open_slots: [u32; CLASSES],
    /// Slots that are taken and not live.
    taken: u64,
    index: Index,
    counts: Counts,
    /// Slots whose state changed and is not in the manifest yet, in order.
    changed: Vec<Slot>,
    /// Eviction's own, see [`evict`].
    probation: VecDeque<Slot>,
    probation_used: u64,
    probation_chunks: u64,
    spilled: u64,
    spill_hand: (u32, u32),
    hand: (u32, u32),
    ghosts: Box<[u16]>,
}

impl Space {
    pub(super) fn new(geometry: Geometry) -> Self {
        let regions = geometry.regions as usize;
        Self {
            geometry,
            regions: vec![Entry::FREE; regions],
            smalls: Vec::new(),
            smalls_free: Vec::new(),
            small_slots: 0,
            fresh: 0,
            free: Vec::new(),
            open: Default::default(),
            open_slots: [0; CLASSES],
            taken: 0,
            index: Index::new(regions),
            counts: Counts::default(),
            changed: Vec::new(),
            probation: VecDeque::new(),
            probation_used: 0,
            probation_chunks: 0,
            spilled: 0,
            spill_hand: (0, 0),
            hand: (0, 0),
            ghosts: vec![0; regions].into(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes of RAM for finding chunks.
    pub(super) fn memory_bytes(&self) -> usize {
        self.regions.capacity() * 8
            + self.smalls.capacity() * size_of::<Option<Small>>()
            + self.small_slots * size_of::<Entry>()
            + self.index.memory_bytes()
            + self.ghosts.len() * 2
            + (self.probation.capacity() + self.free.capacity()) * 4
    }

    pub(super) fn class(&self, slot: Slot) -> Class {
        match self.small(slot) {
            Some(small) => small.class,
            None => Class::FULL,
        }
    }

    /// Where a slot's bytes start on disk.
    pub(super) fn offset(&self, slot: Slot) -> u64 {
        self.geometry.offset(slot, self.class(slot))
    }

    fn small(&self, slot: Slot) -> Option<&Small> {
        let place = self.regions.get(self.geometry.region(slot) as usize)?.as_small()?;
        self.smalls.get(place)?.as_ref()
    }

    /// Free for what is no slot of any region now.
    pub(super) fn entry(&self, slot: Slot) -> Entry {
        let place = self.geometry.place(slot) as usize;
        match self.regions.get(self.geometry.region(slot) as usize) {
            Some(region) if region.as_small().is_none() && place == 0 => *region,
            Some(_) => {
                let entries = self.small(slot).map(|small| &small.entries);
                entries.and_then(|entries| entries.get(place)).copied().unwrap_or_default()
            }
            None => Entry::FREE,
        }
    }

    fn set(&mut self, slot: Slot, entry: Entry) {
        let (region, place) = (self.geometry.region(slot), self.geometry.place(slot));
        let Some(word) = self.regions.get_mut(region as usize) else { return };
        match word.as_small() {
            Some(small) => {
                let small = self.smalls.get_mut(small).and_then(Option::as_mut);
                if let Some(at) = small.and_then(|small| small.entries.get_mut(place as usize)) {
                    *at = entry;
                }
            }
            None => *word = entry,
        }
    }

    pub(super) fn find(&self, fingerprint: u32) -> Option<(Slot, Entry)> {
        let slot = self.index.find(fingerprint, |slot| self.entry(slot).fingerprint())?;
        Some((slot, self.entry(slot)))
    }

    /// Notes a read, for eviction.
    pub(super) fn touch(&mut self, slot: Slot) {
        let entry = self.entry(slot);
        if entry.is_live() && entry.used() < 3 {
            self.set(slot, entry.with_used(entry.used() + 1));
        }
    }

    /// Gives out a slot for a chunk of `length` bytes, whatever it takes: `None` only when
    /// all else is pinned or taken.
    pub(super) fn take(&mut self, length: u32) -> Option<Slot> {
        let class = self.geometry.class_for(length);
        loop {
            let room = self.counts.chunks + self.taken < self.geometry.chunks_max;
            if room && let Some(slot) = self.take_free(class) {
                self.set(slot, Entry::TAKEN);
                self.taken += 1;
                return Some(slot);
            }
            if room && self.reclaim() {
                continue;
            }
            if !self.evict() {
                return None;
            }
        }
    }

    fn take_free(&mut self, class: Class) -> Option<Slot> {
        if class == Class::FULL {
            let region = self.take_region()?;
            return Some(self.geometry.slot(region, 0));
        }
        let number = usize::from(class.number());
        let place = match self.open[number].last() {
            Some(place) => *place,
            None => {
                let region = self.take_region()?;
                self.divide(region, class)
            }
        };
        let small = self.smalls.get_mut(place as usize)?.as_mut()?;
        let at = small.entries.iter().position(|entry| entry.is_free())?;
        small.free -= 1;
        self.open_slots[number] -= 1;
        if small.free == 0 {
            small.listed = false;
            self.open[number].pop();
        }
        Some(self.geometry.slot(small.region, at as u32))
    }

    fn take_region(&mut self) -> Option<u32> {
        if let Some(region) = self.free.pop() {
            return Some(region);
        }
        let region = self.fresh;
        (region < self.geometry.regions).then(|| {
            self.fresh += 1;
            region
        })
    }

    /// Makes a free region one of small slots.
    fn divide(&mut self, region: u32, class: Class) -> u32 {
        let slots = class.slots(&self.geometry);
        let entries = vec![Entry::FREE; slots as usize].into();
        self.small_slots += slots as usize;
        let small = Some(Small { region, class, free: slots, listed: true, entries });
        let place = match self.smalls_free.pop() {
            Some(place) => {
                self.smalls[place as usize] = small;
                place
            }
            None => {
                self.smalls.push(small);
                (self.smalls.len() - 1) as u32
            }
        };
        self.regions[region as usize] = Entry::small(place);
        self.open[usize::from(class.number())].push(place);
        self.open_slots[usize::from(class.number())] += slots;
        place
    }

    /// Puts a chunk into the slot that was taken for it. What had its fingerprint is freed.
    pub(super) fn publish(&mut self, slot: Slot, fingerprint: u32, length: u32, pinned: bool) {
        if let Some((before, _)) = self.find(fingerprint) {
            self.free(before);
        }
        let main = self.take_ghost(fingerprint);
        self.taken -= 1;
        self.enter(slot, Entry::live(fingerprint, length, main, pinned));
        self.changed.push(slot);
    }

    /// Makes a slot live that is given out already.
    fn enter(&mut self, slot: Slot, entry: Entry) {
        self.set(slot, entry);
        let Self { index, regions, smalls, geometry, .. } = self;
        index.insert(entry.fingerprint(), slot, |slot| {
            fingerprint_at(geometry, regions, smalls, slot)
        });
        let bytes = self.class(slot).slot_bytes();
        self.counts.chunks += 1;
        self.counts.used += bytes;
        if entry.is_pinned() {
            self.counts.pinned += bytes;
        }
        if !entry.is_main() {
            self.put_on_probation(slot, bytes);
        }
    }

    /// Takes a live chunk out of the index. Its slot stays taken.
    fn leave(&mut self, slot: Slot) {
        let entry = self.entry(slot);
        let Self { index, regions, smalls, geometry, .. } = self;
        index.remove(entry.fingerprint(), |slot| fingerprint_at(geometry, regions, smalls, slot));
        let bytes = self.class(slot).slot_bytes();
        self.counts.chunks -= 1;
        self.counts.used -= bytes;
        if entry.is_pinned() {
            self.counts.pinned -= bytes;
        }
        if !entry.is_main() {
            self.leave_probation(entry, bytes);
        }
        self.set(slot, Entry::TAKEN);
        self.taken += 1;
        self.changed.push(slot);
    }

    /// Takes a live chunk out of the index, if it is still this one. The slot stays taken
    /// until [`Space::release`], so that nobody writes there meanwhile.
    pub(super) fn condemn(&mut self, slot: Slot, entry: Entry) -> bool {
        let now = self.entry(slot);
        let same = now.is_live() && now.same_chunk(entry);
        if same {
            self.leave(slot);
        }
        same
    }

    /// Gives back a taken slot.
    pub(super) fn release(&mut self, slot: Slot) {
        self.taken -= 1;
        self.set(slot, Entry::FREE);
        let region = self.geometry.region(slot);
        let Some(place) = self.regions[region as usize].as_small() else {
            self.free.push(region);
            return;
        };
        let Some(small) = self.smalls[place].as_mut() else { return };
        let number = usize::from(small.class.number());
        small.free += 1;
        self.open_slots[number] += 1;
        if small.free as usize == small.entries.len() {
            self.open_slots[number] -= small.free;
            self.small_slots -= small.entries.len();
            if small.listed {
                self.open[number].retain(|other| *other as usize != place);
            }
            self.smalls[place] = None;
            self.smalls_free.push(place as u32);
            self.regions[region as usize] = Entry::FREE;
            self.free.push(region);
        } else if !small.listed {
            small.listed = true;
            self.open[number].push(place as u32);
        }
    }

    /// Frees the slot of a live chunk.
    fn free(&mut self, slot: Slot) {
        self.leave(slot);
        self.release(slot);
    }

    /// Marks a live chunk as pinned or not.
    pub(super) fn set_pinned(&mut self, slot: Slot, pinned: bool) {
        let entry = self.entry(slot);
        if !entry.is_live() || entry.is_pinned() == pinned {
            return;
        }
        let bytes = self.class(slot).slot_bytes();
        if pinned {
            self.counts.pinned += bytes;
        } else {
            self.counts.pinned -= bytes;
        }
        let entry = entry.with_pinned(pinned);
        if entry.is_main() && !pinned {
            // Its pin may be all that brought it there: it has to show that it is read.
            self.set(slot, entry.on_probation());
            self.put_on_probation(slot, bytes);
        } else {
            self.set(slot, entry);
        }
        self.changed.push(slot);
    }

    /// What became of the slots that changed since this was asked last, in order.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|slot| self.change(slot)).collect()
    }

    fn change(&self, slot: Slot) -> Change {
        Change { slot, class: self.class(slot), entry: self.entry(slot) }
    }

    /// Live chunks from a slot on, of some regions at most and not many more than `max`; and
    /// the slot to go on from, `None` at the end.
    pub(super) fn walk(&self, from: u32, max: usize) -> (Vec<Change>, Option<u32>) {
        const REGIONS: u32 = 4096;
        let mut found = Vec::new();
        let start = self.geometry.region(Slot(from));
        let end = self.fresh.min(start.saturating_add(REGIONS));
        for region in start..end {
            let first = self.geometry.slot(region, 0);
            let slots = self.small(first).map_or(1, |small| small.entries.len() as u32);
            for place in 0..slots {
                let slot = self.geometry.slot(region, place);
                if slot.0 < from || !self.entry(slot).is_live() {
                    continue;
                }
                if found.len() >= max {
                    return (found, Some(slot.0));
                }
                found.push(self.change(slot));
            }
        }
        (found, (end < self.fresh).then(|| self.geometry.slot(end, 0).0))
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut counts = Counts { evicted: self.counts.evicted, ..Counts::default() };
        let (mut taken, mut probation, mut spilled) = (0, 0, 0);
        let mut open = [0; CLASSES];
        for region in 0..self.geometry.regions {
            let first = self.geometry.slot(region, 0);
            let class = self.class(first);
            let slots = self.small(first).map_or(1, |small| small.entries.len() as u32);
            let mut free = 0;
            for place in 0..slots {
                let slot = self.geometry.slot(region, place);
                let entry = self.entry(slot);
                if entry.is_live() {
                    counts.chunks += 1;
                    counts.used += class.slot_bytes();
                    counts.pinned += if entry.is_pinned() { class.slot_bytes() } else { 0 };
                    probation += if entry.is_main() { 0 } else { class.slot_bytes() };
                    spilled += u64::from(entry.is_spilled());
                    assert_eq!(self.find(entry.fingerprint()), Some((slot, entry)));
                } else if entry.is_free() {
                    free += 1;
                } else {
                    taken += 1;
                }
            }
            if let Some(small) = self.small(first) {
                assert_eq!((small.region, small.free), (region, free));
                assert!(free < slots, "an empty region was not given back");
                open[usize::from(class.number())] += free;
            } else {
                let given = region < self.fresh && !self.free.contains(&region);
                assert_eq!(given, free == 0, "region {region}");
            }
        }
        assert_eq!((self.counts, self.taken), (counts, taken));
        assert_eq!((self.open_slots, self.probation_used), (open, probation));
        assert_eq!(self.spilled, spilled);
    }
}

fn fingerprint_at(
    geometry: &Geometry,
    regions: &[Entry],
    smalls: &[Option<Small>],
    slot: Slot,
) -> u32 {
    let word = regions[geometry.region(slot) as usize];
    let entry = match word.as_small() {
        Some(place) => {
            let small = smalls[place].as_ref();
            let place = geometry.place(slot) as usize;
            small.and_then(|small| small.entries.get(place)).copied().unwrap_or_default()
        }
        None => word,
    };
    entry.fingerprint()
}

#[cfg(test)]
mod tests;
