//! The engine: resolves what an object is now, with one upstream request for all who ask,
//! and opens readers on its bytes.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::Method;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};
use weir_config_lifecycle::Clock;
use weir_edge_cache::{CHUNK_SIZE, Cache, ObjectId, Purged, StoredObject};
use weir_edge_freshness::RequestControl;

use crate::{
    ask::Ask,
    drive, judge,
    reader::{Reader, place},
    table::{Head, Resolved, Resolving, Role, Table},
    upstream::{UpBody, UpstreamError, UpstreamResponse},
};

/// Chunks of a response that are gathered before it starts; more are read as they are sent.
pub const AT_HAND_MAX: u32 = 16;

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
    pub(crate) counters: Counters,
}

/// How an answer came to be, as `Cache-Status` (RFC 9211) tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// From the cache, with no word from upstream.
    Hit,
    /// Not in the cache; this request asked upstream.
    Miss { status: u16 },
    /// Not in the cache; another request was already asking.
    Collapsed { status: u16 },
    /// In the cache but stale, and the upstream said that it still holds.
    Revalidated,
    /// In the cache but stale, and replaced.
    Replaced { status: u16 },
    /// Stale, and served because no upstream answered (RFC 5861 §4).
    StaleOnError,
}

/// What a request gets.
pub enum Answer {
    Object(Found),
    /// A response for this request alone; nothing of it is kept.
    Passed(UpstreamResponse),
}

/// An object that can be read.
#[derive(Debug, Clone)]
pub struct Found {
    pub(crate) resolved: Resolved,
    pub how: How,
    /// When the first byte must be there.
    pub(crate) due: Instant,
}

impl Found {
    pub fn object(&self) -> &Arc<StoredObject> {
        &self.resolved.object
    }

    /// Bytes of the whole representation; none while an upstream that declared no length is
    /// still sending.
    pub fn size(&self) -> Option<u64> {
        self.resolved.size
    }
}

