//! The disks as one store: which of them is asked, and what each of them adds.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::time::timeout;

use super::{
    CLOSE, Disks, Inner,
    member::{self, Live, Member, plus},
    rendezvous,
};
use crate::{
    chunk::{Chunk, ChunkKey, ObjectId},
    store::{Admission, ChunkStore, Page, PinnedChunks, Pinning, PinsHeld, StoreStats, Verdict},
};

impl Inner {
    /// The disks in use, in the order in which they are asked for a chunk.
    fn ranked(&self, key: &ChunkKey) -> Vec<(usize, Arc<Live>)> {
        let online = self.online().map(|(index, _, live)| (index, live));
        let of = |(index, live): &(usize, Arc<Live>)| (live.id, self.members[*index].size);
        rendezvous::order(rendezvous::point(key), online, of)
    }

    fn online(&self) -> impl Iterator<Item = (usize, &Member, Arc<Live>)> {
        let members = self.members.iter().enumerate();
        members.filter_map(|(index, member)| Some((index, member, member.live()?)))
    }

    /// A call to the disks that seem to have the chunk, the best first, until one gives
    /// something. It runs to its end or to the deadline also when nobody waits any more: how a
    /// disk does is learned from those who gave up, too. Nothing is removed here: what is late
    /// is sound, what only looked like the chunk is another's, and a place that cannot be read
    /// was given up by its store.
    async fn of_holder<T: Send + 'static>(
        self: &Arc<Self>,
        key: &ChunkKey,
        call: impl for<'a> Fn(&'a dyn ChunkStore, &'a ChunkKey) -> BoxFuture<'a, Option<T>>
        + Send
        + Sync
        + 'static,
    ) -> Result<T, Missed> {
        let mut holders = self.ranked(key);
        holders.retain(|(_, live)| live.store.contains(key));
        if holders.is_empty() {
            return Err(Missed::Absent);
        }
        let (inner, key) = (Arc::clone(self), *key);
        let called = self.handle.spawn(async move {
            for (index, live) in holders {
                let called = inner.members[index].call(true, call(&*live.store, &key)).await;
                if let Some(Some(found)) = called {
                    return Ok(found);
                }
                // Perhaps a call that failed.
                inner.nudge.notify_one();
                if called.is_none() {
                    return Err(Missed::Late);
                }
            }
            Err(Missed::Absent)
        });
        // An error is a runtime that ends.
        called.await.unwrap_or(Err(Missed::Late))
    }
}

/// Why no disk gave anything.
enum Missed {
    /// None of them has it, or can read it.
    Absent,
    /// The call took too long, or its disk went offline meanwhile.
    Late,
}

