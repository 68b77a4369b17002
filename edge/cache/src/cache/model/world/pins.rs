//! Pins: what is pinned is never pushed out, and what the store pins is what the table pins.

use super::{Outcome, World, block_on, key, known::Version};
use crate::{cache::keep::PinError, chunk::ObjectId, store::ChunkStore, table::Pin};

impl World {
    pub(super) fn is_pinned(&self, number: u8) -> bool {
        self.cache().pin_of(&ObjectId::of(&key(number))).is_some()
    }

    pub(super) fn pin(&mut self, number: u8, all: bool) -> Outcome {
        let id = ObjectId::of(&key(number));
        let pinned = self.cache().pin(&id, Pin::FOR_GOOD);
        let (evicts, unreadable) = (self.evicts, self.is_unreadable());
        let now = self.known(&key(number)).now;
        match (&pinned, now) {
            (Ok(_), None) => return Err("something is pinned that is not there".into()),
            (Err(PinError::Absent), Some(now)) if (!evicts || now.pinned) && !unreadable => {
                return Err(format!("{now:?} is not there to be pinned"));
            }
            (Err(PinError::Absent | PinError::TooMany | PinError::NoRoom { .. }), _) => {
                return Ok(());
            }
            (Err(error), _) => return Err(error.to_string()),
            (Ok(object), Some(now)) => {
                let brought = all.then(|| block_on(self.cache().bring_together(object)));
                let whole = now.whole || brought.is_some_and(|brought| brought.missing == 0);
                let version = Version { pinned: true, whole, ..now };
                self.known(&key(number)).becomes(Some(version));
            }
        }
        Ok(())
    }

    /// What the store has pinned is what the table has pinned.
    pub(super) fn align(&self) -> Outcome {
        if self.cache().stats().state.is_some_and(|state| state.loading) {
            return Ok(());
        }
        self.cache().align_pins();
        for (id, generation) in self.store.pins() {
            let pinned = self.keys.iter().find(|(key, _)| ObjectId::of(key) == id);
            let now = pinned.and_then(|(_, known)| known.now);
            if !now.is_some_and(|now| now.pinned && now.generation == generation) {
                return Err(format!("a pin of the store is left over: {generation} of {pinned:?}"));
            }
        }
        Ok(())
    }
}
