//! A scrub of one disk: what lies in its slots is read back, past the page cache, and checked.
//! What does not hold is taken out, so that nobody meets it.

use std::sync::atomic::Ordering;

use super::{
    Inner,
    geometry::{PAGE, head_bytes},
    manifest::Change,
    record::{self, fingerprint},
};
use crate::{
    chunk::{Chunk, ChunkKey},
    store::Scrubbed,
};

/// Slots that are looked for at once.
const SLOTS: usize = 64;

/// How a slot was found.
enum Found {
    /// With so many bytes on the device.
    Sound(u64),
    /// Written anew or evicted since it was looked for.
    Gone,
    Damaged(Option<ChunkKey>),
}

impl Inner {
    /// About `bytes` of what lies from the slot `cursor` on.
    pub(super) fn scrub(&self, cursor: u64, bytes: u64) -> Scrubbed {
        let mut done = Scrubbed::default();
        // A cursor that no step gave is an end.
        let mut next = u32::try_from(cursor).ok();
        while let Some(from) = next {
            if done.bytes >= bytes || !self.device.online() {
                break;
            }
            let (changes, at, then) = {
                let space = &self.state.lock().space;
                let (changes, then) = space.walk(from, SLOTS);
                let at: Vec<_> = changes.iter().map(|change| space.offset(change.slot)).collect();
                (changes, at, then)
            };
            next = then;
            for (place, (change, at)) in changes.iter().zip(&at).enumerate() {
                match self.scrub_slot(change, *at) {
                    Found::Sound(length) => {
                        done.chunks += 1;
                        done.bytes += length;
                    }
                    Found::Damaged(key) => {
                        done.chunks += 1;
                        done.bytes += u64::from(change.entry.length());
                        done.damaged.push(key);
                    }
                    Found::Gone => {}
                }
                if done.bytes >= bytes
                    && let Some(left) = changes.get(place + 1)
                {
                    next = Some(left.slot.0);
                    break;
                }
            }
        }
        done.next = next.map(u64::from);
        done
    }

    fn scrub_slot(&self, change: &Change, at: u64) -> Found {
        let length = change.entry.length();
        let head_length = head_bytes(length);
        let whole = change.class.head_bytes(length) + u64::from(length);
        // Of a device that lies no page may be believed.
        let forgotten = self.device.media.forget(at, whole.next_multiple_of(PAGE));
        self.device.note("read past the page cache", forgotten);
        let way = change.class.way();
        let Some(all) = self.bytes(at, whole as usize, way) else {
            // The device has counted it.
            return self.lost(change, None);
        };
        let head = all.get(..head_length.min(all.len()));
        let head = head.and_then(|head| record::parse(head, self.disk, change.slot, length));
        let Some(head) = head else { return self.damaged(change, None) };
        if fingerprint(&head.key) != change.entry.fingerprint() {
            return self.damaged(change, None);
        }
        let start = (change.class.head_bytes(length) as usize).min(all.len());
        match Chunk::verified(all.slice(start..), head.sums) {
            Some(chunk) if chunk.data().len() == length as usize => Found::Sound(whole),
            _ => self.damaged(change, Some(head.key)),
        }
    }

    /// Takes out what does not hold, if it is still what lies there.
    fn damaged(&self, change: &Change, key: Option<ChunkKey>) -> Found {
        let found = self.lost(change, key);
        if matches!(found, Found::Damaged(_)) {
            self.counts.checksum_failures.fetch_add(1, Ordering::Relaxed);
            let path = self.path.display();
            tracing::warn!(%path, ?key, "chunk store: a scrub found a chunk that does not verify");
        }
        found
    }

    fn lost(&self, change: &Change, key: Option<ChunkKey>) -> Found {
        let same = self.state.lock().condemn(change.slot, change.entry);
        self.wake.notify_one();
        if same { Found::Damaged(key) } else { Found::Gone }
    }
}
