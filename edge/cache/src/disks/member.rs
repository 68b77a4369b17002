//! One disk among others: whether it is in use, what is under way on it, and what it counted.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, Either, Shared, select};
use parking_lot::{Mutex, RwLock};
use tokio::{sync::oneshot, time::Instant};

use super::{cause::Offline, drive::Drive, rendezvous::DiskId, rule::Space, wear::Wear};
use crate::{
    chunk::ChunkKey,
    store::{ChunkStore, StoreStats},
};

/// Removed chunks that an offline disk is told of when it comes back; with more it comes
/// back empty. 28 bytes each.
pub(super) const MISSED_MAX: usize = 65_536;

/// A disk in use.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: DiskId,
    pub(super) store: Arc<dyn ChunkStore>,
    /// Calls that had failed before it was in use.
    pub(super) errors_before: u64,
    /// Its file system has no room: it is read and not written.
    pub(super) full: AtomicBool,
}

#[derive(Debug, Clone)]
pub(super) enum Seat {
    /// Its store is being opened.
    Opening,
    /// In use.
    Online(Arc<Live>),
    /// Not in use.
    Offline(Offline),
}

/// Removals that a disk did not see.
#[derive(Debug, Default)]
struct Missed {
    keys: HashSet<ChunkKey>,
    /// More than could be remembered, or none were over a restart.
    all: bool,
}

#[derive(Debug, Default)]
struct UnderWay {
    /// Since when, and who waits; without a time for what may take as long as it takes.
    calls: BTreeMap<u64, (Option<Instant>, oneshot::Sender<()>)>,
    last: u64,
}

#[derive(Debug, Default)]
struct Written {
    wear: Wear,
    /// Of the live store's own counter.
    counted: u64,
}

pub(super) struct Member {
    /// Its weight, too.
    pub(super) size: u64,
    pub(super) drive: Arc<dyn Drive>,
    seat: RwLock<Seat>,
    /// None until its folder could be read.
    id: Mutex<Option<DiskId>>,
    under_way: Mutex<UnderWay>,
    missed: Mutex<Missed>,
    /// Counters of stores that it had before in this process.
    retired: Mutex<StoreStats>,
    written: Mutex<Written>,
    pub(super) space: Mutex<Option<Space>>,
    pub(super) mounted: AtomicBool,
    /// A chunk was refused because the write queue was full.
    pub(super) busy: AtomicBool,
    /// An operator said that what it was offline for before is over.
    pub(super) pardoned: AtomicBool,
    /// Reads given up because they took too long.
    pub(super) overdue: AtomicU64,
    /// Resolves when the store that was taken offline has let go of the disk.
    pub(super) closing: Mutex<Option<Shared<BoxFuture<'static, ()>>>>,
    /// One at a time opens or closes it.
    pub(super) acting: tokio::sync::Mutex<()>,
}

