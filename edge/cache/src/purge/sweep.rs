//! What follows an order: objects are taken out of the table step by step, and the order out
//! of the ledger when nothing is left for it to mean. Disks are told what to forget and are
//! not read.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Mode, Order, PurgeError, Selector, Standing, Subject, Ticket,
    guard::{self, Objects, Settled},
    index::Index,
};
use crate::{
    cache::Cache,
    chunk::{ChunkKey, ObjectId},
    object::StoredObject,
    sync::AtomicU64,
    table::{Displaced, Table},
};

/// Objects looked at, or chunks forgotten, before others get their turn: about 0.2 ms.
const STEP: usize = 1024;
/// Between two steps: with [`STEP`], at most a sixth of a core.
const PAUSE: Duration = Duration::from_millis(1);
/// After a failed write of the state file, until the next try.
const RETRY: Duration = Duration::from_secs(1);
/// For so long orders gather whose objects have a name; a sweep only looks for their variants.
const GATHER: Duration = Duration::from_secs(30);
/// Keys that a count names.
const SAMPLE: usize = 10;

/// What the sweep did since start, and how the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PurgeStats {
    /// Number of the last purge ever.
    pub epoch: u64,
    /// Everything up to this number is reclaimed.
    pub reclaimed_epoch: u64,
    /// Orders that stand.
    pub orders: u64,
    /// Objects removed.
    pub objects: u64,
    /// Their body bytes, whether they were in the cache or not.
    pub bytes: u64,
    /// Objects made stale.
    pub stale: u64,
    /// Objects that the sweep under way has looked at; 0 while none is.
    pub walked: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    objects: AtomicU64,
    bytes: AtomicU64,
    stale: AtomicU64,
    walked: AtomicU64,
}

/// What some selectors mean now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Objects.
    pub objects: u64,
    /// Their body bytes, whether they are in the cache or not.
    pub bytes: u64,
    /// Keys of some of them.
    pub sample: Vec<String>,
    /// Objects that were looked at, and their body bytes.
    pub of: (u64, u64),
    /// Whether that was all.
    pub complete: bool,
}

impl Cache {
    /// Number of the last purge.
    pub fn purge_epoch(&self) -> u64 {
        self.ledger.epoch()
    }

    /// Begins a fill or a revalidation, see [`Ticket`].
    pub fn begin(&self) -> Ticket {
        self.ledger.begin()
    }

    /// What the orders mean for something that is stored or on its way.
    pub fn standing(&self, subject: &Subject<'_>) -> Standing {
        self.ledger.judge(subject)
    }

    /// Whether something that is on its way may answer a request that began when the purge
    /// epoch was `since`.
    pub fn answers(&self, subject: &Subject<'_>, since: u64) -> bool {
        self.ledger.answers(subject, since)
    }

    /// The object of this id whatever was ordered, and the order that decides over it.
    pub fn inspect(&self, id: &ObjectId, key: &str) -> Option<(Arc<StoredObject>, Option<Order>)> {
        let object = self.known(id, |table| table.peek(*id));
        let object = object.filter(|object| *object.key == *key)?;
        let order = self.ledger.decisive(&(&*object).into());
        Some((object, order))
    }

    /// The orders that stand, oldest first, at most `max`.
    pub fn orders(&self, max: usize) -> Vec<Order> {
        self.ledger.orders(max)
    }

    /// Purges: holds from the first poll on, and survives a kill when it returns `Ok`. Gives
    /// the number of the purge. Costs the same whatever it means; what it means is reclaimed
    /// behind it.
    pub async fn order(
        &self,
        selectors: &[Selector],
        mode: Mode,
        unix_millis: u64,
    ) -> Result<u64, PurgeError> {
        let epoch = self.ledger.order(selectors, mode, unix_millis)?;
        if mode == Mode::Hard {
            self.await_no_more(selectors);
        }
        // Taken before the file is written: a failure that came first would be waited for again.
        let durable = self.ledger.durable(epoch);
        self.orders_changed();
        durable.await?;
        for selector in selectors {
            // What has a name is found without a search.
            if let Selector::Key(key) = selector
                && let Some(object) = self.table.peek(ObjectId::of(key))
            {
                self.put_away(&object, &mut 0).await;
            }
        }
        Ok(epoch)
    }

    /// Counts what selectors mean, for at most `time`, without asking any disk.
    pub async fn count(&self, selectors: &[Selector], time: Duration) -> Counted {
        let until = Instant::now() + time;
        let mut index = Index::default();
        for selector in selectors {
            let (mode, selector) = (Mode::Hard, selector.clone());
            index.set(&Order { epoch: u64::MAX, at_millis: 0, mode, selector }).for_each(drop);
        }
        let mut counted = Counted::default();
        for shard in 0..self.table.shards() {
            if Instant::now() > until {
                return counted;
            }
            self.each(shard, |subject, size, standing| {
                if standing != Standing::Gone {
                    counted.look(subject, size, index.judge(subject) == Standing::Gone);
                }
            });
            tokio::task::yield_now().await;
        }
        Counted { complete: !self.table.is_loading(), ..counted }
    }

