//! The time while the state file is still being read, from the lowest id to the highest.
//!
//! An id above what was read is *awaited*: when it is not in the table, the file may have it,
//! and says so to whoever asks. What leaves the table meanwhile is remembered, so that it is
//! not read from the file again: a purged object never comes back.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::{Cold, Displaced, ObjectId, Pin, StoredObject, Table};

/// Removals that are remembered, some 12 MB. Beyond, what was not read yet is given up.
const GONE_MAX: usize = 1 << 18;

const ENDED: u8 = 0;
/// Everything awaited counts as gone; the file has yet to be told.
const GIVEN_UP: u8 = 1;
const UNDER_WAY: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Loading {
    stage: AtomicU8,
    /// Upper halves of ids below this were read.
    read_below: AtomicU64,
    gone: AtomicUsize,
}

/// What became of an object of the state file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// It is in the table now; what it displaced.
    Taken(Displaced),
    /// The table knows better, and so does the file by and by.
    Known,
    /// The table has no room for it.
    Full,
}

impl Loading {
    fn awaits(&self, id: ObjectId) -> bool {
        self.stage.load(Ordering::Acquire) != ENDED
            && upper(id) >= self.read_below.load(Ordering::Acquire)
    }

    /// An object left the table, under its shard's lock.
    pub(super) fn removed(&self, cold: &mut Cold, id: ObjectId) {
        if !self.awaits(id) || self.stage.load(Ordering::Acquire) == GIVEN_UP {
            return;
        }
        if cold.gone.insert(id.0) && self.gone.fetch_add(1, Ordering::Relaxed) >= GONE_MAX {
            self.give_up();
        }
    }

    fn give_up(&self) {
        // Only if it is under way: one that ended stays so.
        let _ =
            self.stage.compare_exchange(UNDER_WAY, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl Table {
    /// The state file is read from now on; to be called before anybody uses the table.
    pub(crate) fn begin_loading(&self) {
        self.loading.read_below.store(0, Ordering::Release);
        self.loading.stage.store(UNDER_WAY, Ordering::Release);
    }

    /// Everything below this id was offered to [`Table::load`].
    pub(crate) fn loaded_below(&self, id: ObjectId) {
        self.loading.read_below.store(upper(id), Ordering::Release);
    }

    /// What was not read yet is not wanted any more.
    pub(crate) fn give_up_loading(&self) {
        self.loading.give_up();
    }

    pub(crate) fn gave_up_loading(&self) -> bool {
        self.loading.stage.load(Ordering::Acquire) == GIVEN_UP
    }

    /// Nothing is awaited any more.
    pub(crate) fn end_loading(&self) {
        self.loading.stage.store(ENDED, Ordering::Release);
        for shard in &self.shards {
            shard.cold.write().gone = Default::default();
        }
    }

    /// Whether the state file has yet to say its word on some ids.
    pub(crate) fn is_loading(&self) -> bool {
        self.loading.stage.load(Ordering::Acquire) != ENDED
    }

    /// Whether an id that is not in the table may be in the state file.
    pub(crate) fn awaits(&self, id: ObjectId) -> bool {
        self.loading.awaits(id)
    }

    /// Whether an id is not here and not awaited: the state file is to forget it.
    pub(crate) fn has_left(&self, id: ObjectId) -> bool {
        let cold = self.shard(id).cold.read();
        cold.find(id.0).is_none()
            && (!self.awaits(id) || self.gave_up_loading() || cold.gone.contains(&id.0))
    }

    /// Takes in what the state file says of an awaited id. `displace`: whether others make
    /// room for it; for what is pinned they do.
    pub(crate) fn load(&self, object: &StoredObject, pin: Option<Pin>, displace: bool) -> Load {
        let displace = displace || pin.is_some();
        let id = object.id;
        let shard = self.shard(id);
        let record = self.packer.pack(object);
        let mut cold = shard.cold.write();
        let known = cold.find(id.0).is_some()
            || cold.gone.contains(&id.0)
            || !self.awaits(id)
            || self.gave_up_loading();
        let full = || cold.is_full(record.len(), self.shard_objects_max, self.shard_bytes_max);
        let refused = match (known, displace) {
            (true, _) => Some(Load::Known),
            (false, false) if full() => Some(Load::Full),
            _ => None,
        };
        if let Some(refused) = refused {
            self.packer.release(&record);
            return refused;
        }
        let mut evicted = Vec::new();
        self.make_room(shard, &mut cold, record.len(), &mut evicted);
        if !cold.push(id.0, &record) {
            self.packer.release(&record);
            return Load::Full;
        }
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(object.size, Ordering::Relaxed);
        if let (Some(slot), Some(_)) = (cold.find(id.0), pin) {
            // It was pinned before those that came since: these do not take its place. What is
            // more than a smaller table than last time holds is not.
            self.pin_slot(&mut cold, slot, pin, self.shard_objects_max);
        }
        Load::Taken(Displaced { replaced: None, evicted })
    }
}

fn upper(id: ObjectId) -> u64 {
    (id.0 >> 64) as u64
}