impl Member {
    pub(super) fn new(size: u64, drive: Arc<dyn Drive>) -> Self {
        Self {
            size,
            drive,
            seat: RwLock::new(Seat::Opening),
            id: Mutex::default(),
            under_way: Mutex::default(),
            missed: Mutex::default(),
            retired: Mutex::default(),
            written: Mutex::default(),
            space: Mutex::default(),
            mounted: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            pardoned: AtomicBool::new(false),
            overdue: AtomicU64::new(0),
            closing: Mutex::default(),
            acting: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn live(&self) -> Option<Arc<Live>> {
        match &*self.seat.read() {
            Seat::Online(live) => Some(Arc::clone(live)),
            _ => None,
        }
    }

    pub(super) fn seat(&self) -> Seat {
        self.seat.read().clone()
    }

    pub(super) fn id(&self) -> Option<DiskId> {
        *self.id.lock()
    }

    pub(super) fn wear(&self) -> Wear {
        self.written.lock().wear.clone()
    }

    /// Who it is, and what it wrote before this process.
    pub(super) fn name(&self, id: DiskId, wear: Wear) {
        *self.id.lock() = Some(id);
        *self.written.lock() = Written { wear, counted: 0 };
    }

    /// What is in its place begins anew; `wear` is what was written to it before.
    pub(super) fn forget(&self, id: DiskId, wear: Wear) {
        self.name(id, wear);
        *self.retired.lock() = StoreStats::default();
        *self.space.lock() = None;
        self.overdue.store(0, Ordering::Relaxed);
    }

    pub(super) fn opens(&self) {
        *self.seat.write() = Seat::Opening;
    }

    /// In use from now on. What it missed is taken out of it first.
    pub(super) fn goes_online(&self, id: DiskId, store: Arc<dyn ChunkStore>) {
        let mut seat = self.seat.write();
        // Under the seat's lock: a removal either is in here or finds the disk online.
        let missed = std::mem::take(&mut *self.missed.lock());
        for key in &missed.keys {
            store.remove(key);
        }
        self.written.lock().counted = store.stats().device_written_bytes;
        self.busy.store(false, Ordering::Relaxed);
        let errors_before = store.health().errors;
        let full = AtomicBool::new(false);
        *seat = Seat::Online(Arc::new(Live { id, store, errors_before, full }));
    }

    /// Not in use from now on; whoever waits for it is released. The disk that was in use, if
    /// it was.
    pub(super) fn goes_offline(&self, offline: Offline, unix_ms: u64) -> Option<Arc<Live>> {
        self.account(unix_ms);
        let before = std::mem::replace(&mut *self.seat.write(), Seat::Offline(offline));
        self.under_way.lock().calls.clear();
        let Seat::Online(live) = before else { return None };
        let stats = live.store.stats();
        add(&mut self.retired.lock(), &stats);
        Some(live)
    }

    /// A removal; remembered where the disk cannot be told now. Returns whether it had it.
    pub(super) fn remove(&self, key: &ChunkKey) {
        let seat = self.seat.read();
        match &*seat {
            Seat::Online(live) => {
                if live.store.contains(key) {
                    live.store.remove(key);
                }
            }
            _ => {
                let mut missed = self.missed.lock();
                if missed.keys.len() < MISSED_MAX {
                    missed.keys.insert(*key);
                } else {
                    missed.all = true;
                }
            }
        }
    }

    /// It was offline over a restart: nobody knows what it missed.
    pub(super) fn missed_all(&self) {
        self.missed.lock().all = true;
    }

    /// Whether more was removed than it can be told.
    pub(super) fn must_be_fresh(&self) -> bool {
        self.missed.lock().all
    }

    /// It will be empty: there is nothing to be told.
    pub(super) fn is_fresh(&self) {
        *self.missed.lock() = Missed::default();
    }

    /// Runs a call to the live store; `None` when the disk goes offline or the call takes too
    /// long meanwhile. `timed` calls have the deadline of a read.
    pub(super) async fn call<T>(&self, timed: bool, call: BoxFuture<'_, T>) -> Option<T> {
        let (release, released) = oneshot::channel();
        let number = {
            let mut under_way = self.under_way.lock();
            under_way.last += 1;
            let number = under_way.last;
            under_way.calls.insert(number, (timed.then(Instant::now), release));
            number
        };
        let _leave = Leave { number, member: self };
        // It may have gone between the look and the entry, and then nobody clears it.
        self.live()?;
        match select(call, released).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// Releases everybody who waits longer than `deadline`; how many, and the age of the
    /// oldest read that still may go on.
    pub(super) fn release_overdue(&self, now: Instant, deadline: Duration) -> (usize, Duration) {
        let mut under_way = self.under_way.lock();
        let before = under_way.calls.len();
        let age = |since: Instant| now.saturating_duration_since(since);
        under_way.calls.retain(|_, (since, _)| since.is_none_or(|since| age(since) < deadline));
        let released = before - under_way.calls.len();
        let oldest = under_way.calls.values().filter_map(|(since, _)| since.map(age)).max();
        self.overdue.fetch_add(released as u64, Ordering::Relaxed);
        (released, oldest.unwrap_or_default())
    }

    /// Counts what was written since the last time. True when there was something.
    pub(super) fn account(&self, unix_ms: u64) -> bool {
        let Some(live) = self.live() else { return false };
        let now = live.store.stats().device_written_bytes;
        let mut written = self.written.lock();
        let new = now.saturating_sub(written.counted);
        written.counted = now;
        written.wear.add(unix_ms, new);
        new > 0
    }

    /// Counters since the start of the process.
    pub(super) fn stats(&self) -> StoreStats {
        let mut stats = *self.retired.lock();
        stats.capacity_bytes = 0;
        let live = self.live();
        if let Some(live) = &live {
            let now = live.store.stats();
            add(&mut stats, &now);
            let held = self.space.lock().map(|space| space.held_bytes);
            stats.chunks = now.chunks;
            stats.used_bytes = now.used_bytes.or(held);
            stats.pinned_bytes = now.pinned_bytes;
            stats.index_bytes = now.index_bytes;
        }
        stats.capacity_bytes = self.size;
        stats.online = live.is_some();
        stats
    }
}

/// Adds counters, which go on when a store is opened anew. What is held now is not one.
pub(super) fn add(sum: &mut StoreStats, more: &StoreStats) {
    sum.capacity_bytes += more.capacity_bytes;
    sum.accepted_chunks += more.accepted_chunks;
    sum.accepted_bytes += more.accepted_bytes;
    sum.refused_chunks += more.refused_chunks;
    sum.refused_bytes += more.refused_bytes;
    sum.lost_chunks += more.lost_chunks;
    sum.read_hits += more.read_hits;
    sum.read_misses += more.read_misses;
    sum.read_parts += more.read_parts;
    sum.read_bytes += more.read_bytes;
    sum.device_read_bytes += more.device_read_bytes;
    sum.checksum_failures += more.checksum_failures;
    sum.index_losses += more.index_losses;
    sum.io_errors += more.io_errors;
    sum.device_written_bytes += more.device_written_bytes;
    sum.evicted_chunks = plus(sum.evicted_chunks, more.evicted_chunks);
}

/// What is known of two that may not know.
pub(super) fn plus(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
    }
}

struct Leave<'a> {
    number: u64,
    member: &'a Member,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.member.under_way.lock().calls.remove(&self.number);
    }
}
