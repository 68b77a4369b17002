//! Drives fills: asks upstream, publishes the head, cuts the body into chunks, puts them into
//! the cache, and throws everything away when the response turns out to contradict itself.

use std::sync::{Arc, atomic::Ordering};

use futures::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::OwnedSemaphorePermit;
use weir_edge_cache::{CHUNK_SIZE, Chunk, ChunkKey, StoredObject, Ticket};

use crate::{
    ask::Ask,
    engine::{Engine, late},
    judge::{self, HeadMeans, Meaning, Sent, Stored},
    resume::{Resumable, resuming, watched},
    table::{BodyFill, Head, Resolved, Resolving},
    upstream::{DownBody, Phase, UpstreamError, UpstreamResponse},
    variant,
};

/// Pieces taken from an upstream before followers are woken once for all of them.
const BATCH: usize = 16;
/// How long an object whose response could not be shared is not collapsed again.
const ALONE_FOR: std::time::Duration = std::time::Duration::from_secs(10);

/// Finds out what an object is now and brings its body.
pub(crate) async fn resolve(engine: Arc<Engine>, ask: Ask, resolving: Arc<Resolving>) {
    let publish = Publish { engine: &engine, ask: &ask, resolving: &resolving };
    let (head, body) = match ask_head(&engine, &ask, &resolving).await {
        Ok(opened) => opened,
        Err(error) => {
            engine.counters.failed.fetch_add(1, Ordering::Relaxed);
            (Head::Failed(error), None)
        }
    };
    publish.now(head);
    if let Some(opened) = body {
        opened.run().await;
    }
}

/// Releases the waiters whatever happens to the task that should have answered them.
struct Publish<'a> {
    engine: &'a Engine,
    ask: &'a Ask,
    resolving: &'a Arc<Resolving>,
}

impl Publish<'_> {
    fn now(self, head: Head) {
        self.engine.table.resolved(self.ask.id, self.resolving, head);
        std::mem::forget(self);
    }
}

impl Drop for Publish<'_> {
    fn drop(&mut self) {
        let head = Head::Failed(broken_off(self.ask));
        self.engine.table.resolved(self.ask.id, self.resolving, head);
    }
}

/// Ends a fill, and with it its followers, whatever happens to the task that drives it.
struct Ending {
    engine: Arc<Engine>,
    ask: Ask,
    fill: Arc<BodyFill>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // The first end counts: after a regular one this changes nothing.
        self.fill.progress.end(Err(broken_off(&self.ask)));
        self.engine.table.finished(self.ask.id, &self.fill);
    }
}

fn broken_off(ask: &Ask) -> UpstreamError {
    let reason = "the fill was broken off".into();
    UpstreamError::Refused { upstream: ask.upstream.id().into(), reason }
}

/// A body that is about to be filled.
struct Opened {
    permit: OwnedSemaphorePermit,
    ending: Ending,
    body: DownBody,
    /// Where the body must end; none when the upstream declared no length.
    end: Option<u64>,
    /// Whether a chunk that is gone can be told to be of the same bytes when it comes again.
    refillable: bool,
    /// What goes into the table when the body's size is known only at its end.
    late_object: Option<(StoredObject, Ticket)>,
}

