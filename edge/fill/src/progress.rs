//! What a fill has so far, and how its followers learn of more: a publisher appends pieces,
//! followers read whatever is there and sleep until there is more.
//! Worst-case memory of one fill: the chunk in progress (1 MiB), `KEPT_CHUNKS` finished ones,
//! which the RAM tier usually shares, and those of one piece that wait to be stored.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use weir_edge_cache::{CHUNK_SIZE, Chunk};

use crate::{sync::Mutex, upstream::UpstreamError};

/// Finished chunks a fill keeps for followers that are a little behind. Those further behind
/// find them in the cache.
const KEPT_CHUNKS: usize = 2;

/// Pieces up to this together are joined as they come.
const SMALL: usize = 16 << 10;

/// Contiguous bytes of one generation of one object, growing at the end.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
    event: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    /// Index of the chunk in progress; everything before it, from the fill's first chunk on,
    /// is finished.
    index: u32,
    pieces: Vec<Bytes>,
    /// Bytes in `pieces`.
    partial: usize,
    finished: VecDeque<(u32, Chunk)>,
    /// Chunks before this index can be found elsewhere.
    stored: u32,
    /// How it ended: the offset in the object behind its last byte.
    end: Option<Result<u64, UpstreamError>>,
}

/// What a follower finds at the place it has come to.
#[derive(Debug)]
pub(crate) enum Seen {
    Piece(Bytes),
    /// Nothing there yet.
    Nothing,
    /// The chunk is finished and no longer kept here.
    InCache,
    /// The fill has ended before this place.
    Ended(Result<(), UpstreamError>),
}

impl Progress {
    pub(crate) fn starting_at(index: u32) -> Self {
        let state = State {
            index,
            pieces: Vec::new(),
            partial: 0,
            finished: VecDeque::with_capacity(KEPT_CHUNKS + 1),
            stored: index,
            end: None,
        };
        Self { state: Mutex::new(state), event: watch::Sender::new(()) }
    }

    /// Appends a piece and returns the chunks it finished, sealed. Wakes nobody:
    /// [`Progress::wake`] does, once for a batch of pieces.
    pub(crate) fn append(&self, mut piece: Bytes) -> Vec<(u32, Chunk)> {
        let mut sealed = Vec::new();
        while !piece.is_empty() {
            let whole = {
                let mut state = self.state.lock();
                let room = CHUNK_SIZE - state.partial;
                let part = piece.split_to(room.min(piece.len()));
                state.partial += part.len();
                state.push(part);
                state.partial == CHUNK_SIZE
            };
            if whole {
                sealed.extend(self.seal());
            }
        }
        sealed
    }

    /// Finishes the last, usually shorter chunk, if it has bytes.
    pub(crate) fn seal_last(&self) -> Option<(u32, Chunk)> {
        self.seal()
    }

    /// Joins the pieces outside the lock: followers go on reading them meanwhile.
    fn seal(&self) -> Option<(u32, Chunk)> {
        let (index, pieces, length) = {
            let state = self.state.lock();
            (state.index, state.pieces.clone(), state.partial)
        };
        if length == 0 {
            return None;
        }
        let chunk = Chunk::seal(join(pieces, length));
        let mut state = self.state.lock();
        state.pieces.clear();
        state.partial = 0;
        state.index += 1;
        state.finished.push_back((index, chunk.clone()));
        state.let_go();
        Some((index, chunk))
    }

    /// A finished chunk can be found elsewhere from now on. Until then it is kept here: a tier
    /// that is busy may take it late.
    pub(crate) fn stored(&self, index: u32) {
        let mut state = self.state.lock();
        state.stored = state.stored.max(index + 1);
        state.let_go();
    }

    pub(crate) fn end(&self, result: Result<u64, UpstreamError>) {
        self.state.lock().end.get_or_insert(result);
        self.wake();
    }

    /// Lets go of finished chunks, which are kept elsewhere for who has still to read them.
    pub(crate) fn let_go(&self) {
        self.state.lock().finished.clear();
    }

    pub(crate) fn wake(&self) {
        self.event.send_replace(());
    }

    pub(crate) fn events(&self) -> watch::Receiver<()> {
        self.event.subscribe()
    }

    /// Chunks before this index are finished.
    pub(crate) fn index(&self) -> u32 {
        self.state.lock().index
    }

    /// Whether chunk `index` is here, or still to come.
    pub(crate) fn has(&self, index: u32) -> bool {
        let state = self.state.lock();
        index >= state.index || state.finished.iter().any(|(kept, _)| *kept == index)
    }

    pub(crate) fn ended(&self) -> Option<Result<u64, UpstreamError>> {
        self.state.lock().end.clone()
    }

    /// What stands at `offset` of chunk `index`, at most to the end of the piece or chunk.
    pub(crate) fn see(&self, index: u32, offset: usize) -> Seen {
        let state = self.state.lock();
        if index < state.index {
            let kept = state.finished.iter().find(|(kept, _)| *kept == index);
            return match kept {
                Some((_, chunk)) if offset < chunk.data().len() => {
                    Seen::Piece(chunk.data().slice(offset..))
                }
                // Behind the last chunk, sealed already: what is missing is the word that it was
                // the last. It comes at once, and where it ended with it.
                Some(_) => state.ended(),
                None => Seen::InCache,
            };
        }
        if index == state.index {
            let mut from = offset;
            for piece in &state.pieces {
                if from < piece.len() {
                    return Seen::Piece(piece.slice(from..));
                }
                from -= piece.len();
            }
        }
        state.ended()
    }
}

impl State {
    fn let_go(&mut self) {
        while self.finished.len() > KEPT_CHUNKS
            && self.finished.pop_front_if(|(index, _)| *index < self.stored).is_some()
        {}
    }

    fn ended(&self) -> Seen {
        match &self.end {
            Some(end) => Seen::Ended(end.clone().map(|_| ())),
            None => Seen::Nothing,
        }
    }

    /// Small pieces are joined, each byte a few times at most, so that an upstream that drips
    /// makes neither a crowd of buffers nor a long way through them.
    fn push(&mut self, piece: Bytes) {
        self.pieces.push(piece);
        while let [.., before, last] = self.pieces.as_slice()
            && before.len() <= last.len()
            && before.len() + last.len() <= SMALL
        {
            let length = before.len() + last.len();
            let joined = join(self.pieces.split_off(self.pieces.len() - 2), length);
            self.pieces.push(joined);
        }
    }
}

/// Always a copy: a piece is a view of a receive buffer that may be far larger, and would
/// keep it alive uncounted for as long as the chunk is cached.
fn join(pieces: Vec<Bytes>, length: usize) -> Bytes {
    let mut whole = BytesMut::with_capacity(length);
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}
