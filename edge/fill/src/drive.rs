//! Drives fills: asks upstream what an object is now, publishes the head, and has the body
//! poured.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{HeaderMap, header};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use weir_edge_cache::{CHUNK_SIZE, StoredObject, Ticket};

use crate::{
    ask::Ask,
    body::{Ending, Opened, broken_off},
    combine::still,
    demand::Demand,
    engine::{Engine, late},
    judge::{self, HeadMeans, Meaning, Sent, Stored},
    refill::rest_of,
    resume::{resuming, watched},
    table::{BodyFill, Head, Resolved, Resolving},
    upstream::{Filling, Phase, UpstreamError, UpstreamResponse},
    variant,
};

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
        let asked = ask.upstream.fill(Filling::default(), request);
        let response = within(ask, Phase::Headers, asked).await??;
        let response_millis = engine.clock.unix_millis();
        let times = (request_millis, response_millis);
        let generation = || engine.cache.next_generation();
        if let Some(head) = updated_by_head(engine, ask, &response, request_millis, &ticket) {
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
                let updated = judge::updated(ask, stale, &response.headers, times);
                let updated = StoredObject { epoch, ..updated };
                let object = engine.cache.replace_object(updated, still(stale, request_millis));
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

/// A place among the fills of an upstream, and of all.
#[derive(Debug)]
pub(crate) struct Slot {
    _own: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

/// The upstream's own first: who waits for that must not hold what others could use.
pub(crate) async fn slot(engine: &Engine, ask: &Ask) -> Result<Slot, UpstreamError> {
    let both = async {
        let own = match ask.upstream.slots() {
            Some(slots) => Some(slots.acquire_owned().await?),
            None => None,
        };
        let all = Arc::clone(&engine.slots).acquire_owned().await?;
        Ok::<_, AcquireError>(Slot { _own: own, _all: all })
    };
    engine.waiting.fetch_add(1, Ordering::Relaxed);
    let _waits = Waits(&engine.waiting);
    match tokio::time::timeout(ask.policy.deadline, both).await {
        Ok(Ok(slot)) => Ok(slot),
        Ok(Err(_)) => Err(late(ask)),
        Err(_) => Err(UpstreamError::NoSlot),
    }
}

/// One that waits for a place, until it has it or gives up.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether others wait for the place of a fill for this ask.
pub(crate) fn is_short(engine: &Engine, ask: &Ask) -> bool {
    let none_left = || {
        let own = ask.upstream.slots();
        let own = own.is_some_and(|slots| slots.available_permits() == 0);
        own || engine.slots.available_permits() == 0
    };
    engine.waiting.load(Ordering::Relaxed) > 0 && none_left()
}

/// RFC 9111 §4.3.5: the stored answer to GET, where this one to HEAD updates it. Where it tells
/// of another representation, what is stored is stale from now on.
fn updated_by_head(
    engine: &Engine,
    ask: &Ask,
    response: &UpstreamResponse,
    request_millis: u64,
    ticket: &Ticket,
) -> Option<Head> {
    let get = ask.get()?;
    let placed = variant::place(engine, &get)?;
    let stored = placed.stored?;
    let times = (request_millis, engine.clock.unix_millis());
    match judge::head_means(&placed.ask, &stored, response, times) {
        HeadMeans::Updated(mut object) => {
            object.epoch = ticket.epoch();
            let object = engine.cache.replace_object(*object, still(&stored, request_millis));
            let (size, upstream_status) = (Some(object.size), response.status.as_u16());
            Some(Head::Object(Resolved { object, size, body: None, upstream_status }))
        }
        HeadMeans::Outdated(mut object) => {
            object.epoch = ticket.epoch();
            engine.cache.replace_object(*object, still(&stored, request_millis));
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
    (permit, ticket): (Slot, Ticket),
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
    // What was asked for at first, and what a server sends of it, may be the beginning of what
    // is wanted.
    let wanted = match size {
        Some(size) if etag.is_some() => covers.end.max(Some(ask.wanted(size))),
        _ => covers.end,
    };
    let end = wanted.map(|end| index32(end.div_ceil(CHUNK_SIZE as u64)));
    let refillable = etag.is_some() && size.is_some();
    let demand = Demand::of(ask.client.clone(), ask.prepaid());
    if let Some(opened) = covers.end.filter(|_| wanted != covers.end) {
        demand.grant(opened);
    }
    let fill = BodyFill::new(object.generation, chunk_index(covers.start), end, demand);
    let allowance = Arc::clone(&engine.allowance);
    let fill = Arc::new(if refillable { fill } else { fill.once(allowance) });
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
    let body = watched(response.body, ask.upstream.id().into(), ask.policy.deadline);
    let body = match (etag, covers.end.zip(wanted), size) {
        (Some(etag), Some((upto, end)), Some(size)) if end > covers.start => resuming(
            Some((body, upto)),
            rest_of(&ending, (*ask.headers).clone(), etag, covers.start..end, size),
        ),
        _ => body,
    };
    let opened = Opened { permit, ending, body, end: wanted, late_object };
    (Head::Object(resolved), Some(opened))
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

pub(crate) fn index32(index: u64) -> u32 {
    u32::try_from(index).expect("objects are bounded when admitted")
}
