//! How far a fill may go on: as far as whoever pays for it has something left, else only a little
//! ahead of its readers, and without any no further than what it has sent is worth.
//!
//! A fill that nobody pays for (what operators warm) goes to its end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};
use weir_edge_cache::CHUNK_SIZE;

use crate::{account::Account, sync::Mutex};

/// For so long a fill without a reader may still get one: whoever asked for it is on the way.
const GRACE: Duration = Duration::from_secs(1);
/// Ahead of its readers in any case: there is nothing to send otherwise.
const AHEAD: u64 = 64 << 10;
/// Once a reader has so much, the chunk it reads is brought to its end: a chunk that is not whole
/// is not kept, and would be fetched again.
const IN_EARNEST: u64 = 256 << 10;
/// For so long a fill waits for its readers to take anything; then it stops at the next whole
/// chunk, and they ask for the rest when they come there.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same while others wait for the place of the fill.
const HASTE: Duration = Duration::from_millis(250);

/// Who reads what a fill brings, and who pays for it.
#[derive(Debug)]
pub(crate) struct Demand {
    state: Mutex<State>,
    /// A reader took something, came or went.
    moved: Notify,
}

#[derive(Debug)]
struct State {
    payer: Option<Arc<Account>>,
    prepaid: u64,
    next: u64,
    readers: BTreeMap<u64, Option<Arc<Account>>>,
    /// The furthest offset that a reader has come to.
    taken: u64,
    /// Bytes of all readers together.
    sent: u64,
    /// When something was taken last, or somebody came or went.
    since: Instant,
    /// It stops at the end of the chunk it is in.
    stopping: bool,
}

/// What a fill does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Takes more from its upstream.
    Go,
    /// Nothing until then, or until a reader moves.
    Wait(Instant),
    /// No more.
    Stop,
}

/// Where a fill stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stand {
    /// Offset of its first byte and of the next one.
    pub start: u64,
    pub at: u64,
    /// Offset behind its last byte, where that is known.
    pub end: Option<u64>,
    /// Whether what came last finished a chunk: stopped there, nothing is lost.
    pub whole: bool,
    /// Whether what is missing can be asked for later. What cannot is brought to its end as long
    /// as anybody reads it.
    pub again: bool,
    /// Whether others wait for the place of the fill.
    pub short: bool,
}

impl Demand {
    /// Of a fill that `payer` asked for, who has put so many bytes aside for it.
    pub(crate) fn of(payer: Option<Arc<Account>>, prepaid: u64) -> Arc<Self> {
        let state = State {
            payer,
            prepaid,
            next: 0,
            readers: BTreeMap::new(),
            taken: 0,
            sent: 0,
            since: Instant::now(),
            stopping: false,
        };
        Arc::new(Self { state: Mutex::new(state), moved: Notify::new() })
    }

    /// Enters a reader that wants what stands at that offset next.
    pub(crate) fn follow(self: &Arc<Self>, account: Option<Arc<Account>>, wants: u64) -> Reading {
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        state.readers.insert(id, account);
        state.taken = state.taken.max(wants);
        (state.since, state.stopping) = (Instant::now(), false);
        drop(state);
        self.moved.notify_one();
        Reading { demand: Arc::clone(self), id }
    }

    /// So many bytes came.
    pub(crate) fn brought(&self, bytes: u64) {
        let state = self.state.lock();
        if let Some(payer) = &state.payer {
            payer.spend(bytes, Instant::now());
        }
    }

    /// Whether the fill goes on.
    pub(crate) fn next(&self, stand: Stand, now: Instant) -> Next {
        self.state.lock().next(stand, now)
    }

    /// Waits for a reader to move.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }
}

impl State {
    fn next(&mut self, stand: Stand, now: Instant) -> Next {
        let Stand { start, at, end, whole, again, short } = stand;
        let Some(payer) = &self.payer else { return Next::Go };
        let came = at.saturating_sub(start);
        if came < self.prepaid {
            return Next::Go;
        }
        let mut sound = payer.is_sound(now);
        if !sound {
            // Whoever reads along and has something left pays from now on; for nobody's reader
            // nobody pays.
            let other = self
                .readers
                .values()
                .find(|reader| reader.as_ref().is_none_or(|account| account.is_sound(now)));
            if let Some(other) = other.cloned() {
                self.payer = other;
                sound = true;
            }
        }
        if self.readers.is_empty() {
            if self.next == 0 && now < self.since + GRACE {
                let go = sound || came < AHEAD;
                return if go { Next::Go } else { Next::Wait(self.since + GRACE) };
            }
            let worth = (self.sent / 2 * 3).max(CHUNK_SIZE as u64);
            let nearly = end.is_some_and(|end| end.saturating_sub(at) <= CHUNK_SIZE as u64);
            return if sound && (came < worth || nearly) { Next::Go } else { Next::Stop };
        }
        if sound || !again {
            return Next::Go;
        }
        if self.stopping {
            return if whole { Next::Stop } else { Next::Go };
        }
        let taken = self.taken.saturating_sub(start);
        let mut most = AHEAD + taken / 2 * 3;
        if taken >= IN_EARNEST {
            most = most.next_multiple_of(CHUNK_SIZE as u64);
        }
        if came < most {
            return Next::Go;
        }
        let until = self.since + if short { HASTE } else { PATIENCE };
        if now < until {
            return Next::Wait(until);
        }
        if whole {
            return Next::Stop;
        }
        self.stopping = true;
        Next::Go
    }
}

/// A reader's place at a fill.
#[derive(Debug)]
pub(crate) struct Reading {
    demand: Arc<Demand>,
    id: u64,
}

impl Reading {
    /// It took so many bytes and has come to that offset.
    pub(crate) fn took(&self, at: u64, bytes: u64) {
        let mut state = self.demand.state.lock();
        state.taken = state.taken.max(at);
        state.sent += bytes;
        (state.since, state.stopping) = (Instant::now(), false);
        drop(state);
        self.demand.moved.notify_one();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.demand.state.lock();
        state.readers.remove(&self.id);
        state.since = Instant::now();
        drop(state);
        self.demand.moved.notify_one();
    }
}
