//! Where a process stands in its life, for `/readyz` and `status`.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
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
pub struct Readiness(Arc<AtomicU8>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Starting as u8)))
    }
}

impl Readiness {
    /// Moves forward; a phase that is past is left alone, so that a late "serving" cannot undo
    /// a shutdown that came while starting.
    pub fn advance(&self, to: Phase) {
        self.0.fetch_max(to as u8, Ordering::AcqRel);
    }

    /// Where the process stands.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            2 => Phase::Draining,
            _ => Phase::Stopped,
        }
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
}
