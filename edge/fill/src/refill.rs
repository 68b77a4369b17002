//! Brings chunks of an object whose head is known: those that never came, or have left every
//! tier. They are asked for under the object's strong validator.

use std::{ops::Range, sync::Arc};

use http::{HeaderMap, HeaderValue};
use weir_edge_cache::{CHUNK_SIZE, StoredObject};

use crate::{
    ask::Ask,
    body::{Ending, give_up, pour},
    combine::{Whole, request_fields},
    demand::Demand,
    drive::{index32, slot},
    engine::Engine,
    judge,
    resume::{Resumable, resuming},
    table::{BodyFill, Resolved},
    upstream::UpstreamError,
};

/// Whether missing chunks of it can be told to be of the same bytes.
pub(crate) fn can_refill(resolved: &Resolved) -> bool {
    resolved.size.is_some() && judge::strong_etag(&resolved.object.headers()).is_some()
}

/// A chunk that is on a disk, which does not give it in time, of an object of which nothing can
/// be asked for again: this reader fails, and the object stays.
pub(crate) fn late(ask: &Ask) -> UpstreamError {
    UpstreamError::Refused {
        upstream: ask.upstream.id().into(),
        reason: "a chunk on disk is late and no strong validator vouches for another".into(),
    }
}

/// Starts, or joins, the fill of chunk `index` of an object whose head is known. It goes to
/// the end of what the reader wants, or to the next chunk that is already here. With `near`
/// it overtakes a fill that is still far away. Whoever started it holds on to what it brings for
/// as long as he reads.
pub(crate) fn refill(
    engine: &Arc<Engine>,
    ask: &Ask,
    resolved: &Resolved,
    index: u32,
    wanted_end: Option<u64>,
    near: bool,
) -> Result<(Arc<BodyFill>, Option<Arc<Remains>>), UpstreamError> {
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
    let demand = || Demand::of(ask.client.clone(), ask.prepaid());
    let make = || BodyFill::new(object.generation, index, Some(end_index), demand());
    let (fill, mine) = engine.table.body_or(ask.id, object.generation, index, near, make);
    let remains = mine.then(|| {
        let (engine, object) = (Arc::clone(engine), Arc::clone(object));
        Arc::new(Remains { engine, object, chunks: index..end_index })
    });
    if let Some(remains) = &remains {
        let start = u64::from(index) * CHUNK_SIZE as u64;
        let end = (u64::from(end_index) * CHUNK_SIZE as u64).min(size);
        let (engine, ask) = (Arc::clone(engine), ask.clone());
        let headers = request_fields(&ask, object);
        let ending = Ending { engine, ask, fill: Arc::clone(&fill) };
        let rest = rest_of(&ending, headers, etag, start..end, size);
        let runtime = ending.engine.runtime.clone();
        runtime.spawn(bring(ending, rest, Arc::clone(remains)));
    }
    Ok((fill, remains))
}

/// Brings missing chunks.
async fn bring(ending: Ending, rest: Resumable, remains: Arc<Remains>) {
    let Ending { engine, ask, fill } = &ending;
    let (start, end) = (rest.at, rest.end);
    let result = match slot(engine, ask).await {
        Ok(_permit) => pour(engine, ask, fill, resuming(None, rest), start, Some(end)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        give_up(engine, ask, fill, error);
        if matches!(error, UpstreamError::Contradiction { .. }) {
            // The object has changed: nothing of this generation may be found any more.
            let chunks = remains.object.chunks();
            engine.cache.discard_generation(&ask.id, fill.generation, chunks);
        }
    }
    fill.progress.end(ending.of(result));
}

/// Chunks of an object that may have left the table, by a purge or for another, before their
/// refill began or while it ran: nobody would find them then. They go with the last who holds
/// this, which is the refill or the reader that started it; not before, or a reader slower than
/// the refill would ask for them again and again. When the object leaves later, its chunks leave
/// with it.
#[derive(Debug)]
pub(crate) struct Remains {
    engine: Arc<Engine>,
    object: Arc<StoredObject>,
    chunks: Range<u32>,
}

impl Drop for Remains {
    fn drop(&mut self) {
        let (cache, object) = (&self.engine.cache, &self.object);
        let now = cache.inspect(&object.id, &object.key);
        if now.is_none_or(|(now, _)| now.generation != object.generation) {
            cache.discard_chunks(&object.id, object.generation, self.chunks.clone());
        }
    }
}

/// What it takes to ask for `range` of an object that a fill brings.
pub(crate) fn rest_of(
    ending: &Ending,
    headers: HeaderMap,
    etag: HeaderValue,
    range: Range<u64>,
    size: u64,
) -> Resumable {
    let Ending { engine, ask, fill } = ending;
    Resumable {
        upstream: Arc::clone(&ask.upstream),
        path_and_query: ask.path_and_query.to_string(),
        authority: ask.authority.as_deref().map(str::to_owned),
        headers,
        deadline: ask.policy.deadline,
        etag,
        at: range.start,
        end: range.end,
        size,
        attempts_left: ask.policy.resumes,
        failures: 0,
        whole: Whole { engine: Arc::clone(engine), ask: ask.clone(), fill: Arc::clone(fill) },
    }
}
