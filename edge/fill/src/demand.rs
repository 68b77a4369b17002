//! How far a fill may go on: as far as whoever pays for it has something left, else no further
//! ahead of its readers than they have come, and without any no further than what it has sent is
//! worth. How far they have come is what their hosts have acknowledged, where that is known.
//!
//! What a fill may bring without something left is granted in windows, and its upstream is asked
//! for one window at a time: what nobody asked for is not on its way when its reader leaves.
//!
//! A fill that nobody pays for (what operators warm) goes to its end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};
use weir_edge_cache::CHUNK_SIZE;

use crate::{account::Account, sync::Mutex};

/// For so long a fill without a reader may still get one: whoever asked for it is on the way.
const GRACE: Duration = Duration::from_secs(1);
/// Ahead of its readers in any case: there is nothing to send otherwise. A first flight of ten
/// segments brings most of it to a client, so that whoever takes one has taken half of this.
pub(crate) const OPENING: u64 = 16 << 10;
/// Ahead of a reader at most, however much it has taken.
const AHEAD_MOST: u64 = 8 << 20;
/// Who has so much of a chunk gets it to its end where its fill stops: a chunk that is not whole is
/// not kept, and would be fetched again.
const IN_EARNEST: u64 = 256 << 10;
/// Of what was asked for and nobody wants any more, so much has been sent: what a connection to an
/// upstream takes in ahead.
const ON_ITS_WAY: u64 = 256 << 10;
/// For so long a fill waits for its readers to take anything; then it stops, and they ask for the
/// rest when they come there.
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
    /// What the reader has taken that has taken most, here and of what came before.
    credit: u64,
    /// Up to here it goes on whoever pays.
    granted: u64,
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
            credit: 0,
            granted: 0,
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

    /// What was asked for before anybody read it comes up to there.
    pub(crate) fn grant(&self, upto: u64) {
        let mut state = self.state.lock();
        state.granted = state.granted.max(upto);
    }

    /// Up to where the upstream is to be asked for what comes from `at` on; nothing asks for all.
    pub(crate) fn window(&self, at: u64) -> Option<u64> {
        Some(self.state.lock().granted).filter(|granted| *granted > at)
    }

    /// The fill stopped there, and what is on its way of the rest is paid for, too.
    pub(crate) fn left(&self, at: u64, end: Option<u64>) {
        let asked = self.window(at).or(end).map_or(ON_ITS_WAY, |asked| asked.saturating_sub(at));
        self.brought(asked.min(ON_ITS_WAY));
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
                let go = sound || self.widens(stand, 0);
                return if go { Next::Go } else { Next::Wait(self.since + GRACE) };
            }
            let worth = (self.sent / 2 * 3).max(CHUNK_SIZE as u64);
            let nearly = end.is_some_and(|end| end.saturating_sub(at) <= CHUNK_SIZE as u64);
            return if sound && (came < worth || nearly) { Next::Go } else { Next::Stop };
        }
        if sound || !again {
            return Next::Go;
        }
        if self.stopping && whole {
            return Next::Stop;
        }
        if self.widens(stand, self.credit) {
            return Next::Go;
        }
        let until = self.since + if short { HASTE } else { PATIENCE };
        if now < until {
            return Next::Wait(until);
        }
        let chunk = at / CHUNK_SIZE as u64 * CHUNK_SIZE as u64;
        if at == chunk || self.taken.saturating_sub(chunk) < IN_EARNEST {
            return Next::Stop;
        }
        (self.stopping, self.granted) = (true, chunk + CHUNK_SIZE as u64);
        Next::Go
    }

    /// Whether the fill may go on to the end of a window: of the one it is in, or of a new one as
    /// far ahead of its readers as they have come. That is granted only where it is worth a request.
    fn widens(&mut self, stand: Stand, credit: u64) -> bool {
        let Stand { start, at, end, .. } = stand;
        if at < self.granted {
            return true;
        }
        let ahead = credit.clamp(OPENING, AHEAD_MOST);
        let most = self.taken.max(start) + ahead;
        let worth = (credit / 2).clamp(OPENING, CHUNK_SIZE as u64);
        let wide = at + worth <= most || end.is_some_and(|end| end <= most);
        if wide {
            self.granted = end.map_or(most, |end| end.min(most));
        }
        wide
    }
}

/// A reader's place at a fill.
#[derive(Debug)]
pub(crate) struct Reading {
    demand: Arc<Demand>,
    id: u64,
}

impl Reading {
    /// So many bytes were handed over.
    pub(crate) fn took(&self, bytes: u64) {
        let mut state = self.demand.state.lock();
        state.sent += bytes;
        (state.since, state.stopping) = (Instant::now(), false);
    }

    /// Its client has come to that offset, and has so many bytes of it.
    pub(crate) fn reached(&self, at: u64, bytes: u64) {
        let mut state = self.demand.state.lock();
        state.taken = state.taken.max(at);
        state.credit = state.credit.max(bytes);
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
