//! Bodies on their way, as the driver of their connection looks at them: whether their client is
//! waited for, and how much of them has passed. Others on the connection end as they would.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::pace::{Pace, Waited};

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slow {
    /// A response that its client takes too slowly.
    Response,
    /// A request whose body comes too slowly.
    Request,
}

impl Slow {
    /// Both, for whoever names the metrics.
    pub const ALL: [Self; 2] = [Self::Response, Self::Request];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Request => "request",
        }
    }
}

/// What becomes of a connection with a body that is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It has no other.
    Now(Slow),
    /// It ends with the others that it has.
    Leave,
}

/// Ends one stream.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    cut: AtomicBool,
    task: AtomicWaker,
}

impl Cut {
    fn cut(&self) {
        self.cut.store(true, Relaxed);
        self.task.wake();
    }
}

#[derive(Debug)]
struct Body {
    of: Slow,
    waits: bool,
    moved: u64,
    waited: Waited,
    /// None where the connection is this body's alone.
    cut: Option<Arc<Cut>>,
}

/// The bodies of one connection. As many as it has streams, twice.
#[derive(Debug, Default)]
pub(crate) struct Passages {
    bodies: Mutex<(Vec<Option<Body>>, Vec<usize>)>,
    /// Of the stream that is polled for the first time.
    beginning: Mutex<Option<Arc<Cut>>>,
}

impl Passages {
    pub(crate) fn begin(self: &Arc<Self>, of: Slow, cut: Option<Arc<Cut>>) -> Passage {
        let body = Body { of, waits: false, moved: 0, waited: Waited::default(), cut };
        let (bodies, free) = &mut *self.bodies.lock();
        let at = free.pop().unwrap_or(bodies.len());
        match bodies.get_mut(at) {
            Some(place) => *place = Some(body),
            None => bodies.push(Some(body)),
        }
        Passage { all: Arc::clone(self), at }
    }

    /// Of the stream that is polled now, if it is for the first time.
    pub(crate) fn beginning(&self) -> Option<Arc<Cut>> {
        self.beginning.lock().clone()
    }

    /// Looks at all that are waited for, `every` so often. `blocked`: it is the socket that takes
    /// nothing, which is nobody's window. Streams that are too slow end.
    pub(crate) fn look(
        &self,
        every: Duration,
        pace: Pace,
        blocked: bool,
        mut count: impl FnMut(Slow),
    ) -> Option<End> {
        let (bodies, _) = &mut *self.bodies.lock();
        let mut ends = None;
        for body in bodies.iter_mut().flatten() {
            let waits = body.waits && !(blocked && body.of == Slow::Response);
            if !waits || !body.waited.is_too_slow(every, body.moved, pace) {
                continue;
            }
            match &body.cut {
                Some(cut) => {
                    count(body.of);
                    cut.cut();
                    // What h2 holds of it waits for the window that does not come, and the reset
                    // behind it.
                    if body.of == Slow::Response && ends.is_none() {
                        ends = Some(End::Leave);
                    }
                }
                None => ends = Some(End::Now(body.of)),
            }
        }
        ends
    }
}

/// One body, until this is dropped.
#[derive(Debug)]
pub(crate) struct Passage {
    all: Arc<Passages>,
    at: usize,
}

impl Passage {
    fn change(&self, change: impl FnOnce(&mut Body)) {
        if let Some(Some(body)) = self.all.bodies.lock().0.get_mut(self.at) {
            change(body);
        }
    }

    /// The client is waited for, or no longer.
    pub(crate) fn waits(&self, waits: bool) {
        self.change(|body| body.waits = waits);
    }

    pub(crate) fn moved(&self, bytes: usize) {
        self.change(|body| body.moved += bytes as u64);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let (bodies, free) = &mut *self.all.bodies.lock();
        if let Some(place) = bodies.get_mut(self.at) {
            *place = None;
            free.push(self.at);
        }
    }
}

/// A stream's task, which ends where its client is too slow: h2 resets a stream that is dropped.
pub(crate) struct Stream<F> {
    running: Option<F>,
    begun: bool,
    cut: Arc<Cut>,
    all: Arc<Passages>,
}

impl<F> Stream<F> {
    pub(crate) fn new(running: F, all: Arc<Passages>) -> Self {
        Self { running: Some(running), begun: false, cut: Arc::default(), all }
    }
}

impl<F: Future<Output = ()> + Unpin> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.cut.task.register(cx.waker());
        if this.cut.cut.load(Relaxed) {
            this.running = None;
        }
        let Some(running) = &mut this.running else { return Poll::Ready(()) };
        if this.begun {
            return Pin::new(running).poll(cx);
        }
        this.begun = true;
        *this.all.beginning.lock() = Some(Arc::clone(&this.cut));
        let polled = Pin::new(running).poll(cx);
        *this.all.beginning.lock() = None;
        polled
    }
}
