//! One connection's driver: polls hyper, flushes what it wrote, watches the clock and the
//! shutdown.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    handler::Protocol,
    limits::Limits,
    serve::state::{Phase, State},
};

/// How a connection ended, as far as anybody asks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("cleanly")]
    Clean,
    #[error("the client was silent or slow for too long")]
    TimedOut,
    #[error("HTTP: {0}")]
    Broken(#[source] hyper::Error),
    #[error("socket: {0}")]
    Io(#[source] io::Error),
}

/// Runs `connection` to its end. `go_away` tells it to take no more requests; `flush` moves to
/// the socket what the connection has written into its stream.
pub(crate) async fn drive<C>(
    connection: C,
    mut go_away: impl FnMut(Pin<&mut C>),
    mut flush: impl FnMut(&mut Context<'_>) -> io::Result<()>,
    state: &Arc<State>,
    limits: &Limits,
    begin: &CancellationToken,
) -> Ended
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut cancelled = pin!(begin.cancelled());
    let mut watch = pin!(Watch::new(state, limits));
    let mut draining = false;
    poll_fn(|cx| {
        if !draining && cancelled.as_mut().poll(cx).is_ready() {
            draining = true;
            go_away(connection.as_mut());
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            // What hyper had no occasion to flush itself, most of all before an error.
            let _ = flush(cx);
            return Poll::Ready(result.map_or_else(Ended::Broken, |()| Ended::Clean));
        }
        if let Err(error) = flush(cx) {
            return Poll::Ready(Ended::Io(error));
        }
        // hyper keeps a connection that has not asked anything yet; nobody will miss it.
        if draining && state.protocol() == Protocol::H1 && state.phase() == Phase::Idle {
            return Poll::Ready(Ended::Clean);
        }
        watch.as_mut().poll(cx).map(|()| {
            state.counters.timed_out.add(state.protocol());
            Ended::TimedOut
        })
    })
    .await
}

/// Ends when the client has been silent, slow or stuck for too long.
struct Watch<'a> {
    state: &'a State,
    limits: &'a Limits,
    sleep: Pin<Box<Sleep>>,
    phase: Phase,
    started: u64,
    moved: u64,
}

impl<'a> Watch<'a> {
    fn new(state: &'a State, limits: &'a Limits) -> Self {
        let sleep = Box::pin(sleep_until(Instant::now() + limits.idle));
        Self { state, limits, sleep, phase: Phase::Idle, started: 0, moved: 0 }
    }

    fn patience(&self) -> Duration {
        match self.phase {
            Phase::Idle => self.limits.idle,
            Phase::Head => self.limits.head,
            Phase::Busy => self.limits.stall,
        }
    }

    fn rearm(&mut self) {
        self.moved = self.state.moved();
        let deadline = Instant::now() + self.patience();
        self.sleep.as_mut().reset(deadline);
    }
}

impl Future for Watch<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let (phase, started) = (this.state.phase(), this.state.started());
        if phase != this.phase || (started != this.started && phase != Phase::Busy) {
            this.phase = phase;
            this.started = started;
            this.rearm();
        }
        while this.sleep.as_mut().poll(cx).is_ready() {
            let stuck = match phase {
                Phase::Idle | Phase::Head => true,
                Phase::Busy => this.state.waits_for_client() && this.moved == this.state.moved(),
            };
            if stuck {
                return Poll::Ready(());
            }
            this.rearm();
        }
        Poll::Pending
    }
}
