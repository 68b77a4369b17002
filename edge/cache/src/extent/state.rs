//! What the store, its writer and its readers share under one lock: chunks that wait to be
//! written, where the others lie, and pins.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

use tokio::sync::oneshot;

use super::{
    entry::Entry,
    geometry::{Geometry, Slot},
    manifest::{Item, Pin},
    record::fingerprint,
    space::Space,
};
use crate::{
    chunk::{Chunk, ChunkKey, ObjectId, chunks_of},
    store::{Admission, PinnedChunks, Pinning, PinsHeld},
};

/// Chunk bytes a round writes at most, and chunks.
const ROUND_BYTES: u64 = 8 << 20;
pub(super) const ROUND_CHUNKS: usize = 1024;

#[derive(Debug)]
struct Waiting {
    chunk: Chunk,
    number: u64,
}

/// A chunk with the slot it shall have.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) number: u64,
    pub(super) key: ChunkKey,
    pub(super) chunk: Chunk,
    /// `None` where everything else is pinned.
    pub(super) slot: Option<(Slot, u64)>,
}

/// What the writer does next.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) chunks: Vec<Placed>,
    /// Slots whose heads are to be struck out, and where they are.
    pub(super) condemned: Vec<(Slot, u64)>,
    pub(super) pins: Vec<Pin>,
    /// Everything up to this number is on the device when the round ends.
    pub(super) written: u64,
}

pub(super) enum Look {
    Waiting(Chunk),
    At(Slot, Entry, u64),
    Absent,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) space: Space,
    waiting: HashMap<ChunkKey, Waiting>,
    order: VecDeque<(u64, ChunkKey)>,
    /// Bytes of what waits, and what they may be.
    bytes: u64,
    bytes_max: u64,
    /// Counts what was accepted, removed and pinned.
    last: u64,
    written: u64,
    condemned: Vec<Slot>,
    pins: HashMap<(ObjectId, u64), Range<u32>>,
    pins_max: usize,
    pinned_max: u64,
    pins_changed: Vec<Pin>,
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    closes: Vec<oneshot::Sender<()>>,
    pub(super) closing: bool,
    ended: bool,
}

impl State {
    pub(super) fn new(geometry: Geometry, bytes_max: u64) -> Self {
        Self {
            space: Space::new(geometry),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
            last: 0,
            written: 0,
            condemned: Vec::new(),
            pins: HashMap::new(),
            pins_max: geometry.pins_max,
            // A quarter at least is left for what is not pinned.
            pinned_max: geometry.data_bytes() / 4 * 3,
            pins_changed: Vec::new(),
            flushes: Vec::new(),
            closes: Vec::new(),
            closing: false,
            ended: false,
        }
    }

    pub(super) fn push(&mut self, key: ChunkKey, chunk: Chunk) -> Admission {
        if self.closing {
            return Admission::Unavailable;
        }
        let length = chunk.data().len() as u64;
        let before = self.waiting.get(&key).map_or(0, |w| w.chunk.data().len() as u64);
        if self.bytes - before + length > self.bytes_max {
            return Admission::Busy;
        }
        self.last += 1;
        self.bytes = self.bytes - before + length;
        self.order.push_back((self.last, key));
        self.waiting.insert(key, Waiting { chunk, number: self.last });
        Admission::Accepted
    }

    /// Where a chunk is. A read counts for eviction, a look does not.
    pub(super) fn look(&mut self, key: &ChunkKey, read: bool) -> Look {
        if let Some(waiting) = self.waiting.get(key) {
            return Look::Waiting(waiting.chunk.clone());
        }
        let Some((slot, entry)) = self.space.find(fingerprint(key)) else { return Look::Absent };
        if read {
            self.space.touch(slot);
        }
        Look::At(slot, entry, self.space.offset(slot))
    }

    pub(super) fn contains(&self, key: &ChunkKey) -> bool {
        self.waiting.contains_key(key) || self.space.find(fingerprint(key)).is_some()
    }

