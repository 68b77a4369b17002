//! Pins: objects that eviction passes by, some of them until a time.

use std::sync::{Arc, atomic::Ordering};

use super::{Cold, Table};
use crate::{chunk::ObjectId, object::StoredObject};

/// No pin ends.
pub(super) const NEVER: u32 = u32::MAX;

/// How an object is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin {
    /// Unix seconds; 0 is for good.
    until: u32,
}

impl Pin {
    /// Until somebody unpins it.
    pub const FOR_GOOD: Self = Self { until: 0 };

    /// Until a time, Unix seconds; for good where that is later than the year 2106.
    pub fn until(unix_seconds: u64) -> Self {
        let until = u32::try_from(unix_seconds).ok().filter(|until| *until != NEVER);
        // A time that is long over ends the pin at the next look.
        Self { until: until.map_or(0, |until| until.max(1)) }
    }

    /// When it ends, Unix seconds; `None` is for good.
    pub fn until_seconds(self) -> Option<u64> {
        (self.until != 0).then_some(self.until.into())
    }

    pub(crate) fn to_bits(self) -> u32 {
        self.until
    }

    pub(crate) fn from_bits(until: u32) -> Self {
        Self { until }
    }

    fn is_over(self, now_seconds: u32) -> bool {
        self.until != 0 && self.until <= now_seconds
    }

    fn end(self) -> u32 {
        if self.until == 0 { NEVER } else { self.until }
    }
}

/// A pinned object, as far as its chunks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PinnedObject {
    pub(crate) id: ObjectId,
    pub(crate) generation: u64,
    pub(crate) size: u64,
}

impl Table {
    /// Pins an object, pins it otherwise, or unpins it: a pinned one is not evicted. False when
    /// it is not there, or half of its shard is pinned.
    pub(crate) fn pin(&self, id: ObjectId, pin: Option<Pin>) -> bool {
        let mut cold = self.shard(id).cold.write();
        let Some(slot) = cold.find(id.0) else { return false };
        self.pin_slot(&mut cold, slot, pin, self.shard_objects_max / 2)
    }

    pub(super) fn pin_slot(
        &self,
        cold: &mut Cold,
        slot: usize,
        pin: Option<Pin>,
        pinned_max: usize,
    ) -> bool {
        let before = cold.is_pinned(slot);
        if !cold.pin(slot, pin, pinned_max) {
            return false;
        }
        let size = super::gone(cold, slot).size;
        match (before, pin.is_some()) {
            (false, true) => self.pinned_bytes.fetch_add(size, Ordering::Relaxed),
            (true, false) => self.pinned_bytes.fetch_sub(size, Ordering::Relaxed),
            _ => 0,
        };
        if let Some(pin) = pin {
            self.next_end.fetch_min(pin.end(), Ordering::Relaxed);
        }
        true
    }

    pub(crate) fn is_pinned(&self, id: ObjectId) -> bool {
        self.pin_of(id).is_some()
    }

    pub(crate) fn pin_of(&self, id: ObjectId) -> Option<Pin> {
        let cold = self.shard(id).cold.read();
        if cold.pinned() == 0 {
            return None;
        }
        cold.pin_of(id.0)
    }

    /// An object as the state file keeps it.
    pub(crate) fn peek_with_pin(&self, id: ObjectId) -> Option<(Arc<StoredObject>, Option<Pin>)> {
        let shard = self.shard(id);
        let cold = shard.cold.read();
        let slot = cold.find(id.0)?;
        let hot = shard.hot.read().peek(id.0).cloned();
        let object = hot.unwrap_or_else(|| Arc::new(self.packer.unpack(id, cold.record(slot))));
        Some((object, cold.pin_of(id.0)))
    }

    /// Objects that are pinned.
    pub(crate) fn pinned(&self) -> u64 {
        self.shards.iter().map(|shard| shard.cold.read().pinned() as u64).sum()
    }

    /// Body bytes of these.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes.load(Ordering::Relaxed)
    }

    /// All of them; one shard locked at a time.
    pub(crate) fn pins(&self) -> Vec<PinnedObject> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let cold = shard.cold.read();
            let slots = cold.pinned_ids().filter_map(|id| cold.find(id));
            found.extend(slots.map(|slot| {
                let gone = super::gone(&cold, slot);
                PinnedObject { id: gone.id, generation: gone.generation, size: gone.size }
            }));
        }
        found
    }

    /// The objects whose pins are over by now. Costs nothing before the next one is.
    pub(crate) fn pins_over(&self) -> Vec<ObjectId> {
        let now = self.now_seconds.load(Ordering::Relaxed);
        if now < self.next_end.load(Ordering::Relaxed) {
            return Vec::new();
        }
        // A pin that comes meanwhile lowers it again.
        self.next_end.store(NEVER, Ordering::Relaxed);
        let (mut over, mut next) = (Vec::new(), NEVER);
        for shard in &self.shards {
            let cold = shard.cold.read();
            for id in cold.pinned_ids() {
                let pin = cold.pin_of(id).unwrap_or(Pin::FOR_GOOD);
                match pin.is_over(now) {
                    true => over.push(ObjectId(id)),
                    false => next = next.min(pin.end()),
                }
            }
        }
        self.next_end.fetch_min(next, Ordering::Relaxed);
        over
    }

    /// Unpins an object whose pin is over by now, and not one that was pinned again meanwhile.
    pub(crate) fn unpin_over(&self, id: ObjectId) -> bool {
        let now = self.now_seconds.load(Ordering::Relaxed);
        let mut cold = self.shard(id).cold.write();
        let over = cold.pin_of(id.0).is_some_and(|pin| pin.is_over(now));
        let slot = cold.find(id.0).filter(|_| over);
        slot.is_some_and(|slot| self.pin_slot(&mut cold, slot, None, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::tests::object;

    #[test]
    fn times() {
        let check = |unix, until| assert_eq!(Pin::until(unix).until_seconds(), until, "{unix}");
        check(0, Some(1));
        check(1_800_000_000, Some(1_800_000_000));
        check(u64::from(u32::MAX), None);
        check(1 << 40, None);
        assert_eq!(Pin::FOR_GOOD.until_seconds(), None);
    }

    #[test]
    fn pins_end_when_their_time_has_come() {
        let table = Table::new(1000);
        let ids: Vec<_> = ["a", "b", "c"]
            .map(|key| {
                let object = object(key, 1, 100);
                let id = object.id;
                table.insert(Arc::new(object));
                id
            })
            .into();
        table.tick(1000);
        assert!(table.pin(ids[0], Some(Pin::until(1010))));
        assert!(table.pin(ids[1], Some(Pin::until(1005))));
        assert!(table.pin(ids[2], Some(Pin::FOR_GOOD)));
        assert_eq!((table.pinned(), table.pinned_bytes(), table.pins().len()), (3, 300, 3));
        assert_eq!(table.pins_over(), []);
        table.tick(1005);
        assert_eq!(table.pins_over(), [ids[1]]);
        // Pinned again in between.
        assert!(table.pin(ids[1], Some(Pin::until(1020))));
        assert!(!table.unpin_over(ids[1]));
        table.tick(1010);
        assert_eq!(table.pins_over(), [ids[0]]);
        assert!(table.unpin_over(ids[0]));
        assert_eq!((table.pinned(), table.pinned_bytes()), (2, 200));
        table.tick(2000);
        assert_eq!(table.pins_over(), [ids[1]]);
        // One that left took its pin along.
        table.remove_if(ids[2], |_| true);
        assert_eq!((table.pinned(), table.pinned_bytes()), (1, 100));
    }
}