/// The head of the object, and its body where one is on its way.
async fn ask_head(
    engine: &Arc<Engine>,
    ask: &Ask,
    resolving: &Resolving,
) -> Result<(Head, Option<Opened>), UpstreamError> {
    let permit = slot(engine, ask).await?;
    // In this order: what was purged before is not looked at, and what is purged from now on
    // is not kept, however its upstream answers.
    let ticket = engine.cache.begin();
    let stale = engine.cache.object(&ask.id, &ask.key);
    let stale = stale.as_deref();
    let mut sent = Sent::first(ask, stale);
    loop {
        let request_millis = engine.clock.unix_millis();
        let request = ask.request(sent.headers(ask, stale));
        let response = within(ask, Phase::Headers, ask.upstream.send(request)).await??;
        let response_millis = engine.clock.unix_millis();
        let times = (request_millis, response_millis);
        let generation = || engine.cache.next_generation();
        if let Some(head) = updated_by_head(engine, ask, &response, times, &ticket) {
            return Ok((head, None));
        }
        match judge::meaning(ask, &sent, stale, &response, times, generation) {
            Meaning::Store(mut stored) => {
                stored.object.epoch = ticket.epoch();
                return Ok(open(engine, ask, *stored, response, (permit, ticket), resolving));
            }
            Meaning::Unchanged => {
                let stale = stale.expect("only a stored object is asked about");
                let epoch = ticket.epoch();
                let updated = judge::updated(ask, stale, &response, times);
                let updated = StoredObject { epoch, ..updated };
                let object = if resolving.purged.load(Ordering::SeqCst) {
                    Arc::new(updated)
                } else {
                    engine.cache.put_object(updated)
                };
                if resolving.purged.load(Ordering::SeqCst) {
                    let chunks = object.chunks();
                    engine.cache.discard_generation(&ask.id, object.generation, chunks);
                }
                let head = Head::Object(Resolved {
                    size: Some(object.size),
                    object,
                    body: None,
                    upstream_status: response.status.as_u16(),
                });
                return Ok((head, None));
            }
            Meaning::AskWhole => sent = Sent::Whole,
            Meaning::Alone { lasting, reason } => {
                if lasting {
                    engine.table.alone_for(ask.id, ALONE_FOR, reason);
                }
                if sent.answers_client() {
                    hand_over(resolving, response);
                }
                return Ok((Head::Alone(reason), None));
            }
            // Who asked gets the server's own words; the waiters do not all go and ask again.
            Meaning::Unavailable(status) => {
                hand_over(resolving, response);
                let upstream = ask.upstream.id().into();
                return Err(UpstreamError::Status { upstream, status });
            }
            Meaning::Contradiction(reason) => {
                let upstream = ask.upstream.id().into();
                return Err(UpstreamError::Contradiction { upstream, reason });
            }
        }
    }
}

fn hand_over(resolving: &Resolving, response: UpstreamResponse) {
    if let Some(leader) = resolving.leader.lock().take() {
        // A leader that is gone has no use for it.
        let _gone = leader.send(response);
    }
}

/// The engine's own watch over adapters: whatever they do, a waiter is released in time.
async fn within<T>(
    ask: &Ask,
    phase: Phase,
    work: impl Future<Output = T>,
) -> Result<T, UpstreamError> {
    let after = ask.policy.deadline;
    tokio::time::timeout(after, work).await.map_err(|_| UpstreamError::Silent {
        upstream: ask.upstream.id().into(),
        phase,
        after,
    })
}

async fn slot(engine: &Engine, ask: &Ask) -> Result<OwnedSemaphorePermit, UpstreamError> {
    let slots = Arc::clone(&engine.slots);
    match tokio::time::timeout(ask.policy.deadline, slots.acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) => Err(late(ask)),
        Err(_) => Err(UpstreamError::NoSlot),
    }
}

/// RFC 9111 §4.3.5: the stored answer to GET, where this one to HEAD updates it. Where it tells
/// of another representation, what is stored is stale from now on.
fn updated_by_head(
    engine: &Engine,
    ask: &Ask,
    response: &UpstreamResponse,
    times: (u64, u64),
    ticket: &Ticket,
) -> Option<Head> {
    let get = ask.get()?;
    let placed = variant::place(engine, &get)?;
    match judge::head_means(&placed.ask, &*placed.stored?, response, times) {
        HeadMeans::Updated(mut object) => {
            object.epoch = ticket.epoch();
            let object = engine.cache.put_object(*object);
            let (size, upstream_status) = (Some(object.size), response.status.as_u16());
            Some(Head::Object(Resolved { object, size, body: None, upstream_status }))
        }
        HeadMeans::Outdated(mut object) => {
            object.epoch = ticket.epoch();
            engine.cache.put_object(*object);
            None
        }
        HeadMeans::Nothing => None,
    }
}

