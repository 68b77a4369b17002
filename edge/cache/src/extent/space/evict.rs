//! Who goes when room is needed: S3-FIFO over slots (Yang et al., SOSP 2023).
//!
//! A chunk comes on probation, a queue of a tenth of the space, first in, first out. Who was
//! read there moves to the main part without being written again; who was not leaves, and its
//! ghost stays for as long as the space has regions: a chunk that comes back while its ghost
//! is there goes to the main part at once. The main part is a clock over the slots with a
//! count of up to 3 reads each. What is read once, a film scanned or a crawler, passes through
//! the tenth and leaves the rest alone.

use super::{Entry, Slot, Space};

/// A tenth of the space is on probation, as in the paper.
const PROBATION_PART: u64 = 10;
/// Of all chunks, how many stand in the queue of those on probation at most.
const QUEUE_PART: usize = 8;
/// Small regions looked at for one to give back.
const RECLAIM_LOOKS: usize = 64;

impl Space {
    pub(super) fn put_on_probation(&mut self, slot: Slot, bytes: u64) {
        self.probation_used += bytes;
        self.probation_chunks += 1;
        if self.probation.len() == self.probation.capacity() {
            // Doubling would leave half of it empty.
            self.probation.reserve_exact(self.probation.len() / 8 + 64);
        }
        self.probation.push_back(slot);
        // Slots that were freed and used again stand there more than once.
        if self.probation.len() as u64 > 2 * self.probation_chunks + 1024 {
            let mut all = std::mem::take(&mut self.probation);
            let mut seen = std::collections::HashSet::with_capacity(all.len());
            all.retain(|slot| self.is_on_probation(*slot) && seen.insert(*slot));
            self.probation = all;
        }
        // While the space fills up, all that comes is on probation: the oldest leave the queue
        // and are found by their order on disk, which is that of their coming.
        let most = self.regions.len().max(self.counts.chunks as usize) / QUEUE_PART;
        while self.probation.len() > most.max(64) {
            let Some(slot) = self.probation.pop_front() else { break };
            let entry = self.entry(slot);
            if entry.is_live() && !entry.is_main() && !entry.is_spilled() {
                self.spilled += 1;
                self.set(slot, entry.with_spilled());
            }
        }
    }

    /// Counts a chunk out that is on probation.
    pub(super) fn leave_probation(&mut self, entry: Entry, bytes: u64) {
        self.probation_used -= bytes;
        self.probation_chunks -= 1;
        self.spilled -= u64::from(entry.is_spilled());
    }

    fn is_on_probation(&self, slot: Slot) -> bool {
        let entry = self.entry(slot);
        entry.is_live() && !entry.is_main()
    }

    /// Whether a chunk with this fingerprint was here not long ago.
    pub(super) fn take_ghost(&mut self, fingerprint: u32) -> bool {
        let (place, tag) = self.ghost(fingerprint);
        let there = self.ghosts[place] == tag;
        if there {
            self.ghosts[place] = 0;
        }
        there
    }

    fn ghost(&self, fingerprint: u32) -> (usize, u16) {
        let place = (u64::from(fingerprint) * self.ghosts.len() as u64) >> 32;
        // The low bits: the high ones chose the place. 0 is no ghost.
        (place as usize, (fingerprint as u16).max(1))
    }

    /// Pushes out one chunk. False when there is none that may go.
    pub(super) fn evict(&mut self) -> bool {
        let part = self.geometry.data_bytes() / PROBATION_PART;
        let slot = if self.probation_used > part {
            self.pass_probation().or_else(|| self.turn())
        } else {
            self.turn().or_else(|| self.pass_probation())
        };
        let Some(slot) = slot else { return false };
        self.free(slot);
        self.counts.evicted += 1;
        true
    }

    /// The first on probation that nobody read.
    fn pass_probation(&mut self) -> Option<Slot> {
        self.pass_spilled().or_else(|| {
            for _ in 0..self.probation.len() {
                let slot = self.probation.pop_front()?;
                let entry = self.entry(slot);
                if entry.is_live() && !entry.is_main() && self.judge(slot, entry) {
                    return Some(slot);
                }
            }
            None
        })
    }

