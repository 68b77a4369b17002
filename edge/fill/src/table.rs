//! What is under way: one entry an object that is being resolved or filled, so that whoever
//! asks next joins instead of asking upstream again. An entry lives as long as its work.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use weir_edge_cache::{ObjectId, StoredObject};
use weir_edge_freshness::PassReason;

use crate::{
    demand::Demand,
    lag::{Allowance, Lag},
    progress::Progress,
    sync::{AtomicBool, Mutex, Ordering},
    upstream::{UpstreamError, UpstreamResponse},
};

/// Sixteen locks: enough that the workers of a big host seldom meet.
const SHARDS: usize = 16;
/// Objects of one shard remembered as not to be shared; about 3 MiB for all shards.
const ALONE_MAX: usize = 4096;

/// A body on its way in: chunks `first..end` of one generation.
#[derive(Debug)]
pub(crate) struct BodyFill {
    pub generation: u64,
    pub first: u32,
    /// Index after the last chunk; none while the size is unknown.
    pub end: Option<u32>,
    pub progress: Progress,
    /// Set by a purge: what it brings is for those who already wait, and is not kept.
    pub purged: AtomicBool,
    /// Its readers, where what it brings cannot be had again.
    pub lag: Option<Arc<Lag>>,
    /// Who wants it, and how much of it.
    pub demand: Arc<Demand>,
}

/// Chunks that a reader rather waits for than asks upstream for them once more.
const NEAR: u32 = 4;

impl BodyFill {
    /// A fill of chunks `first..end`, none of them here yet.
    pub(crate) fn new(generation: u64, first: u32, end: Option<u32>, demand: Arc<Demand>) -> Self {
        let progress = Progress::starting_at(first);
        let purged = AtomicBool::new(false);
        Self { generation, first, end, progress, purged, lag: None, demand }
    }

    /// The same for a body that cannot be asked for again.
    pub(crate) fn once(self, allowance: Arc<Allowance>) -> Self {
        Self { lag: Some(Lag::new(self.first, allowance)), ..self }
    }

    /// Whether a reader that needs chunk `index` next finds it here: not before the fill's
    /// beginning, not beyond its end, and not among what it has already let go. What is on its
    /// way to a busy tier is nowhere else.
    pub(crate) fn brings(&self, generation: u64, index: u32) -> bool {
        self.generation == generation
            && self.covers(index)
            && self.progress.has(index)
            && self.progress.ended().is_none()
    }

    /// Whether chunk `index` is part of it.
    pub(crate) fn covers(&self, index: u32) -> bool {
        self.first <= index && self.end.is_none_or(|end| index < end)
    }

    /// Whether chunk `index` is among the next to come.
    pub(crate) fn is_near(&self, index: u32) -> bool {
        index <= self.progress.index().saturating_add(NEAR)
    }
}

/// The one request that finds out what an object is now.
#[derive(Debug)]
pub(crate) struct Resolving {
    pub head: watch::Sender<Head>,
    /// Where a response that cannot be shared goes.
    pub leader: Mutex<Option<oneshot::Sender<UpstreamResponse>>>,
    /// As [`BodyFill::purged`].
    pub purged: AtomicBool,
    /// Purge epoch when it began.
    pub epoch: u64,
}

/// What the waiters of a [`Resolving`] learn.
#[derive(Debug, Clone)]
pub(crate) enum Head {
    Waiting,
    Object(Resolved),
    /// The response may not be shared, and why: each asks for itself.
    Alone(Option<PassReason>),
    Failed(UpstreamError),
}

/// An object whose head is known; `body` brings its bytes where they are still on their way.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub object: Arc<StoredObject>,
    /// None while an upstream that declared no length is still sending.
    pub size: Option<u64>,
    pub body: Option<Arc<BodyFill>>,
    /// Status of the upstream's answer.
    pub upstream_status: u16,
}