impl ChunkStore for Disks {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        self.inner.of_holder(key, |store, key| store.read(key)).map(Result::ok).boxed()
    }

    fn read_part<'a>(
        &'a self,
        key: &'a ChunkKey,
        part: Range<u32>,
    ) -> BoxFuture<'a, Option<Bytes>> {
        let read = self.inner.of_holder(key, move |store, key| store.read_part(key, part.clone()));
        read.map(Result::ok).boxed()
    }

    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        for (index, live) in self.inner.ranked(&key) {
            if live.full.load(Ordering::Relaxed) {
                continue;
            }
            match live.store.offer(key, chunk.clone()) {
                Admission::Unavailable => self.inner.nudge.notify_one(),
                Admission::Busy => {
                    self.inner.members[index].busy.store(true, Ordering::Relaxed);
                    return Admission::Busy;
                }
                Admission::Accepted => return Admission::Accepted,
            }
        }
        self.inner.refused_chunks.fetch_add(1, Ordering::Relaxed);
        self.inner.refused_bytes.fetch_add(chunk.data().len() as u64, Ordering::Relaxed);
        Admission::Unavailable
    }

    fn remove(&self, key: &ChunkKey) {
        for member in &self.inner.members {
            member.remove(key);
        }
    }

    fn contains(&self, key: &ChunkKey) -> bool {
        self.inner.online().any(|(_, _, live)| live.store.contains(key))
    }

    fn holds<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<bool>> {
        let held = self.inner.of_holder(key, |store, key| {
            // Where one disk has another chunk, the next may have this one.
            store.holds(key).map(|held| (held != Some(false)).then_some(held)).boxed()
        });
        let held = held.map(|held| match held {
            Ok(held) => held,
            Err(Missed::Absent) => Some(false),
            Err(Missed::Late) => None,
        });
        held.boxed()
    }

    fn stats(&self) -> StoreStats {
        let mut sum = StoreStats {
            refused_chunks: self.inner.refused_chunks.load(Ordering::Relaxed),
            refused_bytes: self.inner.refused_bytes.load(Ordering::Relaxed),
            ..StoreStats::default()
        };
        for member in &self.inner.members {
            let stats = member.stats();
            member::add(&mut sum, &stats);
            sum.chunks = plus(sum.chunks, stats.chunks);
            sum.used_bytes = plus(sum.used_bytes, stats.used_bytes);
            sum.pinned_bytes += stats.pinned_bytes;
            sum.index_bytes += stats.index_bytes;
            sum.online |= stats.online;
        }
        sum
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        async move {
            let online: Vec<_> = self.inner.online().collect();
            let flushes =
                online.iter().map(|(_, member, live)| member.call(false, live.store.flush()));
            join_all(flushes).await;
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.watch.abort();
            let now = self.inner.clock.unix_millis();
            let online: Vec<_> = self.inner.online().collect();
            let closes = online.iter().map(|(_, member, live)| async move {
                let closed = timeout(CLOSE, live.store.close()).await;
                if closed.is_err() {
                    let disk = member.drive.path().display();
                    tracing::warn!(%disk, "a disk did not close in time");
                }
                member.account(now);
                member.drive.release();
            });
            join_all(closes).await;
            let inner = Arc::clone(&self.inner);
            let saved = self.inner.handle.spawn_blocking(move || {
                inner.save_now();
                *inner.writing.lock() = None;
            });
            drop(saved.await);
        }
        .boxed()
    }

    fn pin(&self, object: &ObjectId, generation: u64, chunks: Range<u32>) -> Pinning {
        let online: Vec<_> = self.inner.online().map(|(_, _, live)| live).collect();
        // What was pinned stays so wherever there is room; each store says NoRoom without
        // letting go of what it had.
        let known = online.iter().any(|live| live.store.is_pinned(object, generation));
        let (mut sum, mut done) = (None, Vec::new());
        for live in online {
            match live.store.pin(object, generation, chunks.clone()) {
                Pinning::Pinned { chunks } => {
                    sum = Some(sum.unwrap_or(0) + chunks);
                    done.push(live);
                }
                Pinning::NoRoom if known => {}
                Pinning::NoRoom => {
                    for live in done {
                        live.store.unpin(object, generation);
                    }
                    return Pinning::NoRoom;
                }
                Pinning::Unsupported => {}
            }
        }
        sum.map_or(Pinning::Unsupported, |chunks| Pinning::Pinned { chunks })
    }

    fn unpin(&self, object: &ObjectId, generation: u64) -> bool {
        let online = self.inner.online();
        online.fold(false, |any, (_, _, live)| live.store.unpin(object, generation) | any)
    }

    fn is_pinned(&self, object: &ObjectId, generation: u64) -> bool {
        self.inner.online().any(|(_, _, live)| live.store.is_pinned(object, generation))
    }

    fn pin_instead(&self, object: &ObjectId, old: u64, new: u64, chunks: Range<u32>) {
        for (_, _, live) in self.inner.online() {
            live.store.pin_instead(object, old, new, chunks.clone());
        }
    }

    fn pins(&self) -> PinsHeld {
        self.inner.online().flat_map(|(_, _, live)| live.store.pins()).collect()
    }

    fn align_pins(&self, held: &PinsHeld, wanted: &PinnedChunks) {
        for (_, _, live) in self.inner.online() {
            live.store.align_pins(held, wanted);
        }
    }

    fn list(&self, cursor: u64, max: usize) -> BoxFuture<'_, Option<Page>> {
        async move {
            // A store's own cursor is below 2^48; above it stands whose it is.
            const OWN: u32 = 48;
            let first = usize::try_from(cursor >> OWN).unwrap_or(usize::MAX);
            let disk = |index: usize| (index as u64) << OWN;
            for (index, member, live) in self.inner.online() {
                if index < first {
                    continue;
                }
                let own = if index == first { cursor & ((1 << OWN) - 1) } else { 0 };
                // A disk that goes offline meanwhile has nothing more to list.
                match member.call(false, live.store.list(own, max)).await {
                    Some(Some(page)) => {
                        let next = match page.next {
                            Some(next) => Some(disk(index) | next),
                            None => Some(disk(index + 1))
                                .filter(|_| self.inner.online().any(|(other, _, _)| other > index)),
                        };
                        return Some(Page { chunks: page.chunks, next });
                    }
                    Some(None) => return None,
                    None => {}
                }
            }
            Some(Page::default())
        }
        .boxed()
    }

    fn verify<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Verdict> {
        let verdict = self.inner.of_holder(key, |store, key| {
            let verdict = store.verify(key);
            verdict.map(|verdict| Some(verdict).filter(|v| *v != Verdict::Absent)).boxed()
        });
        verdict.map(|verdict| verdict.unwrap_or(Verdict::Absent)).boxed()
    }
}
