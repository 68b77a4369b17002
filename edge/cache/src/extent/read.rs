//! Reads of one disk: find the place, read head and data, believe nothing that does not hold.

use std::{ops::Range, sync::atomic::Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    ExtentStore, Inner,
    geometry::{PAGE, Slot, head_bytes},
    manifest::Change,
    media::Way,
    record::{self, Head, fingerprint},
    state::Look,
};
use crate::{
    chunk::{Chunk, ChunkKey, GRAIN, crc32c},
    store::{Listed, Verdict},
};

/// Times a read starts again because its chunk was written anew meanwhile.
const TRIES: u32 = 3;

impl ExtentStore {
    /// Where a chunk is; nowhere on a device that is gone. A read counts for eviction.
    pub(super) fn look(&self, key: &ChunkKey, read: bool) -> Look {
        if self.inner.device.online() {
            self.inner.state.lock().look(key, read)
        } else {
            Look::Absent
        }
    }

    /// Runs a read on the disk's threads; `None` when it was not taken or the store closed.
    pub(super) async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Inner) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let (answer, asked) = oneshot::channel();
        let inner = self.inner.clone();
        let taken = self.readers.run(move || {
            // Nobody waits any more: spare the disk.
            if !answer.is_closed() {
                let _ = answer.send(read(&inner));
            }
        });
        if taken { asked.await.ok()? } else { None }
    }

    /// See [`ChunkStore::holds`](crate::ChunkStore::holds).
    pub(super) async fn holds_key(&self, key: ChunkKey) -> Option<bool> {
        match self.look(&key, false) {
            Look::Waiting(_) => Some(true),
            // Of a device that is gone nothing is known.
            Look::Absent => self.inner.device.online().then_some(false),
            Look::At(..) => {
                self.read_with(move |inner| {
                    let held = inner.load(&key, |_| Some(()), |place| inner.read_head(place));
                    Some(held.found().is_some())
                })
                .await
            }
        }
    }

    /// See [`ChunkStore::verify`](crate::ChunkStore::verify).
    pub(super) async fn verify_key(&self, key: ChunkKey) -> Verdict {
        let outcome = self.read_with(move |inner| {
            Some(inner.load(&key, Some, |place| {
                let bytes = place.head + u64::from(place.length);
                inner.device.note(
                    "read past the page cache",
                    inner.device.media.forget(place.at, bytes.next_multiple_of(PAGE)),
                );
                inner.read_whole(place)
            }))
        });
        match outcome.await {
            // At most 1 MiB.
            Some(Outcome::Found(chunk)) => Verdict::Sound { bytes: chunk.data().len() as u32 },
            Some(Outcome::Bad) => Verdict::Rotten,
            Some(Outcome::Absent) | None => Verdict::Absent,
        }
    }
}

impl Inner {
    /// Finds a chunk and reads it, again where it was written anew meanwhile.
    pub(super) fn load<T>(
        &self,
        key: &ChunkKey,
        waiting: impl Fn(Chunk) -> Option<T>,
        read: impl Fn(&Place) -> Reading<T>,
    ) -> Outcome<T> {
        for _ in 0..TRIES {
            let look = self.state.lock().look(key, false);
            let (slot, entry, at) = match look {
                Look::Waiting(chunk) => return waiting(chunk).into(),
                Look::At(slot, entry, at) => (slot, entry, at),
                Look::Absent => return Outcome::Absent,
            };
            let length = entry.length();
            let class = self.geometry.class_for(length);
            let (head, way) = (class.head_bytes(length), class.way());
            let place = Place { key: *key, slot, at, length, head, way };
            match read(&place) {
                Reading::Good(good) => return Outcome::Found(good),
                // Not this chunk but one with the same fingerprint, or not as long as asked for.
                Reading::Other => return Outcome::Absent,
                Reading::Failed => {
                    // Not again and again; and the writer may have to be told of the end.
                    self.state.lock().condemn(slot, entry);
                    self.wake.notify_one();
                    return Outcome::Bad;
                }
                Reading::Rotten => {
                    if self.state.lock().condemn(slot, entry) {
                        self.wake.notify_one();
                        self.counts.checksum_failures.fetch_add(1, Ordering::Relaxed);
                        let path = self.path.display();
                        tracing::warn!(%path, ?key, "chunk store: a chunk did not verify");
                        return Outcome::Bad;
                    }
                }
            }
        }
        Outcome::Absent
    }

    pub(super) fn read_whole(&self, place: &Place) -> Reading<Chunk> {
        // Head and data in one, since they lie together.
        let bytes = place.head as usize + place.length as usize;
        let Some(all) = self.bytes(place.at, bytes, place.way) else {
            return Reading::Failed;
        };
        let head = match self.head(place, &all) {
            Ok(head) => head,
            Err(reading) => return reading,
        };
        let data = all.slice((place.head as usize).min(all.len())..);
        if data.len() != place.length as usize {
            return Reading::Rotten;
        }
        Chunk::verified(data, head.sums).map_or(Reading::Rotten, Reading::Good)
    }

