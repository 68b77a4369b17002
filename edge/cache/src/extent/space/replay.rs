//! A space made again from what its manifest says.

use super::{Change, Class, Space};

impl Space {
    /// Does again what the manifest says was done. What cannot be is left out.
    pub(in crate::extent) fn replay(&mut self, change: Change) {
        let Change { slot, class, entry } = change;
        let entry = entry.afresh();
        let region = self.geometry.region(slot);
        if region >= self.geometry.regions {
            return;
        }
        if self.entry(slot).is_live() {
            self.free(slot);
        }
        if !entry.is_live() {
            return;
        }
        let head = class.head_bytes(entry.length());
        let fits = head + u64::from(entry.length()) <= class.slot_bytes();
        if !fits || self.geometry.place(slot) >= class.slots(&self.geometry) {
            return;
        }
        if let Some((before, _)) = self.find(entry.fingerprint()) {
            self.free(before);
        }
        self.occupy(region, class);
        // A list of free regions with this one in it would be searched for each chunk;
        // `settle` makes it at the end.
        let Some(word) = self.regions.get(region as usize) else { return };
        if let Some(place) = word.as_small()
            && let Some(small) = self.smalls.get_mut(place).and_then(Option::as_mut)
        {
            small.free -= 1;
            self.open_slots[usize::from(class.number())] -= 1;
        }
        self.enter(slot, entry);
    }

    /// Makes a region one of this class.
    fn occupy(&mut self, region: u32, class: Class) {
        let first = self.geometry.slot(region, 0);
        let word = self.regions[region as usize];
        let now = match word.as_small() {
            Some(_) => Some(self.class(first)),
            None => word.is_live().then_some(Class::FULL),
        };
        if now == Some(class) {
            return;
        }
        // Every chunk of the former class left before this one came; make sure of it.
        let slots = self.small(first).map_or(1, |small| small.entries.len() as u32);
        for place in 0..slots {
            let slot = self.geometry.slot(region, place);
            if self.entry(slot).is_live() {
                self.free(slot);
            }
        }
        if class != Class::FULL {
            self.divide(region, class);
        }
    }

    /// Ends a replay: finds out which regions and slots are free.
    pub(in crate::extent) fn settle(&mut self) {
        self.changed = Vec::new();
        self.open = Default::default();
        for (place, small) in self.smalls.iter_mut().enumerate() {
            let Some(small) = small else { continue };
            small.listed = small.free > 0;
            if small.listed {
                self.open[usize::from(small.class.number())].push(place as u32);
            }
        }
        let used = self.regions.iter().rposition(|word| !word.is_free());
        self.fresh = used.map_or(0, |last| last as u32 + 1);
        let unused = |region: &u32| self.regions[*region as usize].is_free();
        // Lowest last, so that they are given out from the front of the disk.
        self.free = (0..self.fresh).rev().filter(unused).collect();
    }
}
