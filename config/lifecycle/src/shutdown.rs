//! One order to stop, heard on every runtime of the process, and a deadline for it.
//!
//! Two steps: *drain* asks everybody to take no more and to finish; *stop* ends what is still
//! under way. The second follows the first when all guards are gone, at the deadline, or at once
//! when a person insists.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::readiness::{Phase, Readiness};

/// Cheap to clone; every clone is the same order. Works across runtimes and threads.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
    under_way: TaskTracker,
    readiness: Readiness,
}

/// Something that shall finish before the process ends: a connection, a fill, a writer. The
/// process is drained when all of them are dropped.
#[derive(Debug)]
#[must_use = "dropping it says that the work is done"]
pub struct Guard(#[expect(dead_code, reason = "held for its drop")] TaskTrackerToken);

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All work finished.
    Clean,
    /// The deadline passed, or somebody insisted; this many guards were still held.
    Cut(usize),
}

impl Shutdown {
    /// Nobody has asked to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// The phase, moved along by this order.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Asks everybody to take no more and to finish.
    pub fn drain(&self) {
        self.readiness.advance(Phase::Draining);
        self.drain.cancel();
        self.under_way.close();
    }

    /// Ends what is still under way.
    pub fn stop(&self) {
        self.drain();
        self.stop.cancel();
    }

    /// The order to drain, for servers that take a token.
    pub fn drain_token(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// The order to stop, for servers that take a token.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether a drain was ordered.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether everything shall end now.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Until a drain is ordered: accept loops and idle connections wait here.
    pub fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.drain.cancelled()
    }

    /// Until everything shall end: running responses wait here.
    pub fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Notes work that shall finish first.
    pub fn guard(&self) -> Guard {
        Guard(self.under_way.token())
    }

    /// How much work is under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Waits for the order, then for the work, at most until `deadline` after the order; then
    /// ends what is left. `main` waits here.
    pub async fn drained(&self, deadline: Duration) -> Drained {
        self.drain.cancelled().await;
        let finished = async {
            tokio::select! {
                () = self.under_way.wait() => Drained::Clean,
                () = self.stop.cancelled() => Drained::Cut(self.under_way.len()),
            }
        };
        let drained = timeout(deadline, finished).await;
        let drained = drained.unwrap_or_else(|_| Drained::Cut(self.under_way.len()));
        self.stop.cancel();
        self.readiness.advance(Phase::Stopped);
        match drained {
            // The last guard may have gone in the same instant.
            Drained::Cut(0) => Drained::Clean,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Drained, Shutdown};
    use crate::Phase;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn ends_when_the_work_is_done() {
        let shutdown = Shutdown::new();
        let guard = shutdown.guard();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drained(DEADLINE).await }
        });
        shutdown.drain();
        tokio::task::yield_now().await;
        assert_eq!(shutdown.readiness().phase(), Phase::Draining);
        assert!(!waiting.is_finished());
        drop(guard);
        assert_eq!(waiting.await.unwrap(), Drained::Clean);
        assert!(shutdown.is_stopped());
        assert_eq!(shutdown.readiness().phase(), Phase::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_the_deadline() {
        let shutdown = Shutdown::new();
        let guards = (shutdown.guard(), shutdown.guard());
        shutdown.drain();
        let start = tokio::time::Instant::now();
        assert_eq!(shutdown.drained(DEADLINE).await, Drained::Cut(2));
        assert_eq!(start.elapsed(), DEADLINE);
        assert!(shutdown.is_stopped());
        drop(guards);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_once_when_somebody_insists() {
        let shutdown = Shutdown::new();
        let _guard = shutdown.guard();
        shutdown.stop();
        let start = tokio::time::Instant::now();
        assert_eq!(shutdown.drained(DEADLINE).await, Drained::Cut(1));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    /// Each core has a runtime of its own: the order must reach all of them.
    #[test]
    fn is_heard_on_other_runtimes() {
        let shutdown = Shutdown::new();
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let shutdown = shutdown.clone();
                let guard = shutdown.guard();
                std::thread::spawn(move || {
                    runtime().unwrap().block_on(shutdown.draining());
                    drop(guard);
                })
            })
            .collect();
        shutdown.drain();
        assert_eq!(runtime().unwrap().block_on(shutdown.drained(DEADLINE)), Drained::Clean);
        for worker in workers {
            worker.join().unwrap();
        }
    }
}
