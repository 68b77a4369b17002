//! Reads a range of an object chunk by chunk: from RAM, from a fill that is bringing it,
//! from disk, or by asking upstream for what is missing. Bytes of two generations are never
//! joined: when the rest cannot be had, the reader fails.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::Stream;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use weir_edge_cache::{CHUNK_SIZE, ChunkKey};

use crate::{
    answer::Found,
    ask::Ask,
    engine::Engine,
    lag::Follower,
    progress::Seen,
    refill::{self, Remains},
    table::{BodyFill, Resolved},
    taker::Taker,
    upstream::UpstreamError,
};

/// Chunks of a range that are looked for before its head is told.
const LOOKED_AHEAD: usize = 256;

/// Where the first byte came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Ram,
    Disk,
    /// A fill that was under way or had to be started.
    Upstream,
}

/// A range of an object, being read.
#[derive(Debug)]
pub struct Reader {
    engine: Arc<Engine>,
    ask: Ask,
    resolved: Resolved,
    at: u64,
    /// None until an upstream that declared no length has ended.
    end: Option<u64>,
    fill: Option<(Arc<BodyFill>, watch::Receiver<()>)>,
    /// Its place among those for whom a fill keeps what cannot be had again.
    place: Option<Follower>,
    /// What its client has of it.
    taker: Taker,
    /// Pieces read ahead by [`Reader::prime`].
    ahead: VecDeque<Bytes>,
    tier: Option<Tier>,
    refilled: bool,
    /// Of refills that it started: at most one for each chunk.
    remains: Vec<Arc<Remains>>,
    /// When a fill that is still far away is no longer waited for: a while that is enough for a
    /// fast one to come near, and leaves time to ask upstream within the deadline.
    patience: Instant,
}

impl Reader {
    pub(crate) fn new(
        engine: Arc<Engine>,
        ask: Ask,
        found: &Found,
        range: Option<Range<u64>>,
    ) -> Self {
        let resolved = found.resolved.clone();
        let (at, end) = match range {
            Some(range) => (range.start, Some(range.end)),
            None => (0, resolved.size),
        };
        let taker = Taker::new(&ask, at);
        let mut reader = Self {
            engine,
            patience: Instant::now() + ask.policy.deadline / 4,
            ask,
            at,
            end,
            fill: None,
            place: None,
            taker,
            ahead: VecDeque::new(),
            tier: None,
            refilled: false,
            remains: Vec::new(),
            resolved,
        };
        if let Some(fill) = reader.resolved.body.clone() {
            reader.follow(fill);
        }
        reader
    }

    /// Where the first byte came from; none for an empty body.
    pub fn tier(&self) -> Option<Tier> {
        self.tier
    }

    /// Whether a missing chunk had, or will have, to be asked of the upstream.
    pub fn refilled(&self) -> bool {
        self.refilled
    }

    /// The whole range, where it is one piece that is already here.
    pub fn into_single(mut self) -> Result<Bytes, Box<Self>> {
        let whole = self.end == Some(self.at) && self.ahead.len() == 1;
        match self.ahead.pop_front() {
            Some(piece) if whole => Ok(piece),
            piece => {
                self.ahead.extend(piece);
                Err(Box::new(self))
            }
        }
    }

    /// Waits for the first piece.
    pub(crate) async fn prime(&mut self) -> Result<(), UpstreamError> {
        if let Some(piece) = self.next_piece().await? {
            self.ahead.push_back(piece);
        }
        // What is told of the response is told with its head.
        self.refilled |= self.lacks();
        Ok(())
    }

    /// Whether the upstream will have to be asked for something of what is still to be read, as
    /// far as memory knows, and within reason.
    fn lacks(&self) -> bool {
        let (None, Some(end)) = (&self.resolved.body, self.end) else { return false };
        if self.at >= end {
            return false;
        }
        let (from, to) = (place(self.at).0, place(end - 1).0);
        (from..=to).take(LOOKED_AHEAD).any(|index| {
            let key = self.chunk_key(index);
            let coming = || self.engine.table.body(self.ask.id, key.generation, index, false);
            self.engine.cache.has_chunk(&key).is_none() && coming().is_none()
        })
    }

