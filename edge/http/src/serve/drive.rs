//! One connection's driver: polls hyper, flushes what it wrote, watches the clock and the
//! shutdown.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use weir_edge_transport::stream::Flusher;

use crate::{
    handler::Protocol,
    limits::Limits,
    serve::{
        door::Door,
        paced::{Look, Paced},
        passage::End,
        state::{Phase, State},
    },
    wire::Fault,
};

/// How long, and how many bytes more, a client that broke a rule may take to hear of it.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
pub(crate) const LINGER_BYTES: usize = 4 << 20;

/// How long a connection that has not asked anything may go on after the shutdown began.
pub(crate) const FRESH: Duration = Duration::from_millis(250);

/// How a connection ended, as far as anybody asks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("cleanly")]
    Clean,
    #[error("the client was silent or slow for too long")]
    TimedOut,
    #[error("refused: {0}")]
    Refused(Fault),
    #[error("HTTP: {0}")]
    Broken(#[source] hyper::Error),
    #[error("socket: {0}")]
    Io(#[source] io::Error),
}

/// Moves to the socket what a connection has written into its stream; none on plain TCP.
pub(crate) struct Outlet<'a> {
    pub(crate) flusher: Option<Flusher>,
    pub(crate) state: &'a State,
}

impl Outlet<'_> {
    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(flusher) = &mut self.flusher else { return Ok(()) };
        let flushed = flusher.poll_flush(cx);
        self.state.set_sent(flusher.sent());
        match flushed {
            Poll::Pending => {
                if !self.state.is_blocked() {
                    self.measure();
                }
                self.state.set_blocked(true);
            }
            Poll::Ready(Ok(())) => self.state.set_blocked(false),
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(())
    }

    /// Asks what the client's host has of what the kernel took. Without a flusher, who writes to
    /// the socket does so when it is full.
    fn measure(&self) {
        if let Some(flusher) = &self.flusher {
            self.state.set_unacknowledged(flusher.unacknowledged());
        }
    }

    /// Stays for a moment after a connection that we broke off, so that its client learns why.
    async fn linger(&mut self) {
        let Some(flusher) = &mut self.flusher else { return };
        let mut left = LINGER_BYTES;
        let _ = timeout(LINGER, poll_fn(|cx| flusher.poll_linger(cx, &mut left))).await;
    }

    /// Says goodbye, if the socket takes it at once.
    fn close(&mut self, cx: &mut Context<'_>) {
        if let Some(flusher) = &mut self.flusher {
            let _ = flusher.poll_close(cx);
        }
    }
}