impl Engine {
    /// `concurrency` bounds the fills under way; each holds at most 3 MiB of its own.
    pub fn new(
        cache: Arc<Cache>,
        clock: Arc<dyn Clock>,
        runtime: Handle,
        concurrency: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            cache,
            clock,
            runtime,
            table: Table::new(),
            slots: Arc::new(Semaphore::new(concurrency)),
            counters: Counters::default(),
        })
    }

    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Fills and resolutions under way.
    pub fn under_way(&self) -> usize {
        self.table.under_way()
    }

    /// Fills that could start now.
    pub fn slots_free(&self) -> usize {
        self.slots.available_permits()
    }

    /// The object if the cache can answer for it without a word from upstream. The hot path:
    /// no allocation, no lock but that of the object's shard.
    pub fn fresh(
        &self,
        id: &ObjectId,
        key: &str,
        control: &RequestControl,
    ) -> Option<Arc<StoredObject>> {
        let object = self.cache.object(id, key)?;
        judge::usable(&object, control, self.clock.unix_millis()).then_some(object)
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

    /// Finds out what the object is now: from the cache, by joining a request under way, or
    /// by asking upstream. The answer and its first byte are there within the deadline.
    pub async fn resolve(self: &Arc<Self>, ask: &Ask) -> Result<Answer, UpstreamError> {
        self.resolve_by(ask, Instant::now() + ask.policy.deadline).await
    }

    /// As [`Engine::resolve`], for a request that began earlier.
    pub async fn resolve_by(
        self: &Arc<Self>,
        ask: &Ask,
        due: Instant,
    ) -> Result<Answer, UpstreamError> {
        if let Some(object) = self.fresh(&ask.id, &ask.key, &ask.control) {
            return Ok(Answer::Object(Found::stored(object, How::Hit, due)));
        }
        // RFC 9111 §5.2.1.5: what such a request brings could not be kept for the others.
        if ask.control.no_store {
            return self.alone(ask, due).await;
        }
        let stale = self.cache.object(&ask.id, &ask.key);
        let now = self.clock.unix_millis();
        let usable = |growing: &Resolved| {
            is_of(growing, ask) && judge::usable(&growing.object, &ask.control, now)
        };
        match self.table.resolve(ask.id, usable) {
            Role::Alone => self.alone(ask, due).await,
            Role::Growing(resolved) => Ok(Answer::Object(self.joined(resolved, due))),
            Role::Leader(resolving, response) => {
                // Between our look into the cache and now another one may have ended.
                if let Some(object) = self.fresh(&ask.id, &ask.key, &ask.control) {
                    let found = Found::stored(object, How::Hit, due);
                    let head = Head::Object(found.resolved.clone());
                    self.table.resolved(ask.id, &resolving, head);
                    return Ok(Answer::Object(found));
                }
                self.lead(ask, due, stale, resolving, response).await
            }
            Role::Follower(head) => match self.wait(ask, due, head).await {
                Ok(Head::Object(resolved)) if is_of(&resolved, ask) => {
                    Ok(Answer::Object(self.joined(resolved, due)))
                }
                Ok(Head::Object(_) | Head::Alone) => self.alone(ask, due).await,
                Ok(Head::Failed(error)) | Err(error) => self.instead(stale, error, due),
                Ok(Head::Waiting) => unreachable!("wait() returns when there is an answer"),
            },
        }
    }

    fn joined(&self, resolved: Resolved, due: Instant) -> Found {
        self.counters.collapsed.fetch_add(1, Ordering::Relaxed);
        let how = How::Collapsed { status: resolved.upstream_status };
        Found { resolved, how, due }
    }

    async fn alone(self: &Arc<Self>, ask: &Ask, due: Instant) -> Result<Answer, UpstreamError> {
        self.pass_by(ask, Method::GET, None, Some(due)).await.map(Answer::Passed)
    }

    async fn lead(
        self: &Arc<Self>,
        ask: &Ask,
        due: Instant,
        stale: Option<Arc<StoredObject>>,
        resolving: Arc<Resolving>,
        mut response: oneshot::Receiver<UpstreamResponse>,
    ) -> Result<Answer, UpstreamError> {
        let head = resolving.head.subscribe();
        let had = stale.as_ref().map(|stale| stale.generation);
        let engine = Arc::clone(self);
        self.runtime.spawn(drive::resolve(engine, ask.clone(), stale.clone(), resolving));
        match self.wait(ask, due, head).await {
            Ok(Head::Object(resolved)) => {
                let how = led(&resolved, had);
                Ok(Answer::Object(Found { resolved, how, due }))
            }
            Ok(Head::Alone) => match response.try_recv() {
                Ok(response) => Ok(Answer::Passed(response)),
                Err(_) => self.alone(ask, due).await,
            },
            Ok(Head::Failed(error)) | Err(error) => match self.instead(stale, error, due) {
                Err(error) => response.try_recv().map(Answer::Passed).map_err(|_| error),
                answer => answer,
            },
            Ok(Head::Waiting) => unreachable!("wait() returns when there is an answer"),
        }
    }

    /// Sends the client's own request upstream; nothing of the answer is kept. `due` is when
    /// its head must be there, where anything says so.
    pub async fn pass_by(
        self: &Arc<Self>,
        ask: &Ask,
        method: Method,
        body: Option<UpBody>,
        due: Option<Instant>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let Some(due) = due else { return self.pass(ask, method, body).await };
        let sent = timeout_at(due, self.pass(ask, method, body)).await;
        sent.unwrap_or_else(|_| Err(late(ask)))
    }

    async fn pass(
        self: &Arc<Self>,
        ask: &Ask,
        method: Method,
        body: Option<UpBody>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let request = ask.alone(method, body);
        let upstream = Arc::clone(&ask.upstream);
        // On the fill runtime, so that pooled connections do not die with a worker.
        let sent = self.runtime.spawn(async move { upstream.send(request).await }).await;
        sent.unwrap_or_else(|gone| Err(lost(ask, &gone.to_string())))
    }

    /// Opens `range` of an object and waits for its first byte, so that a failure up to there
    /// can still be answered with a status. `None` is everything.
    pub async fn open(
        self: &Arc<Self>,
        ask: &Ask,
        found: &Found,
        range: Option<Range<u64>>,
    ) -> Result<Reader, UpstreamError> {
        let mut reader = Reader::new(Arc::clone(self), ask.clone(), found, range);
        let primed = timeout_at(found.due, reader.prime()).await;
        primed.unwrap_or_else(|_| Err(late(ask)))?;
        Ok(reader)
    }

    /// Forgets an object. What is on its way reaches those who already wait for it and is not
    /// kept; whoever asks from now on is answered anew.
    pub fn purge(&self, id: &ObjectId) -> Option<Purged> {
        // In this order: a fill that stores its object after we looked sees the mark.
        self.table.purge(*id);
        self.cache.purge(id)
    }

    /// Stale content rather than an error, where the origin allows it.
    fn instead(
        &self,
        stale: Option<Arc<StoredObject>>,
        error: UpstreamError,
        due: Instant,
    ) -> Result<Answer, UpstreamError> {
        let now = self.clock.unix_millis();
        match stale {
            Some(object) if judge::may_serve_on_error(&object, now) => {
                Ok(Answer::Object(Found::stored(object, How::StaleOnError, due)))
            }
            _ => Err(error),
        }
    }

    async fn wait(
        &self,
        ask: &Ask,
        due: Instant,
        mut head: tokio::sync::watch::Receiver<Head>,
    ) -> Result<Head, UpstreamError> {
        let answered = head.wait_for(|head| !matches!(head, Head::Waiting));
        match timeout_at(due, answered).await {
            Ok(Ok(head)) => Ok(head.clone()),
            Ok(Err(_)) => Err(lost(ask, "its fill ended without an answer")),
            Err(_) => Err(late(ask)),
        }
    }
}

impl Found {
    fn stored(object: Arc<StoredObject>, how: How, due: Instant) -> Self {
        let resolved = Resolved {
            size: Some(object.size),
            upstream_status: object.status.as_u16(),
            object,
            body: None,
        };
        Self { resolved, how, due }
    }
}

/// Whether it is what was asked for: two keys may have one hash.
fn is_of(resolved: &Resolved, ask: &Ask) -> bool {
    *resolved.object.key == *ask.key
}

fn led(resolved: &Resolved, had: Option<u64>) -> How {
    let status = resolved.upstream_status;
    match had {
        None => How::Miss { status },
        Some(generation) if generation == resolved.object.generation => How::Revalidated,
        Some(_) => How::Replaced { status },
    }
}

pub(crate) fn late(ask: &Ask) -> UpstreamError {
    UpstreamError::Silent {
        upstream: ask.upstream.id().into(),
        phase: crate::upstream::Phase::Headers,
        after: ask.policy.deadline,
    }
}

fn lost(ask: &Ask, reason: &str) -> UpstreamError {
    UpstreamError::Refused { upstream: ask.upstream.id().into(), reason: reason.into() }
}