    pub(super) fn remove(&mut self, key: &ChunkKey) {
        if let Some(gone) = self.waiting.remove(key) {
            // Its place in `order` is skipped later.
            self.bytes -= gone.chunk.data().len() as u64;
        }
        if let Some((slot, entry)) = self.space.find(fingerprint(key))
            && (!entry.is_pinned() || self.is_pinned(key))
        {
            self.condemn(slot, entry);
        }
    }

    /// Whether the chunk is pinned when it is there. What is pinned in its place while it is
    /// not is another of the same fingerprint.
    fn is_pinned(&self, key: &ChunkKey) -> bool {
        let pinned = self.pins.get(&(key.object, key.generation));
        pinned.is_some_and(|chunks| chunks.contains(&key.index))
    }

    /// Takes a chunk out that was found there. False when another is there by now.
    pub(super) fn condemn(&mut self, slot: Slot, entry: Entry) -> bool {
        let condemned = self.space.condemn(slot, entry);
        if condemned {
            self.last += 1;
            self.condemned.push(slot);
        }
        condemned
    }

    pub(super) fn pin(&mut self, object: ObjectId, generation: u64, chunks: Range<u32>) -> Pinning {
        let known = self.pins.contains_key(&(object, generation));
        if chunks.is_empty() || !known && self.pins.len() >= self.pins_max {
            return Pinning::NoRoom;
        }
        let found = self.slots(object, generation, &chunks);
        let bytes: u64 = found
            .iter()
            .filter(|(_, entry)| !entry.is_pinned())
            .map(|(slot, _)| self.space.class(*slot).slot_bytes())
            .sum();
        if self.space.counts().pinned + bytes > self.pinned_max {
            return Pinning::NoRoom;
        }
        self.unpin(object, generation);
        for (slot, _) in &found {
            self.space.set_pinned(*slot, true);
        }
        self.last += 1;
        self.pins_changed.push(Pin { object, generation, chunks: chunks.clone() });
        self.pins.insert((object, generation), chunks);
        Pinning::Pinned { chunks: u32::try_from(found.len()).unwrap_or(u32::MAX) }
    }

    pub(super) fn unpin(&mut self, object: ObjectId, generation: u64) -> bool {
        let Some(chunks) = self.pins.remove(&(object, generation)) else { return false };
        for (slot, _) in self.slots(object, generation, &chunks) {
            self.space.set_pinned(slot, false);
        }
        self.last += 1;
        self.pins_changed.push(Pin { object, generation, chunks: 0..0 });
        true
    }

    /// See [`ChunkStore::align_pins`](crate::ChunkStore::align_pins). True when any changed.
    pub(super) fn align(&mut self, held: &PinsHeld, wanted: &PinnedChunks) -> bool {
        let stray = |pin: &&(ObjectId, u64)| held.contains(pin) && !wanted.contains_key(pin);
        let strays = self.pins.keys().filter(stray);
        let strays: Vec<_> = strays.copied().collect();
        for (object, generation) in &strays {
            self.unpin(*object, *generation);
        }
        let mut changed = !strays.is_empty();
        for ((object, generation), chunks) in wanted {
            if self.pins.get(&(*object, *generation)) != Some(&(0..*chunks)) {
                changed |= self.pin(*object, *generation, 0..*chunks) != Pinning::NoRoom;
            }
        }
        changed
    }

    /// Where chunks of a range lie that are on the device.
    fn slots(&self, object: ObjectId, generation: u64, chunks: &Range<u32>) -> Vec<(Slot, Entry)> {
        // No object has more chunks than the largest size has; a range beyond is a mistake.
        let end = chunks.end.min(chunks_of(1 << 46));
        (chunks.start..end)
            .map(|index| fingerprint(&ChunkKey { object, generation, index }))
            .filter_map(|fingerprint| self.space.find(fingerprint))
            .collect()
    }

    pub(super) fn has_pin(&self, object: ObjectId, generation: u64) -> bool {
        self.pins.contains_key(&(object, generation))
    }

