//! Chunks on disk of objects that were replaced, removed or displaced: nobody finds them any more.
//! They leave their disks a while later, when those who were reading them have them, so that their
//! room goes to what is wanted. Orders to purge reclaim for themselves.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::{
    chunk::{ChunkKey, ObjectId},
    store::ChunkStore,
};

/// How long a reader may take for what he began to read.
const GRACE_MILLIS: u64 = 60_000;
/// Generations that are remembered; beyond, the oldest leave their disks as others do, when their
/// place is needed. 40 bytes each.
const LEFT_MAX: usize = 1 << 16;
/// Chunks that leave at one tick: a disk writes a little for each.
const AT_ONCE: u32 = 512;

#[derive(Debug)]
struct Left {
    object: ObjectId,
    generation: u64,
    /// Those that are still to leave.
    chunks: u32,
    /// None until the first tick after it was left behind.
    since_millis: Option<u64>,
}

/// What was left behind, the oldest first.
#[derive(Debug, Default)]
pub(super) struct LeftBehind(Mutex<VecDeque<Left>>);

impl LeftBehind {
    pub(super) fn leave(&self, object: ObjectId, generation: u64, chunks: u32) {
        if chunks == 0 {
            return;
        }
        let mut all = self.0.lock();
        if all.len() == LEFT_MAX {
            all.pop_front();
        }
        all.push_back(Left { object, generation, chunks, since_millis: None });
    }

    /// Takes from the disks what was left long enough ago.
    pub(super) fn tick(&self, store: &dyn ChunkStore, unix_millis: u64) {
        let mut left = AT_ONCE;
        let mut all = self.0.lock();
        for new in all.iter_mut().rev().take_while(|new| new.since_millis.is_none()) {
            new.since_millis = Some(unix_millis);
        }
        while let Some(Left { object, generation, chunks, since_millis }) = all.front_mut() {
            let (object, generation) = (*object, *generation);
            let waited = since_millis.map_or(0, |since| unix_millis.saturating_sub(since));
            if waited < GRACE_MILLIS || left == 0 {
                return;
            }
            let some = left.min(*chunks);
            for index in *chunks - some..*chunks {
                let key = ChunkKey { object, generation, index };
                if store.contains(&key) {
                    store.remove(&key);
                }
            }
            left -= some;
            *chunks -= some;
            if *chunks == 0 {
                all.pop_front();
            }
        }
    }
}
