//! The admission gate: a bounded queue in front of foyer, and the task that empties it.
//!
//! foyer drops an entry that does not fit the rest of its flush buffer. The gate hands over
//! at most a quarter of a buffer, waits until that is written, and looks whether it is
//! there. Until then a chunk is served from the queue.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::oneshot;

use super::{Engine, Inner, record::Stored};
use crate::{
    chunk::{Chunk, ChunkKey},
    store::Admission,
};

/// Rounds in a row of which nothing got onto the device, until it counts as gone.
const FAILURES_MAX: u32 = 3;
/// What foyer adds to a chunk: its header, the key, the sums, up to the next 4 KiB.
const RECORD_OVERHEAD: u64 = 4096;

#[derive(Debug)]
struct Waiting {
    chunk: Chunk,
    number: u64,
}

/// Chunks that are not known to be on the device yet.
#[derive(Debug)]
pub(super) struct Queue {
    /// Accepted, whether handed over or not.
    waiting: HashMap<ChunkKey, Waiting>,
    /// To be handed over.
    order: VecDeque<(u64, ChunkKey)>,
    /// Bytes of these.
    bytes: u64,
    bytes_max: u64,
    /// What a round hands over.
    round_bytes: u64,
    /// Number of the chunk accepted last, and of the last that all up to it are written.
    accepted: u64,
    written: u64,
    /// Removed while foyer had them in flight, where it would still find them.
    removed: HashSet<ChunkKey>,
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    closing: bool,
    ended: bool,
}

pub(super) enum Look {
    Waiting(Chunk),
    Removed,
    Unknown,
}

impl Queue {
    pub(super) fn new(bytes_max: u64, round_bytes: u64) -> Self {
        Self {
            waiting: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
            round_bytes,
            accepted: 0,
            written: 0,
            removed: HashSet::new(),
            flushes: Vec::new(),
            closing: false,
            ended: false,
        }
    }

    pub(super) fn push(&mut self, key: ChunkKey, chunk: Chunk) -> Admission {
        if self.closing {
            return Admission::Unavailable;
        }
        // A key names one content: what waits already is this.
        if self.waiting.contains_key(&key) {
            return Admission::Accepted;
        }
        let bytes = chunk.data().len() as u64;
        if self.bytes + bytes > self.bytes_max {
            return Admission::Busy;
        }
        self.accepted += 1;
        self.bytes += bytes;
        self.order.push_back((self.accepted, key));
        self.waiting.insert(key, Waiting { chunk, number: self.accepted });
        Admission::Accepted
    }

    pub(super) fn look(&self, key: &ChunkKey) -> Look {
        match self.waiting.get(key) {
            Some(waiting) => Look::Waiting(waiting.chunk.clone()),
            None if self.removed.contains(key) => Look::Removed,
            None => Look::Unknown,
        }
    }

    pub(super) fn remove(&mut self, key: &ChunkKey) {
        let Some(gone) = self.waiting.remove(key) else { return };
        // Its place in `order`, if it is still there, is skipped later; its bytes are free.
        if self.order.front().is_some_and(|(first, _)| *first <= gone.number) {
            self.bytes -= gone.chunk.data().len() as u64;
        } else {
            self.removed.insert(*key);
        }
    }