    /// Pins, for a snapshot.
    pub(super) fn pins(&self) -> Vec<Pin> {
        let pins = self.pins.iter();
        pins.map(|((object, generation), chunks)| Pin {
            object: *object,
            generation: *generation,
            chunks: chunks.clone(),
        })
        .collect()
    }

    pub(super) fn replay(&mut self, item: Item) {
        match item {
            Item::Change(change) => self.space.replay(change),
            Item::Pin(Pin { object, generation, chunks }) if chunks.is_empty() => {
                self.pins.remove(&(object, generation));
            }
            Item::Pin(Pin { object, generation, chunks }) => {
                if self.pins.len() < self.pins_max {
                    self.pins.insert((object, generation), chunks);
                }
            }
        }
    }

    /// `None` when there is nothing to do.
    pub(super) fn next_round(&mut self) -> Option<Round> {
        let mut round = Round::default();
        let mut bytes = 0;
        while bytes < ROUND_BYTES && round.chunks.len() < ROUND_CHUNKS {
            let Some((number, key)) = self.order.pop_front() else { break };
            let Some(waiting) = self.waiting.get(&key).filter(|w| w.number == number) else {
                continue;
            };
            let chunk = waiting.chunk.clone();
            bytes += chunk.data().len() as u64;
            // At most 1 MiB, see `Chunk::seal`.
            let slot = self.space.take(chunk.data().len() as u32);
            let slot = slot.map(|slot| (slot, self.space.offset(slot)));
            round.chunks.push(Placed { number, key, chunk, slot });
        }
        round.condemned = std::mem::take(&mut self.condemned)
            .into_iter()
            .map(|slot| (slot, self.space.offset(slot)))
            .collect();
        round.pins = std::mem::take(&mut self.pins_changed);
        round.written = self.order.front().map_or(self.last, |(next, _)| next - 1);
        let idle = round.chunks.is_empty()
            && round.condemned.is_empty()
            && round.pins.is_empty()
            && self.flushes.is_empty();
        (!idle).then_some(round)
    }

    /// Ends the writing of a chunk. False when it is not on the device.
    pub(super) fn settle(&mut self, placed: Placed, written: bool) -> bool {
        let Placed { number, key, chunk, slot } = placed;
        let wanted = self.waiting.get(&key).is_some_and(|waiting| waiting.number == number);
        if let Some((slot, _)) = slot {
            if wanted && written {
                let length = chunk.data().len() as u32;
                let pinned = self.is_pinned(&key)
                    && self.space.counts().pinned + self.space.class(slot).slot_bytes()
                        <= self.pinned_max;
                self.space.publish(slot, fingerprint(&key), length, pinned);
            } else {
                self.space.release(slot);
            }
        }
        if wanted {
            self.waiting.remove(&key);
            self.bytes -= chunk.data().len() as u64;
        }
        !wanted || written && slot.is_some()
    }

    /// Tells those who wait that everything up to this number is on the device.
    pub(super) fn wrote(&mut self, number: u64) {
        self.written = number;
        for (_, flush) in self.flushes.extract_if(.., |(wanted, _)| *wanted <= number) {
            // Whoever asked may have gone.
            let _ = flush.send(());
        }
    }

    /// Resolves when what was accepted so far is written; an error says that it never will be.
    pub(super) fn flush(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if !self.ended {
            self.flushes.push((self.last, sender));
        }
        receiver
    }

    /// Takes no more; resolves when the device is released.
    pub(super) fn close(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.closing = true;
        if !self.ended {
            self.closes.push(sender);
        }
        receiver
    }

    /// Gives up what waits: the device is gone, or the writer ends.
    pub(super) fn abandon(&mut self) -> u64 {
        let lost = self.waiting.len() as u64;
        self.waiting.clear();
        self.order.clear();
        self.bytes = 0;
        self.condemned.clear();
        self.pins_changed.clear();
        let _ = self.space.changes();
        self.wrote(self.last);
        lost
    }

    pub(super) fn end(&mut self) {
        self.abandon();
        self.ended = true;
        self.flushes.clear();
        self.closes.clear();
    }
}
