//! What one connection is doing, seen by its driver, its socket and its bodies. All of them run
//! on one thread; the atomics are for the compiler, not for contention.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::{
    counters::Counters,
    handler::{ConnectionInfo, Protocol},
    serve::passage::{Cut, Passage, Passages, Slow},
    wire::Fault,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing asked, nothing owed.
    Idle,
    /// Some bytes of a request are here, but not its whole head.
    Head,
    /// A request runs, or bytes of its response have not left yet.
    Busy,
}

pub(crate) struct State {
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) counters: Arc<Counters>,
    active: AtomicUsize,
    started: AtomicU64,
    read: AtomicU64,
    /// `read` when the last request ended.
    mark: AtomicU64,
    /// What the stream has taken.
    written: AtomicU64,
    /// What the kernel has taken of it, where that is not the same.
    sent: AtomicU64,
    /// The socket takes no more of what we have.
    blocked: AtomicBool,
    /// A handler waits for a piece of its request's body.
    starved: AtomicBool,
    /// Bytes of response bodies that were taken, and bodies that wait to be asked for more.
    delivered: AtomicU64,
    offered: AtomicUsize,
    /// A response that only the end of the connection ends has broken off.
    reset: AtomicBool,
    /// What the client's host has not acknowledged of what was sent, when the socket was full last.
    unacknowledged: AtomicU64,
    pub(crate) passages: Arc<Passages>,
    /// Why the head that came last is refused, and that hyper has no other before it.
    refusal: OnceLock<Fault>,
    drained: AtomicBool,
}

impl State {
    pub(crate) fn new(info: ConnectionInfo, counters: Arc<Counters>) -> Arc<Self> {
        counters.connections.add(info.protocol);
        counters.open.add(info.protocol);
        Arc::new(Self {
            info: Arc::new(info),
            counters,
            active: AtomicUsize::new(0),
            started: AtomicU64::new(0),
            read: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            written: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            offered: AtomicUsize::new(0),
            reset: AtomicBool::new(false),
            unacknowledged: AtomicU64::new(0),
            passages: Arc::default(),
            refusal: OnceLock::new(),
            drained: AtomicBool::new(false),
        })
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.info.protocol
    }

    pub(crate) fn has_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn has_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn set_sent(&self, bytes: u64) {
        self.sent.store(bytes, Relaxed);
    }

    /// What the kernel has taken over TLS.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Relaxed);
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    pub(crate) fn set_unacknowledged(&self, bytes: u64) {
        self.unacknowledged.store(bytes, Relaxed);
    }

    /// What has come to the client's host, as far as we know. The kernel takes much at once, and
    /// then for a while nothing from us, however it goes on.
    pub(crate) fn arrived(&self) -> u64 {
        let sent = self.sent.load(Relaxed);
        let sent = if sent > 0 { sent } else { self.written.load(Relaxed) };
        sent.saturating_sub(self.unacknowledged.load(Relaxed))
    }

    pub(crate) fn set_starved(&self, starved: bool) {
        self.starved.store(starved, Relaxed);
    }

    pub(crate) fn has_delivered(&self, bytes: usize) {
        self.delivered.fetch_add(bytes as u64, Relaxed);
    }

    /// A response's body waits to be asked for more, or waits no longer.
    pub(crate) fn offer(&self, offered: bool) {
        if offered {
            self.offered.fetch_add(1, Relaxed);
        } else {
            self.offered.fetch_sub(1, Relaxed);
        }
    }

    /// HTTP/2 keeps a window for each stream: the socket may be free, and a client that pings
    /// without giving one moves bytes for ever.
    fn waits_for_window(&self) -> bool {
        self.protocol() == Protocol::H2
            && self.offered.load(Relaxed) > 0
            && !self.blocked.load(Relaxed)
            && !self.starved.load(Relaxed)
    }

    pub(crate) fn set_reset(&self) {
        self.reset.store(true, Relaxed);
    }

    pub(crate) fn must_reset(&self) -> bool {
        self.reset.load(Relaxed)
    }

    /// What came last is a head that nobody may read.
    pub(crate) fn refuse(&self, fault: Fault) {
        let _ = self.refusal.set(fault);
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.get().is_some()
    }

    /// hyper asks for more than there is: all whole heads that came are read.
    pub(crate) fn set_drained(&self) {
        self.drained.store(true, Relaxed);
    }

    /// The refusal is on its way.
    pub(crate) fn set_parting(&self) {
        self.drained.store(false, Relaxed);
    }

    /// Why the connection is refused, once all that came before is answered and on its way.
    pub(crate) fn due_refusal(&self) -> Option<Fault> {
        let due = self.drained.load(Relaxed)
            && self.active.load(Relaxed) == 0
            && !self.blocked.load(Relaxed);
        self.refusal.get().copied().filter(|_| due)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.active.load(Relaxed) > 0 || self.blocked.load(Relaxed) {
            Phase::Busy
        } else if self.protocol() == Protocol::H1
            && self.read.load(Relaxed) > self.mark.load(Relaxed)
        {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    /// Requests begun so far.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    /// Bytes moved so far, either way; while a window is waited for, those of bodies alone.
    pub(crate) fn moved(&self) -> u64 {
        if self.waits_for_window() {
            return self.delivered.load(Relaxed);
        }
        let moved = [&self.read, &self.written, &self.sent];
        moved.iter().fold(self.arrived(), |sum, bytes| sum.wrapping_add(bytes.load(Relaxed)))
    }

    /// It is the client we wait for.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.blocked.load(Relaxed) || self.starved.load(Relaxed) || self.waits_for_window()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.counters.open.sub(self.info.protocol);
    }
}

/// One request, from its headers until its response has been handed to the transport.
pub(crate) struct Running {
    state: Arc<State>,
    /// Ends its stream, where it has not the connection for itself.
    cut: Option<Arc<Cut>>,
    whole: bool,
}

impl Running {
    pub(crate) fn begin(state: &Arc<State>) -> Self {
        state.active.fetch_add(1, Relaxed);
        state.started.fetch_add(1, Relaxed);
        state.counters.active.add(state.protocol());
        Self { cut: state.passages.beginning(), state: Arc::clone(state), whole: false }
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Has one of its bodies looked at.
    pub(crate) fn passage(&self, of: Slow) -> Passage {
        self.state.passages.begin(of, self.cut.clone())
    }

    /// The response is out, whole.
    pub(crate) fn finished(&mut self) {
        self.whole = true;
    }

    /// The response's source broke off.
    pub(crate) fn broke(&mut self) {
        self.whole = true;
        self.state.counters.broken.add(self.state.protocol());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let state = &self.state;
        state.counters.active.sub(state.protocol());
        if !self.whole {
            state.counters.abandoned.add(state.protocol());
        }
        state.starved.store(false, Relaxed);
        if state.active.fetch_sub(1, Relaxed) == 1 {
            state.mark.store(state.read.load(Relaxed), Relaxed);
        }
    }
}