    /// The pieces in order. Ends early only with an error.
    // RFC 9111 §3.3 [partial.answer]: what is missing is asked for, and is never left out.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, UpstreamError>> + Send {
        futures::stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            if let Some(piece) = reader.ahead.pop_front() {
                return Some((Ok(piece), Some(reader)));
            }
            match reader.next_piece().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            if self.end.is_none()
                && let Some(Ok(end)) = self.resolved.body.as_ref().and_then(|b| b.progress.ended())
            {
                self.end = Some(end);
            }
            if self.end.is_some_and(|end| self.at >= end) {
                return Ok(None);
            }
            let (index, offset) = place(self.at);
            let looks = self.taker.looks();
            if let Some((fill, events)) = &mut self.fill {
                // Before looking, so that what comes between is not missed.
                events.borrow_and_update();
                match fill.progress.see(index, offset) {
                    Seen::Piece(piece) => return Ok(Some(self.take(piece, Tier::Upstream))),
                    Seen::Nothing if !fill.covers(index) => self.fill = None,
                    Seen::Nothing => {
                        let near = fill.is_near(index) || !refill::can_refill(&self.resolved);
                        let changed = events.changed();
                        let changed = match (near, looks) {
                            (true, None) => changed.await,
                            (true, Some(look)) => match timeout(look, changed).await {
                                Ok(changed) => changed,
                                Err(_) => {
                                    self.taker.look();
                                    continue;
                                }
                            },
                            (false, _) => match timeout_at(self.patience, changed).await {
                                Ok(changed) => changed,
                                Err(_) => {
                                    self.fill = None;
                                    continue;
                                }
                            },
                        };
                        if changed.is_err() {
                            return Err(crate::engine::late(&self.ask));
                        }
                    }
                    Seen::InCache => self.fill = None,
                    Seen::Ended(Err(error)) => return Err(error),
                    Seen::Ended(Ok(())) => self.fill = None,
                }
                continue;
            }
            let key = self.chunk_key(index);
            let cache = &self.engine.cache;
            // Whoever waits for a fill may be too slow for it and read its chunks here.
            let chunk = match &self.resolved.body {
                Some(_) => cache.ram_chunk_awaited(&key),
                None => cache.ram_chunk(&key),
            };
            if let Some(chunk) = chunk {
                return self.slice(chunk.data(), offset, Tier::Ram).map(Some);
            }
            if let Some(chunk) = self.place.as_ref().and_then(|place| place.chunk(index)) {
                return self.slice(chunk.data(), offset, Tier::Ram).map(Some);
            }
            let near = self.patience <= Instant::now() && refill::can_refill(&self.resolved);
            if let Some(fill) = self.under_way(key.generation, index, near) {
                self.follow(fill);
                continue;
            }
            // It may have come and its fill have ended between the two looks.
            if self.engine.cache.has_chunk(&key) == Some(weir_edge_cache::Tier::Ram)
                || self.place.as_ref().is_some_and(|place| place.chunk(index).is_some())
            {
                continue;
            }
            // A disk that takes longer than half is slower than asking again, where one can.
            let (whole, can) = (self.ask.policy.deadline, refill::can_refill(&self.resolved));
            let read = self.on_disk(&key, offset);
            let read = timeout(if can { whole / 2 } else { whole }, read).await;
            if let Ok(Some(bytes)) = read {
                return self.slice(&bytes, 0, Tier::Disk).map(Some);
            }
            if !can && (read.is_err() || !self.is_gone(&key).await) {
                return Err(refill::late(&self.ask));
            }
            let (fill, remains) =
                refill::refill(&self.engine, &self.ask, &self.resolved, index, self.end, near)?;
            self.refilled = true;
            self.remains.extend(remains);
            self.follow(fill);
        }
    }

    /// What is still wanted of a chunk that lies on disk, from `offset` in it on.
    async fn on_disk(&self, key: &ChunkKey, offset: usize) -> Option<Bytes> {
        let cache = &self.engine.cache;
        let (Some(size), Some(end)) = (self.resolved.size, self.end) else {
            let chunk = cache.disk_chunk(key).await?;
            return (offset < chunk.data().len()).then(|| chunk.data().slice(offset..));
        };
        let first = u64::from(key.index) * CHUNK_SIZE as u64;
        // At most a chunk's size, which fits.
        let within = |end: u64| end.saturating_sub(first).min(CHUNK_SIZE as u64) as u32;
        cache.disk_part(key, offset as u32..within(end), within(size)).await
    }

    /// Whether a chunk that a read did not bring is not there, and not only late or more than
    /// the disk takes now.
    async fn is_gone(&self, key: &ChunkKey) -> bool {
        let held = self.engine.cache.holds(key);
        matches!(timeout(self.ask.policy.deadline / 2, held).await, Ok(Some(false)))
    }

    /// The fill that brings chunk `index`: our own first, which a purge takes out of the
    /// table.
    fn under_way(&self, generation: u64, index: u32, near: bool) -> Option<Arc<BodyFill>> {
        let own = self
            .resolved
            .body
            .as_ref()
            .filter(|fill| fill.brings(generation, index) && (!near || fill.is_near(index)));
        own.map(Arc::clone).or_else(|| self.engine.table.body(self.ask.id, generation, index, near))
    }

    fn follow(&mut self, fill: Arc<BodyFill>) {
        if let Some(lag) = &fill.lag {
            self.place = Some(lag.follow(place(self.at).0));
        }
        // What is far away it may ask for itself, and that is not to be brought for it.
        let wants = if fill.is_near(place(self.at).0) { self.at } else { 0 };
        self.taker.follow(&fill.demand, wants);
        let events = fill.progress.events();
        self.fill = Some((fill, events));
    }

    fn chunk_key(&self, index: u32) -> ChunkKey {
        let object = &self.resolved.object;
        ChunkKey { object: object.id, generation: object.generation, index }
    }

    /// The rest of a chunk. A chunk that is too short for the object's size is not its own.
    fn slice(&mut self, data: &Bytes, offset: usize, tier: Tier) -> Result<Bytes, UpstreamError> {
        if offset < data.len() {
            return Ok(self.take(data.slice(offset..), tier));
        }
        Err(UpstreamError::Contradiction {
            upstream: self.ask.upstream.id().into(),
            reason: format!("stored object ends before byte {}", self.at),
        })
    }

    fn take(&mut self, mut piece: Bytes, tier: Tier) -> Bytes {
        if let Some(end) = self.end {
            let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
            piece.truncate(left);
        }
        self.at += piece.len() as u64;
        let last = self.end == Some(self.at);
        self.taker.takes(piece.len() as u64, last);
        if last {
            self.place = None;
        } else if let Some(here) = &mut self.place {
            here.at(place(self.at).0);
        }
        self.tier.get_or_insert(tier);
        piece
    }
}

