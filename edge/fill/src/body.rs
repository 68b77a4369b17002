//! Pours a body into chunks, puts them into the cache, and throws everything away when the
//! response turns out to contradict itself.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use tokio::time::Instant;
use weir_edge_cache::{CHUNK_SIZE, Chunk, ChunkKey, StoredObject, Ticket};

use crate::{
    ask::Ask,
    demand::{Next, Stand},
    drive::{Slot, is_short},
    engine::Engine,
    judge,
    table::BodyFill,
    upstream::{DownBody, UpstreamError},
};

/// Pieces taken from an upstream before followers are woken once for all of them.
const BATCH: usize = 16;
/// How often a fill that waits for its readers looks whether others wait for its place.
const LOOK: Duration = Duration::from_millis(250);

/// Ends a fill, and with it its followers, whatever happens to the task that drives it.
pub(crate) struct Ending {
    pub engine: Arc<Engine>,
    pub ask: Ask,
    pub fill: Arc<BodyFill>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // The first end counts: after a regular one this changes nothing.
        self.fill.progress.end(Err(broken_off(&self.ask)));
        if let Some(lag) = &self.fill.lag {
            lag.break_off();
        }
        self.engine.table.finished(self.ask.id, &self.fill);
    }
}

impl Ending {
    /// What followers are told. Who is at the end of what was stopped asks for the rest.
    pub(crate) fn of(&self, result: Result<Poured, UpstreamError>) -> Result<u64, UpstreamError> {
        match result? {
            Poured::Stopped(_) if self.fill.lag.is_some() => Err(broken_off(&self.ask)),
            Poured::Whole(at) | Poured::Stopped(at) => Ok(at),
        }
    }
}

pub(crate) fn broken_off(ask: &Ask) -> UpstreamError {
    let reason = "the fill was broken off".into();
    UpstreamError::Refused { upstream: ask.upstream.id().into(), reason }
}

/// A body that is about to be filled.
pub(crate) struct Opened {
    pub permit: Slot,
    pub ending: Ending,
    pub body: DownBody,
    /// Where the body must end; none when the upstream declared no length.
    pub end: Option<u64>,
    /// What goes into the table when the body's size is known only at its end.
    pub late_object: Option<(StoredObject, Ticket)>,
}

impl Opened {
    /// Brings the body to its end.
    pub(crate) async fn run(self) {
        let Self { permit, ending, body, end, late_object } = self;
        let Ending { engine, ask, fill } = &ending;
        let start = u64::from(fill.first) * CHUNK_SIZE as u64;
        let result = pour(engine, ask, fill, body, start, end).await;
        // Who waits for slow readers keeps the place: else there were no bound to their number.
        let permit = fill.lag.is_some().then_some(permit);
        match &result {
            // What cannot be asked for again is of no use in part.
            Ok(Poured::Stopped(_)) if fill.lag.is_some() => {
                engine.cache.discard_generation(&ask.id, fill.generation, fill.progress.index());
            }
            Ok(poured) => {
                if let (Poured::Whole(end), Some((mut object, _ticket))) = (poured, late_object)
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
        fill.progress.end(ending.of(result));
        let Some(lag) = &fill.lag else { return };
        engine.table.finished(ask.id, fill);
        fill.progress.let_go();
        if lag.end(|| is_short(engine, ask)).await {
            left_behind(engine, ask);
        }
        drop(permit);
    }
}

fn left_behind(engine: &Engine, ask: &Ask) {
    engine.counters.left_behind.fetch_add(1, Ordering::Relaxed);
    tracing::info!(key = %ask.key, "a slow reader is no longer waited for");
}

/// Forgets what a failed fill brought where its bytes are in doubt: `true` when they are.
pub(crate) fn give_up(engine: &Engine, ask: &Ask, fill: &BodyFill, error: &UpstreamError) -> bool {
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

/// How pouring came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poured {
    /// Everything came; the offset of its end.
    Whole(u64),
    /// Nobody wants the rest, or may have it now: where it stopped.
    Stopped(u64),
}

/// Moves a body into chunks.
pub(crate) async fn pour(
    engine: &Engine,
    ask: &Ask,
    fill: &BodyFill,
    mut body: DownBody,
    start: u64,
    end: Option<u64>,
) -> Result<Poured, UpstreamError> {
    let keep = async |(index, chunk): (u32, Chunk)| {
        let key = ChunkKey { object: ask.id, generation: fill.generation, index };
        let Some(lag) = &fill.lag else { return engine.cache.insert_chunk(key, chunk) };
        // Once gone it cannot be asked for again: a reader slower than its upstream finds it on
        // disk, where there is one, and the upstream is read as fast as that takes it. Those who
        // follow closely need not wait for the disk.
        fill.progress.wake();
        let kept = engine.cache.insert_for_good(key, chunk.clone());
        let kept = tokio::time::timeout(ask.policy.deadline, kept).await;
        if kept.is_err() {
            engine.cache.insert_kept(key, chunk.clone());
        }
        // Elsewhere the fill keeps it, and waits for who has not read it.
        let short = || is_short(engine, ask);
        if !kept.unwrap_or(false) && lag.hold(index, chunk, short).await {
            left_behind(engine, ask);
        }
    };
    let (mut at, mut whole, mut unseen) = (start, false, 0);
    loop {
        let stand = || Stand {
            start,
            at,
            end,
            whole,
            again: fill.lag.is_none(),
            short: is_short(engine, ask),
        };
        if end.is_none_or(|end| at < end) && !goes_on(fill, stand).await {
            engine.counters.stopped.fetch_add(1, Ordering::Relaxed);
            fill.demand.left(at, end);
            return Ok(Poured::Stopped(at));
        }
        // What is there already is for the followers as well, before they are woken.
        let ready = if (1..BATCH).contains(&unseen) { body.next().now_or_never() } else { None };
        let piece = match ready {
            Some(piece) => piece,
            None => {
                if unseen > 0 {
                    fill.progress.wake();
                    unseen = 0;
                }
                body.next().await
            }
        };
        let Some(piece) = piece else { break };
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                fill.progress.wake();
                return Err(error);
            }
        };
        let length = piece.len() as u64;
        at += length;
        engine.counters.upstream_bytes.fetch_add(length, Ordering::Relaxed);
        fill.demand.brought(length);
        if end.is_some_and(|end| at > end) || at > judge::OBJECT_MAX {
            let upstream = ask.upstream.id().into();
            let expected = end.unwrap_or(judge::OBJECT_MAX);
            return Err(UpstreamError::Overlong { upstream, expected });
        }
        let sealed = fill.progress.append(piece);
        whole = !sealed.is_empty();
        for sealed in sealed {
            let index = sealed.0;
            keep(sealed).await;
            fill.progress.stored(index);
        }
        unseen += 1;
    }
    fill.progress.wake();
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
    Ok(Poured::Whole(at))
}

/// Waits until the fill may take more from its upstream; `false` where it may not any more.
pub(crate) async fn goes_on(fill: &BodyFill, stand: impl Fn() -> Stand) -> bool {
    loop {
        // Before looking, so that what comes between is not missed.
        let moved = fill.demand.moved();
        match fill.demand.next(stand(), Instant::now()) {
            Next::Go => return true,
            Next::Stop => return false,
            Next::Wait(until) => {
                fill.progress.wake();
                // Looked at again soon: others may come to wait for its place.
                let until = until.min(Instant::now() + LOOK);
                let _moved_or_later = tokio::time::timeout_at(until, moved).await;
            }
        }
    }
}