/// Runs `connection` to its end. `go_away` tells it to take no more requests.
pub(crate) async fn drive<C>(
    connection: C,
    mut go_away: impl FnMut(Pin<&mut C>),
    mut outlet: Outlet<'_>,
    (door, limits): (&Door, &Limits),
    begin: &CancellationToken,
) -> Ended
where
    C: Future<Output = Ended>,
{
    let state = outlet.state;
    let mut connection = Box::pin(connection);
    let mut cancelled = pin!(begin.cancelled());
    let mut watch = Watch::new(state, door, limits);
    let mut paced = Paced::new(state, door, limits);
    let (mut leaving, mut fresh) = (false, None);
    let ended = poll_fn(|cx| {
        loop {
            if !leaving && cancelled.as_mut().poll(cx).is_ready() {
                // hyper closes a connection that has not asked anything. What it is about to ask
                // may be on its way, and would be lost: it has a moment for that.
                let asked = state.protocol() != Protocol::H1 || state.started() > 0;
                let moment = fresh.get_or_insert_with(|| Box::pin(sleep(FRESH)));
                if asked || moment.as_mut().poll(cx).is_ready() {
                    leaving = true;
                    go_away(connection.as_mut());
                }
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                // What hyper had no occasion to flush itself, most of all before an error.
                let _ = outlet.flush(cx);
                return Poll::Ready(ended);
            }
            if let Err(error) = outlet.flush(cx) {
                return Poll::Ready(Ended::Io(error));
            }
            // What came before the refusal is out only now.
            if state.due_refusal().is_some() {
                continue;
            }
            // Now it has asked.
            if !leaving && fresh.is_some() && state.started() > 0 {
                continue;
            }
            if leaving && state.protocol() == Protocol::H1 && state.phase() == Phase::Idle {
                outlet.close(cx);
                return Poll::Ready(Ended::Clean);
            }
            match paced.poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Look::Measure) => {
                    outlet.measure();
                    continue;
                }
                Poll::Ready(Look::End(End::Now(slow))) => {
                    state.counters.slow(state.protocol(), slow);
                    return Poll::Ready(Ended::TimedOut);
                }
                Poll::Ready(Look::End(End::Leave)) => {
                    leaving = true;
                    watch.told = true;
                    go_away(connection.as_mut());
                    continue;
                }
            }
            match watch.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Phase::Busy) if !watch.measured => {
                    watch.measured = true;
                    outlet.measure();
                }
                // Nobody waits for anything: part as friends.
                Poll::Ready(Phase::Idle) if !leaving => {
                    state.counters.timed_out.add(state.protocol());
                    leaving = true;
                    go_away(connection.as_mut());
                }
                Poll::Ready(phase) => {
                    if phase != Phase::Idle {
                        state.counters.timed_out.add(state.protocol());
                    }
                    return Poll::Ready(Ended::TimedOut);
                }
            }
        }
    })
    .await;
    // With it end the requests that were running.
    drop(connection);
    // A clean close behind a response that broke off would look like its end.
    let ours = match &ended {
        Ended::Broken(error) => error.is_parse() || state.protocol() == Protocol::H2,
        Ended::Refused(_) => true,
        _ => false,
    };
    if ours {
        outlet.linger().await;
    }
    ended
}

/// Tells when the client has been silent, slow or stuck for too long, and in which phase.
struct Watch<'a> {
    state: &'a State,
    door: &'a Door,
    limits: &'a Limits,
    sleep: Pin<Box<Sleep>>,
    phase: Phase,
    /// When that began.
    since: Instant,
    started: u64,
    moved: u64,
    /// An idle connection has been told to go; it has not long.
    told: bool,
    /// What its client has is known as it is now.
    measured: bool,
}

impl<'a> Watch<'a> {
    fn new(state: &'a State, door: &'a Door, limits: &'a Limits) -> Self {
        let now = Instant::now();
        let sleep = Box::pin(sleep_until(now + limits.idle.min(limits.idle_shut)));
        let (phase, since) = (Phase::Idle, now);
        let (told, measured) = (false, false);
        Self { state, door, limits, sleep, phase, since, started: 0, moved: 0, told, measured }
    }

    fn rearm(&mut self, patience: Duration) {
        self.moved = self.state.moved();
        self.measured = false;
        self.sleep.as_mut().reset(Instant::now() + patience);
    }

    /// How long it is waited for what comes next; none where it was waited for long enough.
    fn patience(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle if !self.told => self.door.patience(self.since, self.limits),
            Phase::Idle | Phase::Head => Some(self.limits.head),
            Phase::Busy => Some(self.limits.stall),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let (phase, started) = (self.state.phase(), self.state.started());
        if phase != self.phase || (started != self.started && phase != Phase::Busy) {
            self.phase = phase;
            self.started = started;
            self.since = Instant::now();
            self.rearm(self.patience().unwrap_or_default());
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let waits_on = match phase {
                Phase::Idle if !self.told => self.patience(),
                Phase::Idle | Phase::Head => None,
                Phase::Busy
                    if self.state.waits_for_client() && self.moved == self.state.moved() =>
                {
                    None
                }
                Phase::Busy => self.patience(),
            };
            if let Some(patience) = waits_on {
                self.rearm(patience);
                continue;
            }
            if phase == Phase::Busy && !self.measured {
                // Once more, with what its client has by now.
                return Poll::Ready(phase);
            }
            if phase != Phase::Busy {
                self.told |= phase == Phase::Idle;
                self.rearm(self.patience().unwrap_or_default());
            }
            return Poll::Ready(phase);
        }
        Poll::Pending
    }
}