    /// Resolves when what was accepted so far is written; `None` when nothing ever will be.
    pub(super) fn wait(&mut self) -> Option<oneshot::Receiver<()>> {
        if self.ended {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.flushes.push((self.accepted, sender));
        Some(receiver)
    }

    /// Takes no more. False when the gate has ended already.
    pub(super) fn close(&mut self) -> bool {
        self.closing = true;
        !self.ended
    }

    /// Hands the next chunks over. `None` when there is nothing to do.
    fn hand_over(&mut self, engine: &Engine) -> Option<Round> {
        let mut round = Round::default();
        let mut bytes = 0;
        while bytes < self.round_bytes {
            let Some((number, key)) = self.order.pop_front() else { break };
            let Some(waiting) = self.waiting.get(&key).filter(|w| w.number == number) else {
                continue;
            };
            let length = waiting.chunk.data().len() as u64;
            self.bytes -= length;
            bytes += length + RECORD_OVERHEAD;
            engine.storage_writer(key).force().insert(Stored::from(&waiting.chunk));
            round.chunks.push((number, key));
        }
        round.written = self.order.front().map_or(self.accepted, |(next, _)| next - 1);
        round.removed = self.removed.iter().copied().collect();
        let idle = round.chunks.is_empty() && round.removed.is_empty() && self.flushes.is_empty();
        (!idle).then_some(round)
    }

    /// Ends a round. Returns how many of its chunks are not on the device.
    fn settle(&mut self, engine: &Engine, round: Round) -> u64 {
        let mut lost = 0;
        for (number, key) in round.chunks {
            if self.waiting.get(&key).is_some_and(|waiting| waiting.number == number) {
                self.waiting.remove(&key);
                lost += u64::from(!engine.storage().may_contains(&key));
            }
        }
        for key in round.removed {
            self.removed.remove(&key);
        }
        self.written = round.written;
        let written = self.written;
        for (_, flush) in self.flushes.extract_if(.., |(number, _)| *number <= written) {
            // Whoever asked may have gone.
            let _ = flush.send(());
        }
        lost
    }
}

#[derive(Debug, Default)]
struct Round {
    chunks: Vec<(u64, ChunkKey)>,
    removed: Vec<ChunkKey>,
    /// Everything up to this number is written when the round ends.
    written: u64,
}

/// Runs until the store is closed or dropped, then lets go of engine and lock.
pub(super) async fn run(inner: Arc<Inner>, lock: File) {
    let mut failures = 0;
    loop {
        while let Some(engine) = inner.engine() {
            let Some(round) = inner.queue.lock().hand_over(&engine) else { break };
            let handed = round.chunks.len() as u64;
            engine.storage().wait().await;
            let lost = inner.queue.lock().settle(&engine, round);
            failures = judge(&inner, handed, lost, failures);
        }
        let closing = inner.queue.lock().closing;
        if closing {
            break;
        }
        inner.wake.notified().await;
    }
    let engine = inner.engine.write().take();
    if let Some(engine) = engine
        && let Err(error) = engine.close().await
    {
        tracing::warn!(path = %inner.path.display(), %error, "chunk store: close failed");
    }
    let mut queue = inner.queue.lock();
    queue.ended = true;
    queue.flushes.clear();
    drop(queue);
    drop(lock);
    inner.ended.notify_waiters();
}

/// Counts what was lost; takes the store offline when nothing gets through any more.
fn judge(inner: &Inner, handed: u64, lost: u64, failures: u32) -> u32 {
    if lost == 0 {
        return if handed == 0 { failures } else { 0 };
    }
    inner.counts.lost_chunks.fetch_add(lost, Ordering::Relaxed);
    inner.counts.io_errors.fetch_add(1, Ordering::Relaxed);
    let failures = if lost == handed { failures + 1 } else { 0 };
    let path = inner.path.display();
    if failures == 1 {
        tracing::warn!(%path, lost, "chunk store: chunks did not get onto the device");
    }
    if failures >= FAILURES_MAX && inner.online.swap(false, Ordering::Relaxed) {
        tracing::error!(
            %path,
            "chunk store: the device takes nothing any more (full or broken?); going on \
             without it until the next start"
        );
    }
    failures
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{chunk::ObjectId, disk::tests::without_engine};

    fn chunk(length: usize) -> Chunk {
        Chunk::seal(Bytes::from(vec![1; length]))
    }

    fn key(index: u32) -> ChunkKey {
        ChunkKey { object: ObjectId(1), generation: 1, index }
    }

    #[test]
    fn the_queue_takes_no_more_than_its_bytes() {
        let mut queue = Queue::new(100, 1000);
        assert_eq!(queue.push(key(0), chunk(60)), Admission::Accepted);
        assert_eq!(queue.push(key(1), chunk(41)), Admission::Busy);
        assert_eq!(queue.push(key(1), chunk(40)), Admission::Accepted);
        // The same chunk again costs nothing.
        assert_eq!(queue.push(key(0), chunk(60)), Admission::Accepted);
        queue.remove(&key(0));
        assert!(matches!(queue.look(&key(0)), Look::Unknown));
        assert_eq!(queue.push(key(2), chunk(61)), Admission::Busy);
        assert_eq!(queue.push(key(2), chunk(60)), Admission::Accepted);
        queue.close();
        assert_eq!(queue.push(key(3), chunk(0)), Admission::Unavailable);
    }

    #[test]
    fn a_device_that_takes_nothing_goes_offline() {
        let inner = without_engine();
        let online = || inner.online.load(Ordering::Relaxed);
        // Some get through: never offline.
        let mut failures = 0;
        for _ in 0..10 {
            failures = judge(&inner, 4, 2, failures);
        }
        assert!(online());
        // A round without chunks says nothing, a good one forgives.
        for (handed, lost, expected) in [
            (4, 4, true),
            (0, 0, true),
            (4, 4, true),
            (4, 0, true),
            (4, 4, true),
            (4, 4, true),
            (4, 4, false),
        ] {
            failures = judge(&inner, handed, lost, failures);
            assert_eq!(online(), expected);
        }
        assert_eq!(inner.counts.lost_chunks.load(Ordering::Relaxed), 10 * 2 + 5 * 4);
    }
}