#[derive(Debug, Default)]
struct Entry {
    resolving: Option<Arc<Resolving>>,
    /// Those that nobody joins any more, since they began before a purge.
    outdated: Vec<Arc<Resolving>>,
    /// What is being sent without a length: it is in the cache only when it has ended.
    growing: Option<Resolved>,
    bodies: Vec<Arc<BodyFill>>,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<ObjectId, Entry>,
    alone: HashMap<ObjectId, (Instant, Option<PassReason>)>,
}

/// Who resolves an object.
pub(crate) enum Role {
    Leader(Arc<Resolving>, oneshot::Receiver<UpstreamResponse>),
    Follower(watch::Receiver<Head>),
    /// Its head is known already.
    Growing(Resolved),
    Alone(Option<PassReason>),
}

#[derive(Debug)]
pub(crate) struct Table {
    shards: [Mutex<Shard>; SHARDS],
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn shard(&self, id: ObjectId) -> &Mutex<Shard> {
        // The id is a hash: its low bits are as good as any.
        &self.shards[(id.0 as usize) % SHARDS]
    }

    /// Joins the request that resolves `id`, or becomes it. `answers` says whether one that
    /// began at that purge epoch may answer this request, `usable` whether what is being sent
    /// will do for it.
    pub(crate) fn resolve(
        &self,
        id: ObjectId,
        epoch: u64,
        answers: impl FnOnce(u64) -> bool,
        usable: impl FnOnce(&Resolved) -> bool,
    ) -> Role {
        let mut shard = self.shard(id).lock();
        if let Some((until, reason)) = shard.alone.get(&id) {
            if *until > Instant::now() {
                return Role::Alone(*reason);
            }
            shard.alone.remove(&id);
        }
        let entry = shard.entries.entry(id).or_default();
        if let Some(resolving) = entry.resolving.take() {
            if answers(resolving.epoch) {
                let head = resolving.head.subscribe();
                entry.resolving = Some(resolving);
                return Role::Follower(head);
            }
            // It goes on for those who wait for it.
            entry.outdated.push(resolving);
        }
        if let Some(growing) = entry.growing.as_ref().filter(|growing| usable(growing)) {
            return Role::Growing(growing.clone());
        }
        let (leader, response) = oneshot::channel();
        let resolving = Arc::new(Resolving {
            head: watch::Sender::new(Head::Waiting),
            leader: Mutex::new(Some(leader)),
            purged: AtomicBool::new(false),
            epoch,
        });
        entry.resolving = Some(Arc::clone(&resolving));
        Role::Leader(resolving, response)
    }

    /// Publishes what came of resolving. New requests no longer join it.
    pub(crate) fn resolved(&self, id: ObjectId, resolving: &Arc<Resolving>, head: Head) {
        {
            let mut shard = self.shard(id).lock();
            if let Some(entry) = shard.entries.get_mut(&id) {
                // After a purge the place may belong to another one.
                entry.resolving.take_if(|now| Arc::ptr_eq(now, resolving));
                entry.outdated.retain(|other| !Arc::ptr_eq(other, resolving));
            }
            shard.tidy(id);
        }
        resolving.head.send_replace(head);
    }

    /// Makes the body that `resolving` found known, before its object can be found in the
    /// cache: whoever finds that finds this too. A purge that was there first marks it.
    pub(crate) fn begin(&self, id: ObjectId, resolving: &Resolving, resolved: &Resolved) {
        let Some(body) = &resolved.body else { return };
        let mut shard = self.shard(id).lock();
        if resolving.purged.load(Ordering::SeqCst) {
            body.purged.store(true, Ordering::SeqCst);
            return;
        }
        let entry = shard.entries.entry(id).or_default();
        entry.bodies.push(Arc::clone(body));
        if resolved.size.is_none() {
            entry.growing = Some(resolved.clone());
        }
    }

    /// Whether responses for `id` are not shared at the moment, and why as far as is known.
    pub(crate) fn alone(&self, id: ObjectId) -> Option<Option<PassReason>> {
        let shard = self.shard(id).lock();
        shard.alone.get(&id).filter(|(until, _)| *until > Instant::now()).map(|(_, why)| *why)
    }

