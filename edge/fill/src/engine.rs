//! The engine: what all fills share, what the cache can answer at once, and readers on the
//! bytes of an object. Finding out what an object is now is in `resolve.rs`.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout_at};
use weir_config_lifecycle::Clock;
use weir_edge_cache::{
    CHUNK_SIZE, Cache, Mode, ObjectId, PurgeError, Purged, Selector, StoredObject, VARIANT_MARK,
};
use weir_edge_freshness::{PassReason, RequestControl};

use crate::{
    accounts::Accounts,
    answer::Found,
    ask::{Ask, Place},
    judge,
    lag::Allowance,
    reader::{Reader, place},
    table::Table,
    upstream::UpstreamError,
    variant,
};

/// Chunks of a response that are gathered before it starts; more are read as they are sent.
pub const AT_HAND_MAX: u32 = 16;

/// What may be fetched for a client beyond what it takes, until somebody says otherwise.
const BURST: u64 = 8 << 20;

/// Counters since start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Fills that brought everything.
    pub filled: AtomicU64,
    /// Resolutions and fills that failed, after all resumes.
    pub failed: AtomicU64,
    /// Body bytes received from upstream.
    pub upstream_bytes: AtomicU64,
    /// Requests that joined one already under way.
    pub collapsed: AtomicU64,
    /// Fills whose bytes were thrown away because their response contradicted itself.
    pub tainted: AtomicU64,
    /// Stale responses served while they are revalidated (RFC 5861 §3).
    pub stale_while_revalidate: AtomicU64,
    /// Stale responses served instead of an error (RFC 5861 §4, RFC 9111 §4.2.4).
    pub stale_if_error: AtomicU64,
    /// Responses stored beside others of their URL (RFC 9111 §4.1).
    pub variants: AtomicU64,
    /// Readers that a fill no longer waited for, of what cannot be had again.
    pub left_behind: AtomicU64,
    /// Fills that nobody wanted to their end, or might have.
    pub stopped: AtomicU64,
    /// Requests for parts that were answered with these alone, since their client has had its
    /// share.
    pub exact: AtomicU64,
}

/// Everything a fill needs, shared by all of them.
#[derive(Debug)]
pub struct Engine {
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where fills run: they outlive the request, and the worker, that started them.
    pub(crate) runtime: Handle,
    pub(crate) table: Table,
    /// One permit for each fill under way.
    pub(crate) slots: Arc<Semaphore>,
    places: usize,
    /// Fills that have to wait for theirs.
    pub(crate) waiting: AtomicUsize,
    pub(crate) counters: Counters,
    /// What fills may keep for readers that are behind.
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) accounts: Accounts,
    /// Held while a variant becomes reachable: two of one URL must both be in its record.
    pub(crate) variants: Mutex<()>,
}

impl Engine {
    /// `concurrency` bounds the fills under way; each holds at most 3 MiB of its own, or 6 MiB where
    /// it waits for a slow reader.
    pub fn new(
        cache: Arc<Cache>,
        clock: Arc<dyn Clock>,
        runtime: Handle,
        concurrency: usize,
    ) -> Arc<Self> {
        let allowance = Allowance::of(cache.stats().ram_capacity_bytes / 2);
        Arc::new(Self {
            cache,
            clock,
            runtime,
            table: Table::new(),
            slots: Arc::new(Semaphore::new(concurrency)),
            places: concurrency,
            waiting: AtomicUsize::new(0),
            counters: Counters::default(),
            allowance,
            accounts: Accounts::new(BURST),
            variants: Mutex::new(()),
        })
    }

    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// What is fetched for each client, against what it takes.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Fills and resolutions under way.
    pub fn under_way(&self) -> usize {
        self.table.under_way()
    }

    /// Whether requests for this object go to the upstream each by itself at the moment, since
    /// its last answer could not be shared; and why, as far as is known.
    pub fn is_passed(&self, id: &ObjectId) -> Option<Option<PassReason>> {
        self.table.alone(*id)
    }

    /// Fills that wait for a place, and how many places there are.
    pub fn queue(&self) -> (usize, usize) {
        (self.waiting.load(Ordering::Relaxed), self.places)
    }

    /// Fills that could start now.
    pub fn slots_free(&self) -> usize {
        self.slots.available_permits()
    }

