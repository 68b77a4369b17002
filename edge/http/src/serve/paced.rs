//! Looks now and then at what a connection's client takes and sends, as long as it owes something.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use crate::{
    limits::Limits,
    pace::{Pace, Waited},
    serve::{
        door::Door,
        passage::{End, Slow},
        state::{Phase, State},
    },
};

/// What is to be done.
pub(crate) enum Look {
    /// Measure, and ask once more.
    Measure,
    /// End the connection.
    End(End),
}

/// The looks at one connection. An idle one is looked at no more.
pub(crate) struct Paced<'a> {
    state: &'a State,
    door: &'a Door,
    limits: &'a Limits,
    next: Option<Pin<Box<Sleep>>>,
    every: Duration,
    /// It is time, and what there is to know is being measured.
    due: bool,
    /// For what the socket holds, of whatever streams.
    socket: Waited,
}

impl<'a> Paced<'a> {
    pub(crate) fn new(state: &'a State, door: &'a Door, limits: &'a Limits) -> Self {
        let (next, every) = (None, Duration::ZERO);
        Self { state, door, limits, next, every, due: false, socket: Waited::default() }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Look> {
        if std::mem::take(&mut self.due)
            && let Some(end) = self.judge(self.door.pace(self.limits))
        {
            return Poll::Ready(Look::End(end));
        }
        if self.next.is_none() && self.state.phase() == Phase::Busy {
            self.every = self.door.pace(self.limits).look_every();
            self.next = Some(Box::pin(sleep(self.every)));
        }
        let Some(next) = &mut self.next else { return Poll::Pending };
        if next.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.next = None;
        self.due = self.state.phase() == Phase::Busy;
        if self.due { Poll::Ready(Look::Measure) } else { Poll::Pending }
    }

    fn judge(&mut self, pace: Pace) -> Option<End> {
        let (state, every) = (self.state, self.every);
        let blocked = state.is_blocked();
        if blocked && self.socket.is_too_slow(every, state.arrived(), pace) {
            return Some(End::Now(Slow::Response));
        }
        let count = |of| state.counters.slow(state.protocol(), of);
        state.passages.look(every, pace, blocked, count)
    }
}