fn open(
    engine: &Arc<Engine>,
    ask: &Ask,
    stored: Stored,
    response: UpstreamResponse,
    (permit, ticket): (OwnedSemaphorePermit, Ticket),
    resolving: &Resolving,
) -> (Head, Option<Opened>) {
    let upstream_status = response.status.as_u16();
    let Stored { mut object, names, size, covers, etag } = stored;
    let many = !names.is_empty();
    // One at a time, so that two variants of a URL do not write the same record.
    let lock = engine.variants.lock();
    let plan = variant::plan(engine, ask, names, &object);
    let ask = plan.ask.clone();
    (object.id, object.key) = (ask.id, (*ask.key).into());
    if plan.lost {
        resolving.purged.store(true, Ordering::SeqCst);
    }
    let end = covers.end.map(|end| index32(end.div_ceil(CHUNK_SIZE as u64)));
    let fill = Arc::new(BodyFill::new(object.generation, chunk_index(covers.start), end));
    let ending = Ending { engine: Arc::clone(engine), ask: ask.clone(), fill: Arc::clone(&fill) };
    let body = Some(Arc::clone(&fill));
    let resolved = Resolved { object: Arc::new(object.clone()), size, body, upstream_status };
    engine.table.begin(ask.id, resolving, &resolved);
    let purged = || fill.purged.load(Ordering::SeqCst);
    let late_object = match size {
        Some(_) if purged() => None,
        // RFC 9111 §4 [reuse.newest]: a place holds one response, the last that came.
        Some(_) => {
            engine.cache.put_object(object);
            None
        }
        None => Some((object, ticket)),
    };
    if !purged() {
        plan.done(engine);
        engine.counters.variants.fetch_add(u64::from(many), Ordering::Relaxed);
    }
    drop(lock);
    // A purge marks first and forgets then: whichever of us came last sees the other.
    if purged() {
        engine.cache.discard_generation(&ask.id, fill.generation, 0);
    }
    let refillable = etag.is_some() && size.is_some();
    let body = watched(response.body, ask.upstream.id().into(), ask.policy.deadline);
    let body = match (etag, covers.end, size) {
        (Some(etag), Some(end), Some(size)) if end > covers.start => {
            resuming(Some(body), rest_of(&ask, etag, covers.start, end, size))
        }
        _ => body,
    };
    let opened = Opened { permit, ending, body, end: covers.end, refillable, late_object };
    (Head::Object(resolved), Some(opened))
}

fn rest_of(ask: &Ask, etag: HeaderValue, at: u64, end: u64, size: u64) -> Resumable {
    Resumable {
        upstream: Arc::clone(&ask.upstream),
        path_and_query: ask.path_and_query.to_string(),
        authority: ask.authority.as_deref().map(str::to_owned),
        headers: (*ask.headers).clone(),
        deadline: ask.policy.deadline,
        etag,
        at,
        end,
        size,
        attempts_left: ask.policy.resumes,
        failures: 0,
    }
}

impl Opened {
    /// Brings the body to its end.
    async fn run(self) {
        let Self { permit, ending, body, end, refillable, late_object } = self;
        let Ending { engine, ask, fill } = &ending;
        let start = u64::from(fill.first) * CHUNK_SIZE as u64;
        let result = pour(engine, ask, fill, body, start, end, refillable).await;
        drop(permit);
        match &result {
            Ok(end) => {
                if let Some((mut object, _ticket)) = late_object
                    && !fill.purged.load(Ordering::SeqCst)
                {
                    object.size = *end;
                    engine.cache.put_object(object);
                }
                if fill.purged.load(Ordering::SeqCst) {
                    let upto = fill.progress.index();
                    engine.cache.discard_generation(&ask.id, fill.generation, upto);
                }
            }
            Err(error) => {
                if give_up(engine, ask, fill, error) {
                    engine.cache.discard_generation(&ask.id, fill.generation, 0);
                }
            }
        }
        fill.progress.end(result);
    }
}

/// Forgets what a failed fill brought where its bytes are in doubt: `true` when they are.
fn give_up(engine: &Engine, ask: &Ask, fill: &BodyFill, error: &UpstreamError) -> bool {
    engine.counters.failed.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(upstream = ask.upstream.id(), key = %ask.key, %error, "fill failed");
    let doubt = error.taints();
    if doubt {
        engine.counters.tainted.fetch_add(1, Ordering::Relaxed);
        let brought = fill.first..fill.progress.index();
        engine.cache.discard_chunks(&ask.id, fill.generation, brought);
    }
    doubt
}

/// Moves a body into chunks. Returns the offset of its end.
async fn pour(
    engine: &Engine,
    ask: &Ask,
    fill: &BodyFill,
    body: DownBody,
    start: u64,
    end: Option<u64>,
    refillable: bool,
) -> Result<u64, UpstreamError> {
    let keep = async |(index, chunk): (u32, Chunk)| {
        let key = ChunkKey { object: ask.id, generation: fill.generation, index };
        if refillable {
            return engine.cache.insert_chunk(key, chunk);
        }
        // Once gone it cannot be asked for again: a reader slower than its upstream finds it on
        // disk, where there is one, and the upstream is read as fast as that takes it. Those who
        // follow closely need not wait for the disk.
        fill.progress.wake();
        let kept = engine.cache.insert_for_good(key, chunk.clone());
        if tokio::time::timeout(ask.policy.deadline, kept).await.is_err() {
            engine.cache.insert_kept(key, chunk);
        }
    };
    let mut at = start;
    let mut batches = body.ready_chunks(BATCH);
    while let Some(batch) = batches.next().await {
        for piece in batch {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    fill.progress.wake();
                    return Err(error);
                }
            };
            at += piece.len() as u64;
            engine.counters.upstream_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if end.is_some_and(|end| at > end) || at > judge::OBJECT_MAX {
                let upstream = ask.upstream.id().into();
                let expected = end.unwrap_or(judge::OBJECT_MAX);
                return Err(UpstreamError::Overlong { upstream, expected });
            }
            for sealed in fill.progress.append(piece) {
                keep(sealed).await;
            }
        }
        fill.progress.wake();
    }
    if end.is_some_and(|end| at < end) {
        return Err(UpstreamError::Truncated {
            upstream: ask.upstream.id().into(),
            got: at - start,
            expected: end.map(|end| end - start),
            reason: "the body ended".into(),
        });
    }
    if let Some(sealed) = fill.progress.seal_last() {
        keep(sealed).await;
    }
    engine.counters.filled.fetch_add(1, Ordering::Relaxed);
    Ok(at)
}