    /// The object if the cache can answer for it without a word from upstream, and has one
    /// response for all. The hot path: no allocation, no lock but that of the object's shard.
    pub fn fresh(
        &self,
        id: &ObjectId,
        key: &str,
        control: &RequestControl,
    ) -> Option<Arc<StoredObject>> {
        // RFC 9111 §4 [reuse.uri]: the table compares the key, not its hash alone.
        let object = self.cache.object(id, key)?;
        let usable = judge::usable(&object, control, self.clock.unix_millis());
        (usable && !variant::is_record(&object)).then_some(object)
    }

    /// Whether something of an ask is here, be it stale, or on its way.
    pub fn has_or_fetches(&self, ask: &Ask) -> bool {
        self.table.is_under_way(ask.id) || self.cache.object(&ask.id, &ask.key).is_some()
    }

    /// The same for whichever response of its URL a request selects.
    pub fn fresh_for(&self, ask: &Ask) -> Option<Arc<StoredObject>> {
        let object = variant::place(self, ask)?.stored?;
        judge::usable(&object, &ask.control, self.clock.unix_millis()).then_some(object)
    }

    /// A range of an object if every byte of it is in RAM: at most [`AT_HAND_MAX`] chunks.
    pub fn at_hand(&self, object: &StoredObject, range: &Range<u64>) -> Option<Vec<Bytes>> {
        if range.is_empty() {
            return Some(Vec::new());
        }
        let (first, _) = place(range.start);
        let (last, _) = place(range.end - 1);
        if last - first >= AT_HAND_MAX {
            return None;
        }
        (first..=last)
            .map(|index| {
                let chunk = self.cache.ram_chunk(&object.chunk_key(index))?;
                let base = u64::from(index) * CHUNK_SIZE as u64;
                let from = usize::try_from(range.start.saturating_sub(base)).ok()?;
                let to = usize::try_from(range.end - base).ok()?.min(chunk.data().len());
                // A chunk that ends before the range does is not this object's.
                (from < to && (index < last || to as u64 == range.end - base))
                    .then(|| chunk.data().slice(from..to))
            })
            .collect()
    }

    /// Opens `range` of an object and waits for its first byte, so that a failure up to there
    /// can still be answered with a status. `None` is everything.
    pub async fn open(
        self: &Arc<Self>,
        ask: &Ask,
        found: &Found,
        range: Option<Range<u64>>,
    ) -> Result<Reader, UpstreamError> {
        let object = found.object();
        // Its bytes lie where it lies, which for a variant is not where the URL does.
        let ask = Ask { id: object.id, key: (*object.key).into(), ..ask.clone() };
        let mut reader = Reader::new(Arc::clone(self), ask.clone(), found, range);
        let primed = timeout_at(found.due, reader.prime()).await;
        primed.unwrap_or_else(|_| Err(late(&ask)))?;
        Ok(reader)
    }

    /// Purges by order: holds from now on, and survives a kill when it returns `Ok`. What is on
    /// its way reaches those who already wait for it and is not kept. Gives the purge epoch.
    pub async fn order(&self, selectors: &[Selector], mode: Mode) -> Result<u64, PurgeError> {
        for selector in selectors {
            if let Selector::Key(key) = selector {
                self.table.together(ObjectId::of(key));
            }
        }
        self.cache.order(selectors, mode, self.clock.unix_millis()).await
    }

    /// Forgets the responses of a URL without an order, variants and answers to HEAD too. What is on its way
    /// reaches those who already wait for it and is not kept; whoever asks from now on is
    /// answered anew.
    pub fn purge(&self, place: &Place) -> Option<Purged> {
        let head = Place::of(format!("{}{VARIANT_MARK}head", place.key));
        let mut all = Purged::default();
        for Place { id, key } in [place, &head] {
            let record = self.cache.object(id, key).filter(|object| variant::is_record(object));
            let variants = record.map_or_else(Vec::new, |record| variant::variants(&record));
            for id in variants.iter().chain([id]) {
                // In this order: a fill that stores its object after we looked sees the mark.
                self.table.purge(*id);
                if let Some(Purged { objects, bytes }) = self.cache.purge(id) {
                    all.objects += objects;
                    all.bytes += bytes;
                }
            }
        }
        (all.objects > 0).then_some(all)
    }
}

pub(crate) fn late(ask: &Ask) -> UpstreamError {
    UpstreamError::Silent {
        upstream: ask.upstream.id().into(),
        phase: crate::upstream::Phase::Headers,
        after: ask.policy.deadline,
    }
}