/// Chunk index and offset in it of a byte of an object.
pub(crate) fn place(at: u64) -> (u32, usize) {
    let chunk = CHUNK_SIZE as u64;
    // Objects are bounded to 2^32 chunks (4 PiB) when they are admitted.
    let index = u32::try_from(at / chunk).expect("objects are bounded when admitted");
    let offset = usize::try_from(at % chunk).expect("an offset in a chunk is small");
    (index, offset)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::progress::{Progress, Seen};

    // Here and not beside `Progress`, whose file is compiled again for the interleavings.
    /// A reader behind the last, short chunk of a body of undeclared length waits for the word
    /// that it was the last: an end told too early sends it to the cache, where it finds an
    /// object that is shorter than it should be.
    #[test]
    fn behind_the_last_chunk_there_is_nothing_until_the_end_is_told() {
        let progress = Progress::starting_at(0);
        assert!(progress.append(Bytes::from_static(b"twelve bytes")).is_empty());
        assert!(matches!(progress.see(0, 12), Seen::Nothing), "before it is sealed");
        assert!(progress.seal_last().is_some());
        assert!(matches!(progress.see(0, 11), Seen::Piece(piece) if piece == "s"));
        assert!(matches!(progress.see(0, 12), Seen::Nothing), "sealed, and not ended");
        progress.end(Ok(12));
        assert!(matches!(progress.see(0, 12), Seen::Ended(Ok(()))));
    }
}
