//! Where a process stands in its life, for `/readyz` and `status`.

use std::sync::Arc;

use tokio::sync::watch;

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Opens its stores and sockets.
    Starting,
    /// Takes requests.
    Serving,
    /// Finishes what is under way and takes no more.
    Draining,
    /// Nothing is under way any more.
    Stopped,
}

impl Phase {
    /// As it is written in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// The phase, shared by whoever moves it and whoever is asked. It only moves forward.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<Phase>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Starting)))
    }
}

impl Readiness {
    /// Moves forward; a phase that is past is left alone, so that a late "serving" cannot undo
    /// a shutdown that came while starting.
    pub fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let forward = to > *phase;
            *phase = to.max(*phase);
            forward
        });
    }

    /// Where the process stands.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Until the process stands at `at`, or past it.
    pub async fn reached(&self, at: Phase) {
        // It cannot end: we hold the sender.
        drop(self.0.subscribe().wait_for(|phase| *phase >= at).await);
    }

    /// Whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving
    }
}

#[cfg(test)]
mod tests {
    use super::{Phase, Readiness};

    #[test]
    fn moves_forward_only() {
        let readiness = Readiness::default();
        assert_eq!(readiness.phase(), Phase::Starting);
        assert!(!readiness.is_ready());
        readiness.advance(Phase::Serving);
        assert!(readiness.is_ready());
        readiness.advance(Phase::Draining);
        readiness.advance(Phase::Serving);
        assert_eq!(readiness.phase(), Phase::Draining);
        readiness.advance(Phase::Stopped);
        assert_eq!(readiness.phase(), Phase::Stopped);
    }

    #[tokio::test]
    async fn who_waits_hears_of_it() {
        let readiness = Readiness::default();
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.reached(Phase::Serving).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        readiness.advance(Phase::Draining);
        waiting.await.unwrap();
        readiness.reached(Phase::Serving).await;
    }
}