    /// The same among those that left the queue, who are the oldest.
    fn pass_spilled(&mut self) -> Option<Slot> {
        let mut regions = 2 * u64::from(self.fresh);
        while self.spilled > 0 && regions > 0 {
            let (region, from) = self.spill_hand;
            let first = self.geometry.slot(region, 0);
            let slots = self.small(first).map_or(1, |small| small.entries.len() as u32);
            for place in from..slots {
                let slot = self.geometry.slot(region, place);
                let entry = self.entry(slot);
                if entry.is_spilled() && self.judge(slot, entry) {
                    self.spill_hand.1 = place + 1;
                    return Some(slot);
                }
            }
            regions -= 1;
            self.spill_hand = (if region + 1 < self.fresh { region + 1 } else { 0 }, 0);
        }
        None
    }

    /// Whether a chunk on probation has to go; else it is one of the main part now.
    fn judge(&mut self, slot: Slot, entry: Entry) -> bool {
        if entry.is_pinned() || entry.used() > 0 {
            // The manifest hears of it with its next snapshot: losing it in a crash costs an
            // estimate, not a chunk.
            self.leave_probation(entry, self.class(slot).slot_bytes());
            // One round for free: the clock may be just about to come by.
            self.set(slot, entry.with_main().with_used(1));
            return false;
        }
        let (place, tag) = self.ghost(entry.fingerprint());
        self.ghosts[place] = tag;
        true
    }

    /// The next of the main part that was not read since the clock came by last.
    fn turn(&mut self) -> Option<Slot> {
        if self.counts.chunks == self.probation_chunks {
            return None;
        }
        // Four times around, every count is down; once more finds whatever may go.
        let regions = u64::from(self.fresh) * 5;
        for _ in 0..=regions {
            let (region, from) = self.hand;
            let first = self.geometry.slot(region, 0);
            let slots = self.small(first).map_or(1, |small| small.entries.len() as u32);
            for place in from..slots {
                let slot = self.geometry.slot(region, place);
                let entry = self.entry(slot);
                if !entry.is_live() || !entry.is_main() || entry.is_pinned() {
                    continue;
                }
                if entry.used() == 0 {
                    self.hand.1 = place + 1;
                    return Some(slot);
                }
                self.set(slot, entry.with_used(entry.used() - 1));
            }
            self.hand = (if region + 1 < self.fresh { region + 1 } else { 0 }, 0);
        }
        None
    }

    /// Gives a region back whose small slots are mostly empty, where its class has a whole
    /// region's worth of empty slots. Otherwise chunks of another size would never get the
    /// room that small ones left.
    pub(super) fn reclaim(&mut self) -> bool {
        let mut best: Option<(u32, u32)> = None;
        for (number, open) in self.open.iter().enumerate() {
            let Some(slots) = open
                .first()
                .and_then(|place| self.smalls[*place as usize].as_ref())
                .map(|small| small.entries.len() as u32)
            else {
                continue;
            };
            if self.open_slots[number] < slots {
                continue;
            }
            for place in open.iter().take(RECLAIM_LOOKS) {
                let Some(small) = &self.smalls[*place as usize] else { continue };
                let live = slots - small.free;
                let movable = small
                    .entries
                    .iter()
                    .all(|entry| entry.is_free() || entry.is_live() && !entry.is_pinned());
                let percent = live * 100 / slots;
                if movable && percent <= 50 && best.is_none_or(|(_, least)| percent < least) {
                    best = Some((small.region, percent));
                }
            }
        }
        let Some((region, _)) = best else { return false };
        let first = self.geometry.slot(region, 0);
        let slots = self.small(first).map_or(0, |small| small.entries.len() as u32);
        for place in 0..slots {
            let slot = self.geometry.slot(region, place);
            if self.entry(slot).is_live() {
                self.free(slot);
                self.counts.evicted += 1;
            }
        }
        true
    }
}