    /// Shows the objects of a shard, their sizes, and what the orders mean for them. Gives how
    /// many there were.
    pub(crate) fn each(
        &self,
        shard: usize,
        mut show: impl FnMut(&Subject<'_>, u64, Standing),
    ) -> usize {
        let (mut tags, mut seen) = (Vec::new(), 0);
        self.ledger.judging(|judge| {
            self.table.scan(shard, |view| {
                seen += 1;
                tags.clear();
                tags.extend(view.tags());
                let (key, id, epoch) = (view.key(), view.id, view.epoch());
                view.service(|service| {
                    let subject = Subject { key: &key, id, service, tags: &tags, epoch };
                    show(&subject, view.size(), judge(&subject));
                });
            });
        });
        seen
    }

    /// Somebody waits until everything up to this purge is reclaimed.
    pub fn hurry(&self, epoch: u64) {
        self.ledger.hurry(epoch);
    }

    /// What purging did and has to do.
    pub fn purge_stats(&self) -> PurgeStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PurgeStats {
            epoch: self.ledger.epoch(),
            reclaimed_epoch: self.ledger.reclaimed(),
            orders: self.ledger.len() as u64,
            objects: get(&self.swept.objects),
            bytes: get(&self.swept.bytes),
            stale: get(&self.swept.stale),
            walked: get(&self.swept.walked),
        }
    }

    /// Reclaims what was purged, until the cache is gone. Run it once, beside everything else.
    pub async fn reclaim(cache: Weak<Self>) {
        let Some(ledger) = cache.upgrade().map(|cache| cache.ledger.clone()) else { return };
        loop {
            let Some(now) = cache.upgrade() else { return };
            let done = now.reclaim_now().await;
            drop(now);
            if !done {
                tokio::time::sleep(RETRY).await;
                continue;
            }
            if ledger.unswept().is_none() {
                ledger.changed().await;
            }
            if ledger.unswept().is_none() {
                continue;
            }
            // All who wait are in a hurry once one is.
            let hurry = async {
                while !ledger.is_urgent() {
                    ledger.changed().await;
                }
            };
            // Either is a reason to go on.
            let _ = tokio::time::timeout(GATHER, hurry).await;
        }
    }

    /// Reclaims what was purged so far. `false` when the state file could not be written.
    pub(crate) async fn reclaim_now(&self) -> bool {
        // With none that is new, a fill that held some up has ended.
        let swept = self.ledger.unswept();
        if swept.is_some() && !self.sweep().await {
            return false;
        }
        self.ledger.let_go(swept.unwrap_or_default());
        self.orders_changed();
        true
    }

    fn orders_changed(&self) {
        match &self.state {
            Some(state) => state.changed_orders(),
            None => self.ledger.written(&self.ledger.delta()),
        }
    }

    /// Takes out of the table, and of its file, what the orders so far mean. `false` when the
    /// file could not be written.
    async fn sweep(&self) -> bool {
        // What was not read from the state file yet is not in the table.
        self.recovered().await;
        let mut work = 0;
        for shard in 0..self.table.shards() {
            let mut found = Vec::new();
            let seen = self.each(shard, |subject, _, standing| {
                if standing != Standing::Valid {
                    found.push(subject.id);
                }
            });
            for id in found {
                if let Some(object) = self.table.peek(id) {
                    self.put_away(&object, &mut work).await;
                }
                work += 1;
                pause(&mut work).await;
            }
            self.swept.walked.fetch_add(seen as u64, Ordering::Relaxed);
            work += seen;
            pause(&mut work).await;
        }
        self.swept.walked.store(0, Ordering::Relaxed);
        let Some(state) = &self.state else { return true };
        let errors = state.stats().errors;
        state.flush().await;
        state.stats().errors == errors
    }

    /// Does to an object and its chunks what was ordered.
    async fn put_away(&self, object: &Arc<StoredObject>, work: &mut usize) {
        let chunks = self.settle(object);
        for first in (0..chunks).step_by(STEP) {
            let last = chunks.min(first + STEP as u32);
            self.forget_chunks(object, first..last);
            *work += (last - first) as usize;
            pause(work).await;
        }
    }

    /// Does to an object of the table what was ordered, if it is still this one. Gives how
    /// many chunks of it are to be forgotten.
    fn settle(&self, object: &Arc<StoredObject>) -> u32 {
        let pinned = self.table.is_pinned(object.id);
        match guard::settle(&self.ledger, &*self.table, object) {
            Settled::Kept => 0,
            Settled::Stale => {
                self.mark(&object.id);
                self.swept.stale.fetch_add(1, Ordering::Relaxed);
                0
            }
            Settled::Gone(gone) => {
                if pinned {
                    self.unpinned(&gone.id, gone.generation);
                }
                self.mark(&gone.id);
                self.swept.objects.fetch_add(1, Ordering::Relaxed);
                self.swept.bytes.fetch_add(gone.size, Ordering::Relaxed);
                gone.chunks()
            }
        }
    }

    fn forget_chunks(&self, object: &StoredObject, chunks: std::ops::Range<u32>) {
        for index in chunks {
            let key: ChunkKey = object.chunk_key(index);
            self.ram.remove(&key);
            if let Some(store) = &self.store {
                store.remove(&key);
            }
        }
    }
}

async fn pause(work: &mut usize) {
    if *work >= STEP {
        *work = 0;
        tokio::time::sleep(PAUSE).await;
    }
}

impl Objects for Table {
    type Displaced = Displaced;

    fn insert(&self, object: Arc<StoredObject>) -> Displaced {
        Self::insert(self, object)
    }

    fn remove_if(
        &self,
        object: &StoredObject,
        same: impl FnOnce(&StoredObject) -> bool,
    ) -> Option<Arc<StoredObject>> {
        Self::remove_if(self, object.id, same)
    }

    fn replace_if(
        &self,
        object: Arc<StoredObject>,
        same: impl FnOnce(&StoredObject) -> bool,
    ) -> bool {
        Self::replace_if(self, object, same)
    }
}

impl Counted {
    fn look(&mut self, subject: &Subject<'_>, size: u64, meant: bool) {
        self.of.0 += 1;
        self.of.1 += size;
        if meant {
            self.objects += 1;
            self.bytes += size;
            if self.sample.len() < SAMPLE {
                self.sample.push(subject.key.to_owned());
            }
        }
    }
}
