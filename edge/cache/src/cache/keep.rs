//! What is kept whatever is read: pins, and wishes of those who bring objects ahead of demand.
//!
//! A pin is a promise: eviction passes the object by, in the table and on the disks, through
//! restarts and new versions, until somebody unpins or purges it or its time is over. So that
//! it can be kept, pinned objects have at most half of the disks.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::Cache;
use crate::{
    chunk::{ChunkKey, ObjectId},
    object::{StoredObject, primary_key},
    purge::{Selector, Standing},
    store::{Admission, OFFERS_MAX, PinnedChunks, Pinning},
    table::Pin,
};

/// Part of the disks that pinned objects may have.
const SHARE: u64 = 2;
/// Wishes at once.
const WISHES_MAX: usize = 4096;
/// Pins that wait for their object to come again.
const AWAITED_MAX: usize = 4096;

/// Why an object is not pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is not there, or purged.
    #[error("it is not in the cache")]
    Absent,
    /// Nothing could keep its chunks.
    #[error("no disk is in use: a pin keeps an object on the disks")]
    NoDisk,
    /// It would be more than pinned objects may have.
    #[error("pinned objects may have {room} bytes, half of the disks, and have {pinned} already")]
    NoRoom {
        /// Bytes of what is pinned.
        pinned: u64,
        /// Bytes there may be.
        room: u64,
    },
    /// More objects than can be pinned at once.
    #[error("as many objects are pinned as can be, 65 536 for each disk and half of the table")]
    TooMany,
}

/// Where the chunks of an object are after it was brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Brought {
    /// Bytes that were in RAM only, and were given to the disks now.
    pub bytes: u64,
    /// Chunks that are on no disk: they are kept when a request brings them.
    pub missing: u32,
    /// Their bytes.
    pub missing_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Nobody looks while there are none.
    count: AtomicUsize,
    wishes: Mutex<HashMap<ObjectId, Wish>>,
    awaited: Mutex<HashMap<ObjectId, (Arc<StoredObject>, Pin)>>,
}

#[derive(Debug)]
struct Wish {
    users: u32,
    pin: Option<Pin>,
    /// Whose variant it is: it goes with that wish.
    of: Option<ObjectId>,
}

/// A wish: while it lives, what is filled for its object goes onto the disks without having
/// been asked for twice.
#[derive(Debug)]
pub struct Wanted {
    wishes: Arc<Wishes>,
    id: ObjectId,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut wishes = self.wishes.wishes.lock();
        let last = wishes.get_mut(&self.id).is_some_and(|wish| {
            wish.users -= 1;
            wish.users == 0
        });
        if last {
            wishes.remove(&self.id);
            wishes.retain(|_, wish| wish.of != Some(self.id));
        }
        self.wishes.count.store(wishes.len(), Ordering::Release);
    }
}

impl Wishes {
    fn has(&self, id: ObjectId) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.wishes.lock().contains_key(&id)
    }

    /// What is wished for an object that comes; a variant is meant with its URL.
    fn came(&self, object: &StoredObject) -> Option<Pin> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut wishes = self.wishes.lock();
        if let Some(wish) = wishes.get(&object.id) {
            return wish.pin;
        }
        let primary = ObjectId::of(primary_key(&object.key));
        let pin = wishes.get(&primary)?.pin;
        if wishes.len() < WISHES_MAX {
            wishes.insert(object.id, Wish { users: 0, pin, of: Some(primary) });
            self.count.store(wishes.len(), Ordering::Release);
        }
        pin
    }
}

impl Cache {
    /// Says that an object is wanted for good: as long as the answer lives, its chunks go onto
    /// the disks when they are filled, and so do those of its variants. With `pin` it is pinned
    /// when it comes, where there is room (whether it was, says [`Cache::pin_of`]). `None` when
    /// as many are wanted already.
    pub fn want(&self, id: &ObjectId, pin: Option<Pin>) -> Option<Wanted> {
        let mut wishes = self.wishes.wishes.lock();
        if wishes.len() >= WISHES_MAX && !wishes.contains_key(id) {
            return None;
        }
        let wish = wishes.entry(*id).or_insert(Wish { users: 0, pin, of: None });
        wish.users += 1;
        (wish.pin, wish.of) = (pin.or(wish.pin), None);
        self.wishes.count.store(wishes.len(), Ordering::Release);
        Some(Wanted { wishes: Arc::clone(&self.wishes), id: *id })
    }

    /// Pins the object of this id, or pins it otherwise: eviction passes it by, and its chunks
    /// on the disks, now and after a restart. A new version is pinned in its place; a purge
    /// takes it. What of it is on no disk yet is kept from when it comes; see
    /// [`Cache::bring_together`].
    pub fn pin(&self, id: &ObjectId, pin: Pin) -> Result<Arc<StoredObject>, PinError> {
        let object = self.known(id, |table| table.peek(*id)).ok_or(PinError::Absent)?;
        if self.ledger.judge(&(&*object).into()) == Standing::Gone {
            return Err(PinError::Absent);
        }
        let store = self.store.as_ref().ok_or(PinError::NoDisk)?;
        let known = self.table.is_pinned(*id);
        let (pinned, room) = (self.table.pinned_bytes(), self.pin_room());
        if !known && pinned.saturating_add(object.size) > room {
            return Err(PinError::NoRoom { pinned, room });
        }
        if !self.table.pin(*id, Some(pin)) {
            return Err(PinError::TooMany);
        }
        self.mark(id);
        // What has no body has nothing on disk: the record of a URL's variants.
        if object.chunks() == 0 {
            return Ok(object);
        }
        match store.pin(id, object.generation, 0..object.chunks()) {
            Pinning::Pinned { .. } => Ok(object),
            refused => {
                if !known {
                    self.table.pin(*id, None);
                }
                Err(match refused {
                    Pinning::NoRoom => PinError::TooMany,
                    _ => PinError::NoDisk,
                })
            }
        }
    }