/// Whether missing chunks of it can be told to be of the same bytes.
pub(crate) fn can_refill(resolved: &Resolved) -> bool {
    resolved.size.is_some() && judge::strong_etag(&resolved.object.headers()).is_some()
}

/// Starts, or joins, the fill of chunk `index` of an object whose head is known. It goes to
/// the end of what the reader wants, or to the next chunk that is already here. With `near`
/// it overtakes a fill that is still far away.
pub(crate) fn refill(
    engine: &Arc<Engine>,
    ask: &Ask,
    resolved: &Resolved,
    index: u32,
    wanted_end: Option<u64>,
    near: bool,
) -> Result<Arc<BodyFill>, UpstreamError> {
    let object = &resolved.object;
    let etag = judge::strong_etag(&object.headers());
    let (Some(etag), Some(size)) = (etag, resolved.size) else {
        // Without a strong validator the rest cannot be told to be of the same bytes.
        engine.cache.discard_generation(&ask.id, object.generation, object.chunks());
        return Err(UpstreamError::Contradiction {
            upstream: ask.upstream.id().into(),
            reason: "a chunk is gone and no strong validator vouches for another".into(),
        });
    };
    let wanted = wanted_end.unwrap_or(size).min(size);
    let last = index32(wanted.div_ceil(CHUNK_SIZE as u64));
    let end_index = (index + 1..last)
        .find(|next| engine.cache.has_chunk(&object.chunk_key(*next)).is_some())
        .unwrap_or(last);
    let make = || BodyFill::new(object.generation, index, Some(end_index));
    let (fill, mine) = engine.table.body_or(ask.id, object.generation, index, near, make);
    if mine {
        let start = u64::from(index) * CHUNK_SIZE as u64;
        let end = (u64::from(end_index) * CHUNK_SIZE as u64).min(size);
        let rest = rest_of(ask, etag, start, end, size);
        engine.runtime.spawn(bring(
            Arc::clone(engine),
            ask.clone(),
            Arc::clone(&fill),
            rest,
            object.chunks(),
        ));
    }
    Ok(fill)
}

/// Brings missing chunks.
async fn bring(engine: Arc<Engine>, ask: Ask, fill: Arc<BodyFill>, rest: Resumable, chunks: u32) {
    let ending = Ending { engine, ask, fill };
    let Ending { engine, ask, fill } = &ending;
    let (start, end) = (rest.at, rest.end);
    let result = match slot(engine, ask).await {
        Ok(_permit) => pour(engine, ask, fill, resuming(None, rest), start, Some(end), true).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        give_up(engine, ask, fill, error);
        if matches!(error, UpstreamError::Contradiction { .. }) {
            // The object has changed: nothing of this generation may be found any more.
            engine.cache.discard_generation(&ask.id, fill.generation, chunks);
        }
    } else if fill.purged.load(Ordering::SeqCst) {
        let brought = fill.first..fill.progress.index();
        engine.cache.discard_chunks(&ask.id, fill.generation, brought);
    }
    fill.progress.end(result);
}

/// Fields of a request that asks for `range` under `conditions`.
pub(crate) fn with_range(headers: &mut HeaderMap, first: u64, last: Option<u64>) {
    let last = last.map(|last| last.to_string()).unwrap_or_default();
    let value = format!("bytes={first}-{last}").parse().expect("digits are a header value");
    headers.insert(header::RANGE, value);
}

fn chunk_index(at: u64) -> u32 {
    index32(at / CHUNK_SIZE as u64)
}

fn index32(index: u64) -> u32 {
    u32::try_from(index).expect("objects are bounded when admitted")
}