    /// Whether it is this chunk's place; the data is left where it is.
    fn read_head(&self, place: &Place) -> Reading<()> {
        match self.bytes(place.at, head_bytes(place.length), place.way) {
            Some(head) => self.head(place, &head).map_or_else(|other| other, |_| Reading::Good(())),
            None => Reading::Failed,
        }
    }

    pub(super) fn read_grains(&self, place: &Place, part: &Range<u32>) -> Reading<Bytes> {
        if part.is_empty() || part.end > place.length {
            return Reading::Other;
        }
        let Some(head) = self.bytes(place.at, head_bytes(place.length), place.way) else {
            return Reading::Failed;
        };
        let head = match self.head(place, &head) {
            Ok(head) => head,
            Err(reading) => return reading,
        };
        let grain = GRAIN as u32;
        let first = part.start / grain;
        let from = first * grain;
        let end = part.end.next_multiple_of(grain).min(place.length);
        let at = place.at + place.head + u64::from(from);
        let Some(grains) = self.bytes(at, (end - from) as usize, place.way) else {
            return Reading::Failed;
        };
        let sums = head.sums[first as usize..].iter();
        let hold = grains.len() == (end - from) as usize
            && grains.chunks(GRAIN).zip(sums).all(|(grain, sum)| crc32c(grain) == *sum);
        if !hold {
            return Reading::Rotten;
        }
        let part = (part.start - from) as usize..(part.end - from) as usize;
        Reading::Good(grains.slice(part))
    }

    /// Parses a head and sees whether it is of the chunk that is looked for.
    fn head<T>(&self, place: &Place, bytes: &[u8]) -> Result<Head, Reading<T>> {
        let head = record::parse(bytes, self.disk, place.slot, place.length);
        let head = head.ok_or(Reading::Rotten)?;
        match head.key == place.key {
            true => Ok(head),
            false if fingerprint(&head.key) == fingerprint(&place.key) => Err(Reading::Other),
            // The head of another chunk, which was here before or was moved here.
            false => Err(Reading::Rotten),
        }
    }

    /// Bytes of the data file; `None` when the device failed.
    pub(super) fn bytes(&self, at: u64, length: usize, way: Way) -> Option<Bytes> {
        let read = self.device.note("read a chunk", self.device.media.read(at, length, way))?;
        // Past the page cache there are pages only.
        let bytes = match way {
            Way::Cached => read.len() as u64,
            Way::Direct => (at + read.len() as u64).next_multiple_of(PAGE) - at / PAGE * PAGE,
        };
        self.device.read.fetch_add(bytes, Ordering::Relaxed);
        Some(read)
    }

    /// Reads the heads of what lies in some slots.
    pub(super) fn listed(&self, changes: &[Change], from: &[u64]) -> Vec<Listed> {
        let listed = changes.iter().zip(from).filter_map(|(change, at)| {
            let length = change.entry.length();
            let head = self.bytes(*at, head_bytes(length), change.class.way())?;
            // What does not hold is found when it is read or scrubbed.
            let head = record::parse(&head, self.disk, change.slot, length)?;
            let same = fingerprint(&head.key) == change.entry.fingerprint();
            let pinned = change.entry.is_pinned();
            same.then_some(Listed { key: head.key, length, pinned })
        });
        listed.collect()
    }
}

/// Where a chunk lies.
pub(super) struct Place {
    key: ChunkKey,
    slot: Slot,
    pub(super) at: u64,
    pub(super) length: u32,
    /// Bytes from there to the data.
    pub(super) head: u64,
    way: Way,
}

/// How a read of a place ended.
pub(super) enum Reading<T> {
    Good(T),
    Other,
    Rotten,
    Failed,
}

/// How a read of a chunk ended.
pub(super) enum Outcome<T> {
    Found(T),
    Absent,
    /// It was there, and is lost.
    Bad,
}

impl<T> Outcome<T> {
    pub(super) fn found(self) -> Option<T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Absent | Self::Bad => None,
        }
    }
}

impl<T> From<Option<T>> for Outcome<T> {
    fn from(found: Option<T>) -> Self {
        found.map_or(Self::Absent, Self::Found)
    }
}

pub(super) fn slice(chunk: &Chunk, part: &Range<u32>) -> Option<Bytes> {
    let part = part.start as usize..part.end as usize;
    let within = !part.is_empty() && part.end <= chunk.data().len();
    within.then(|| chunk.data().slice(part))
}