    /// Lets an object be evicted again. False when it was not pinned.
    pub fn unpin(&self, id: &ObjectId) -> bool {
        self.wishes.awaited.lock().remove(id);
        let Some(object) = self.known(id, |table| table.peek(*id)) else { return false };
        let was = self.table.is_pinned(*id);
        if was {
            self.table.pin(*id, None);
            self.unpinned(id, object.generation);
        }
        was
    }

    /// How an object is pinned.
    pub fn pin_of(&self, id: &ObjectId) -> Option<Pin> {
        self.known(id, |table| table.peek(*id))?;
        self.table.pin_of(*id)
    }

    /// Bytes that pinned objects may have.
    pub fn pin_room(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.stats().capacity_bytes / SHARE)
    }

    /// Gives the disks what they lack of an object and RAM has, and says what is in neither.
    pub async fn bring_together(&self, object: &StoredObject) -> Brought {
        let mut brought = Brought::default();
        let Some(store) = &self.store else { return brought };
        for index in 0..object.chunks() {
            let key = object.chunk_key(index);
            let held = store.holds(&key).await;
            if held == Some(true) {
                continue;
            }
            let start = u64::from(index) * crate::chunk::CHUNK_SIZE as u64;
            let bytes = (object.size - start).min(crate::chunk::CHUNK_SIZE as u64);
            match self.put_down(&key).await {
                true => brought.bytes += bytes,
                // A disk that cannot tell now is no reason to say that it is missing.
                false if held.is_none() => {}
                false => {
                    brought.missing += 1;
                    brought.missing_bytes += bytes;
                }
            }
        }
        brought
    }

    /// Gives the disks a chunk that RAM has.
    async fn put_down(&self, key: &ChunkKey) -> bool {
        let (Some(store), true) = (&self.store, self.ram.contains(key)) else { return false };
        let Some(chunk) = self.ram.get(key) else { return false };
        for _ in 0..OFFERS_MAX {
            match store.offer(*key, chunk.clone()) {
                Admission::Accepted => return true,
                Admission::Unavailable => return false,
                Admission::Busy => store.flush().await,
            }
        }
        false
    }

    /// Brings what the disks have pinned in line with the table: one that was away knows
    /// nothing of what was pinned and unpinned meanwhile. Once a minute is enough.
    pub fn align_pins(&self) {
        let Some(store) = &self.store else { return };
        if self.table.is_loading() {
            // A pin that was not read yet would be let go.
            return;
        }
        // Before the table is asked: what is pinned from now on is in the table first, and
        // would be a stray only because it came between.
        let held = store.pins();
        let pins = self.table.pins();
        let pins: PinnedChunks = pins
            .iter()
            .map(|pin| ((pin.id, pin.generation), crate::chunk::chunks_of(pin.size)))
            .filter(|(_, chunks)| *chunks > 0)
            .collect();
        store.align_pins(&held, &pins);
    }

    /// Ends the pins whose time is over.
    pub(super) fn end_pins(&self) {
        for id in self.table.pins_over() {
            let generation = self.table.peek(id).map(|object| object.generation);
            if self.table.unpin_over(id) {
                generation.into_iter().for_each(|generation| self.unpinned(&id, generation));
            }
        }
    }

    /// Whether chunks of an object go onto the disks without having been asked for twice.
    pub(super) fn is_kept(&self, id: &ObjectId) -> bool {
        self.table.is_pinned(*id) || self.wishes.has(*id)
    }

    /// An object came into the table: pins it where somebody wished that.
    pub(super) fn came(&self, object: &StoredObject) {
        let awaited = {
            let mut awaited = self.wishes.awaited.lock();
            if awaited.is_empty() { None } else { awaited.remove(&object.id) }
        };
        let wished = self.wishes.came(object).or(awaited.map(|(_, pin)| pin));
        let Some(pin) = wished else { return };
        if self.table.pin_of(object.id).is_none_or(|known| known != pin)
            && let Err(error) = self.pin(&object.id, pin)
        {
            tracing::warn!(key = %primary_key(&object.key), %error, "it cannot be pinned");
        }
    }

    /// A purge takes a pin with its object, also where another comes before the sweep.
    pub(super) fn forget_purged_pin(&self, id: &ObjectId) {
        if !self.table.is_pinned(*id) {
            return;
        }
        let Some(object) = self.table.peek(*id) else { return };
        if self.ledger.judge(&(&*object).into()) == Standing::Gone {
            self.table.pin(*id, None);
            self.unpinned(id, object.generation);
        }
    }

    /// A pinned object was given up, not purged: it is pinned again when it comes again.
    pub(super) fn await_again(&self, object: &Arc<StoredObject>, pin: Pin) {
        let mut awaited = self.wishes.awaited.lock();
        if awaited.len() < AWAITED_MAX {
            awaited.insert(object.id, (Arc::clone(object), pin));
        }
    }

    /// What was purged is not awaited any more.
    pub(crate) fn await_no_more(&self, selectors: &[Selector]) {
        let mut awaited = self.wishes.awaited.lock();
        awaited.retain(|_, (object, _)| {
            !selectors.iter().any(|selector| selector.takes(&(&**object).into()))
        });
    }

    /// The disks need not keep it any more.
    pub(crate) fn unpinned(&self, id: &ObjectId, generation: u64) {
        if let Some(store) = &self.store {
            store.unpin(id, generation);
        }
        self.mark(id);
    }
}

#[cfg(test)]
mod tests;
