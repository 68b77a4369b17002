//! Chunks that cannot be had again, kept for the readers of a fill until they have read them.
//!
//! A body without a strong validator, or of unknown length, cannot be asked for a second time,
//! and without a disk its chunks lie in RAM alone, which others may need. So the fill keeps what
//! its slowest reader has still to read, and waits for that reader when this is too much. A
//! reader that takes too long for a chunk is no longer waited for: the others go on, and it is
//! cut when it comes to where its chunks were. The readers of a fill that has ended are waited
//! for as well, as long as more is held than all may hold together; and nobody for long while
//! others wait for the place of the fill.
//! Worst-case memory: [`WINDOW`] chunks and one a fill under way, beside half the RAM tier for
//! all readers together, however many fills they outlive. The tier knows of what is held outside
//! of it and has the less itself.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use weir_edge_cache::Chunk;

use crate::sync::Mutex;

/// Chunks that a reader may be behind in any case, while the fill goes on.
pub(crate) const WINDOW: usize = 4;
/// How long a fill waits for one reader to read one chunk: 280 kbit/s, less than any picture
/// needs. As long as a server waits for a client that takes nothing at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The same while others wait for the fill's place: 32 Mbit/s. Also how often it is looked
/// whether they do.
const HASTE: Duration = Duration::from_millis(250);

/// For so long after a fill began, a reader is expected that has still to come: those who waited
/// for the head are on their way.
const GRACE: Duration = Duration::from_secs(1);

/// What is held for slow readers: beyond [`WINDOW`] by fills that go on, and all of it by those
/// that have ended.
#[derive(Debug)]
pub(crate) struct Allowance {
    bytes: AtomicU64,
    most: u64,
}

impl Allowance {
    pub(crate) fn of(most: u64) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), most })
    }

    fn is_used_up(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.most
    }
}

/// The readers of one fill, and what they have still to read.
#[derive(Debug)]
pub(crate) struct Lag {
    state: Mutex<State>,
    /// A reader has read a chunk, or is gone.
    moved: Notify,
    allowance: Arc<Allowance>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    readers: BTreeMap<u64, Place>,
    /// Who may still come.
    expected: Option<Place>,
    held: BTreeMap<u32, Chunk>,
    /// The fill brings no more.
    ended: bool,
}

impl State {
    /// Chunks that do not count for the allowance: there are as many fills under way as there
    /// are places, and as many that have ended as there are readers.
    fn free(&self) -> usize {
        if self.ended { 0 } else { WINDOW }
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.readers.values().chain(&self.expected)
    }
}

/// Where a reader is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The chunk it reads.
    index: u32,
    since: Instant,
}

impl Lag {
    /// Of a fill that begins with chunk `first`.
    pub(crate) fn new(first: u32, allowance: Arc<Allowance>) -> Arc<Self> {
        let expected = Some(Place { index: first, since: Instant::now() });
        let state = Mutex::new(State { expected, ..State::default() });
        Arc::new(Self { state, moved: Notify::new(), allowance })
    }

    /// Enters a reader that needs chunk `index` next.
    pub(crate) fn follow(self: &Arc<Self>, index: u32) -> Follower {
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        state.readers.insert(id, Place { index, since: Instant::now() });
        Follower { lag: Arc::clone(self), id, index }
    }

    /// Keeps a finished chunk for those who have still to read it, and waits for the slowest of
    /// them while it is too far behind. `short` says whether others wait for the fill's place.
    /// `true` where somebody was given up.
    pub(crate) async fn hold(&self, index: u32, chunk: Chunk, short: impl Fn() -> bool) -> bool {
        self.change(|state| {
            state.held.insert(index, chunk);
        });
        self.wait(short).await
    }

    /// The fill brings no more: what its readers have still to read is kept for them as far as
    /// that is allowed, and waited for as [`Lag::hold`] does.
    pub(crate) async fn end(&self, short: impl Fn() -> bool) -> bool {
        self.change(|state| state.ended = true);
        self.wait(short).await
    }

    /// The same where nobody waits: its readers are cut.
    pub(crate) fn break_off(&self) {
        self.change(|state| {
            if !std::mem::replace(&mut state.ended, true) {
                state.readers.clear();
                state.expected = None;
            }
        });
    }

    async fn wait(&self, short: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        let mut given_up = false;
        loop {
            // Before looking, so that what comes between is not missed.
            let moved = self.moved.notified();
            let patience = if short() { HASTE } else { PATIENCE };
            // Not what a reader had to wait for the upstream itself.
            let late = |place: &Place| place.since.max(began) + patience;
            let Some(due) = self.too_far_behind(late) else { return given_up };
            let again = due.min(Instant::now() + HASTE);
            if timeout_at(again, moved).await.is_err() && due <= Instant::now() {
                self.change(|state| {
                    let now = Instant::now();
                    let before = state.readers.len();
                    let first = state.places().map(|place| place.index).min();
                    state.readers.retain(|_, place| Some(place.index) > first || late(place) > now);
                    given_up |= state.readers.len() < before;
                });
            }
        }
    }

    /// When the slowest reader is no longer waited for, where one is too far behind.
    fn too_far_behind(&self, late: impl Fn(&Place) -> Instant) -> Option<Instant> {
        let state = self.state.lock();
        if state.held.len() <= state.free() || !self.allowance.is_used_up() {
            return None;
        }
        let first = state.places().map(|place| place.index).min()?;
        let slowest = state.readers.values().filter(|place| place.index == first).map(late);
        let expected = state.expected.filter(|place| place.index == first);
        slowest.chain(expected.map(|place| place.since + GRACE)).min()
    }

    /// Changes something and lets go of what nobody needs any more.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let before = weight(&state);
        change(&mut state);
        let now = Instant::now();
        state.expected.take_if(|place| place.since + GRACE <= now);
        let needed = state.places().map(|place| place.index).min();
        state.held = match needed {
            Some(needed) => state.held.split_off(&needed),
            None => BTreeMap::new(),
        };
        let now = weight(&state);
        // One fill's changes are ordered by its lock, so the sum never falls below nothing.
        if now >= before {
            self.allowance.bytes.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.allowance.bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    fn chunk(&self, id: u64, index: u32) -> Option<Chunk> {
        let state = self.state.lock();
        state.readers.get(&id).and_then(|_| state.held.get(&index).cloned())
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        let left = weight(&self.state.lock());
        self.allowance.bytes.fetch_sub(left, Ordering::Relaxed);
    }
}

/// What counts for the allowance.
fn weight(state: &State) -> u64 {
    state.held.values().skip(state.free()).map(|chunk| chunk.data().len() as u64).sum()
}

/// A reader's place among those that a fill waits for.
#[derive(Debug)]
pub(crate) struct Follower {
    lag: Arc<Lag>,
    id: u64,
    index: u32,
}

impl Follower {
    /// It reads chunk `index` now.
    pub(crate) fn at(&mut self, index: u32) {
        if self.index == index {
            return;
        }
        self.index = index;
        self.lag.change(|state| {
            if let Some(place) = state.readers.get_mut(&self.id) {
                *place = Place { index, since: Instant::now() };
            }
        });
        self.lag.moved.notify_one();
    }

    /// A chunk that was kept for it.
    pub(crate) fn chunk(&self, index: u32) -> Option<Chunk> {
        self.lag.chunk(self.id, index)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.lag.change(|state| {
            state.readers.remove(&self.id);
        });
        self.lag.moved.notify_one();
    }
}