    /// Whether something is being asked or brought for `id`.
    pub(crate) fn is_under_way(&self, id: ObjectId) -> bool {
        self.shard(id).lock().entries.contains_key(&id)
    }

    /// Remembers for a while that responses for `id` are not shared.
    pub(crate) fn alone_for(&self, id: ObjectId, time: Duration, reason: Option<PassReason>) {
        let mut shard = self.shard(id).lock();
        let now = Instant::now();
        if shard.alone.len() >= ALONE_MAX {
            shard.alone.retain(|_, (until, _)| *until > now);
        }
        if shard.alone.len() < ALONE_MAX {
            shard.alone.insert(id, (now + time, reason));
        }
    }

    /// The fill that brings chunk `index` to a reader, with `near` only one that brings it
    /// soon.
    pub(crate) fn body(
        &self,
        id: ObjectId,
        generation: u64,
        index: u32,
        near: bool,
    ) -> Option<Arc<BodyFill>> {
        self.shard(id).lock().entries.get(&id)?.body(generation, index, near)
    }

    /// As [`Table::body`], else registers the fill that `make` makes: `true` says that the
    /// caller must drive it.
    pub(crate) fn body_or(
        &self,
        id: ObjectId,
        generation: u64,
        index: u32,
        near: bool,
        make: impl FnOnce() -> BodyFill,
    ) -> (Arc<BodyFill>, bool) {
        let mut shard = self.shard(id).lock();
        let entry = shard.entries.entry(id).or_default();
        if let Some(fill) = entry.body(generation, index, near) {
            return (fill, false);
        }
        let fill = Arc::new(make());
        entry.bodies.push(Arc::clone(&fill));
        (fill, true)
    }

    /// Responses for `id` may be shared again: who purges may have put right what kept them
    /// from it.
    pub(crate) fn together(&self, id: ObjectId) {
        self.shard(id).lock().alone.remove(&id);
    }

    /// What is under way for `id` is for those who wait for it; whoever comes next asks anew.
    pub(crate) fn purge(&self, id: ObjectId) {
        let mut shard = self.shard(id).lock();
        if let Some(entry) = shard.entries.get_mut(&id) {
            for resolving in entry.resolving.take().into_iter().chain(entry.outdated.drain(..)) {
                resolving.purged.store(true, Ordering::SeqCst);
            }
            for fill in entry.bodies.drain(..) {
                fill.purged.store(true, Ordering::SeqCst);
            }
            entry.growing = None;
        }
        // Who purges may have put right what kept it from being shared.
        shard.alone.remove(&id);
        shard.tidy(id);
    }

    /// Takes a fill out once its chunks are in the cache or it failed.
    pub(crate) fn finished(&self, id: ObjectId, fill: &Arc<BodyFill>) {
        let mut shard = self.shard(id).lock();
        if let Some(entry) = shard.entries.get_mut(&id) {
            entry.bodies.retain(|other| !Arc::ptr_eq(other, fill));
            let its = |growing: &mut Resolved| {
                growing.body.as_ref().is_some_and(|body| Arc::ptr_eq(body, fill))
            };
            entry.growing.take_if(its);
        }
        shard.tidy(id);
    }

    /// Fills and resolutions under way.
    pub(crate) fn under_way(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                let count = |e: &Entry| {
                    e.bodies.len() + e.outdated.len() + usize::from(e.resolving.is_some())
                };
                shard.entries.values().map(count).sum::<usize>()
            })
            .sum()
    }
}

impl Entry {
    fn body(&self, generation: u64, index: u32, near: bool) -> Option<Arc<BodyFill>> {
        let brings = |fill: &&Arc<BodyFill>| {
            fill.brings(generation, index) && (!near || fill.is_near(index))
        };
        self.bodies.iter().find(brings).map(Arc::clone)
    }
}

impl Shard {
    fn tidy(&mut self, id: ObjectId) {
        let idle =
            |e: &Entry| e.resolving.is_none() && e.outdated.is_empty() && e.bodies.is_empty();
        if self.entries.get(&id).is_some_and(idle) {
            self.entries.remove(&id);
        }
    }
}
